"""Endpoints of the pages of operations."""

from __future__ import annotations

from desdm.accounts.model import Action
from desdm.schema.operationstates import DeliveryState, LogCategory, QueueState
from desdm.schema.states import AttemptState, EventKind
from desdm.services.endpoint import Endpoint
from desdm.services.parameters import Kind, Parameter, ParameterSet
from desdm.web.endpointkinds import form_endpoint, page_endpoint

__all__ = [
    "ARRIVAL",
    "ARRIVAL_FORM",
    "COMPARE",
    "LOG",
    "LOG_FEED",
    "LOG_FORM",
    "NIGHT",
    "OPS",
    "OPS_ENDPOINTS",
    "POLICY_FORM",
    "QUEUE",
    "QUEUE_FORM",
    "RUN",
    "RUNS",
    "RUN_CANCEL",
    "RUN_LOG",
    "RUN_RETRY",
    "STREAM",
]

_NITE = Parameter("nite", Kind.TEXT, "night, YYYYMMDD", example="20121120")
_BEFORE = Parameter(
    "before", Kind.WHOLE, "number of a row: rows before it follow, newest first", least=1, example="1000"
)
_SEE = Action.SEE_OPERATIONS


def _page(path: str, text: str, *parameters: Parameter, media: str = "text/html") -> Endpoint:
    """Return a page for those who may see operations."""
    return page_endpoint(path, text, (media,), True, ParameterSet(parameters), _SEE)


def _states(kind: type[QueueState] | type[DeliveryState] | type[AttemptState], text: str) -> Parameter:
    """Return the filter by a state."""
    return Parameter(
        "state", Kind.TEXT, text, choices=tuple(s.value for s in kind), example=next(iter(kind)).value
    )


OPS = _page("/ops", "Operations tonight: what arrived, what is processed, and how.", _NITE)
NIGHT = _page("/ops/night/{nite}", "Report on a night, a page that stands alone.")
ARRIVAL = _page(
    "/ops/arrival",
    "Arrival of data by night: expected, delivered, ingested, missing, late, quarantined.",
    _NITE,
    _states(DeliveryState, "state of the deliveries"),
    Parameter("until", Kind.TEXT, "last night of the table, YYYYMMDD", example="20121120"),
    _BEFORE,
)
ARRIVAL_FORM = form_endpoint("/ops/arrival", "Release or dismiss a delivery.", action=Action.OPERATE)
QUEUE = _page(
    "/ops/queue",
    "The nightly queue: what is to be processed, in which order, and why it stands there.",
    _NITE,
    _states(QueueState, "state of the rows"),
    Parameter("unit", Kind.TEXT, "exposure or night: why it stands where it stands", example="20121120"),
    Parameter("after", Kind.WHOLE, "number of the row after which the page begins", least=1, example="1"),
)
QUEUE_FORM = form_endpoint("/ops/queue", "Hold, release, reorder or dismiss a row.", action=Action.OPERATE)
POLICY_FORM = form_endpoint("/ops/queue/policy", "Enter or end a policy of the queue.", action=Action.POLICY)
RUNS = _page(
    "/ops/runs",
    "Runs: by night and pipeline, and newest first.",
    Parameter("pipeline", Kind.TEXT, "pipeline", example="firstcut"),
    _states(AttemptState, "state of the runs"),
    _NITE,
    Parameter("campaign", Kind.TEXT, "campaign", example="MAIN"),
    Parameter("unit", Kind.TEXT, "unit: exposure, night or tile", example="20121120"),
    Parameter("until", Kind.TEXT, "last night of the table, YYYYMMDD", example="20121120"),
    _BEFORE,
)
RUN = _page("/ops/run/{run}", "One run: its jobs, log, messages, QA numbers, inputs and outputs.")
RUN_LOG = _page("/ops/run/{run}/log/{name}", "A log of a run, as it stands now.", media="text/plain")
RUN_RETRY = form_endpoint("/ops/run/{run}/retry", "Plan a retry, then start it.", action=Action.OPERATE)
RUN_CANCEL = form_endpoint("/ops/run/{run}/cancel", "End a run.", action=Action.OPERATE)
COMPARE = _page(
    "/ops/run/{run}/compare",
    "Differences between two runs: settings, inputs, calibrations, programs, messages, numbers.",
    Parameter("with", Kind.TEXT, "the other run", example="20121120_r1p02"),
)
LOG = _page(
    "/ops/log",
    "The logbook: acts, and entries that people wrote.",
    _NITE,
    Parameter("subject", Kind.TEXT, "exposure, run, file, night …", example="D00150014"),
    Parameter(
        "kind",
        Kind.TEXT,
        "kind of act",
        choices=tuple(k.value for k in EventKind),
        example=EventKind.ENTRY.value,
    ),
    Parameter("who", Kind.TEXT, "author", example="kim"),
    Parameter(
        "category",
        Kind.TEXT,
        "category of entries",
        choices=tuple(c.value for c in LogCategory),
        example="weather",
    ),
    Parameter("words", Kind.TEXT, "words of text or reason, each of them", example="clouds"),
    Parameter("jobs", Kind.TEXT, "also that jobs are done", choices=("all",), example="all"),
    Parameter("correct", Kind.WHOLE, "number of the entry that is to be corrected", least=1, example="1"),
    _BEFORE,
)
LOG_FORM = form_endpoint("/ops/log", "Write an entry, or correct one.", action=Action.OPERATE)
LOG_FEED = _page("/ops/log/feed.xml", "The logbook (Atom).", media="application/atom+xml")
STREAM = _page(
    "/ops/stream",
    "Server-sent events: something has changed.",
    Parameter("after", Kind.WHOLE, "number of the newest event that the page knows", least=0, example="1000"),
    media="text/event-stream",
)
OPS_ENDPOINTS: tuple[Endpoint, ...] = (
    OPS,
    NIGHT,
    ARRIVAL,
    ARRIVAL_FORM,
    QUEUE,
    QUEUE_FORM,
    POLICY_FORM,
    RUNS,
    RUN,
    RUN_LOG,
    RUN_RETRY,
    RUN_CANCEL,
    COMPARE,
    LOG,
    LOG_FORM,
    LOG_FEED,
    STREAM,
)
