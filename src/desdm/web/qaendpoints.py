"""Endpoints of the pages of quality assessment and of the survey table."""

from __future__ import annotations

from dataclasses import replace

from desdm.accounts.model import Action
from desdm.operations.surveytable.summary import PROGRAMMES
from desdm.release.problems import KINDS
from desdm.schema.operationstates import ProblemState, ReviewCause, Severity
from desdm.services.endpoint import Endpoint
from desdm.services.parameters import Kind, Parameter, ParameterSet
from desdm.web.endpointkinds import form_endpoint, page_endpoint

__all__ = [
    "BUNDLE",
    "CCD",
    "DISPATCHES",
    "DISPATCH_ACT",
    "DISPATCH_FORM",
    "DISPATCH_ONE",
    "EXCLUDE_FORM",
    "EXPOSURE",
    "FILE",
    "MARK_FORM",
    "PICTURE",
    "PROBLEM",
    "PROBLEMS",
    "PROBLEM_ACT",
    "QA_ENDPOINTS",
    "REPORT",
    "REPORT_FORM",
    "REVIEW",
    "REVIEW_ASK",
    "REVIEW_MARK",
    "REVIEW_ONE",
    "REVIEW_STEP",
    "REVIEW_UNDO",
    "RUN",
    "SURVEY",
    "SURVEY_TABLE",
    "TILE",
]

_SEE, _JUDGE = Action.SEE_OPERATIONS, Action.JUDGE

_CAUSE = Parameter(
    "cause",
    Kind.TEXT,
    "only entries of this cause",
    choices=tuple(c.value for c in ReviewCause),
    example="flagged",
)
_NITE = Parameter("nite", Kind.TEXT, "only of this night, YYYYMMDD", example="20121120")
_BAND = Parameter("band", Kind.TEXT, "only of this band", example="r")
_BEFORE = Parameter(
    "before", Kind.WHOLE, "only with smaller numbers: the next lines of a list", example="100"
)
_MASK = Parameter("mask", Kind.FLAG, "1: the picture shows the mask", example="1")
_LAST = Parameter("last", Kind.WHOLE, "number of the mark made before", example="7")
_FILTERS = ParameterSet((_CAUSE, _NITE, _BAND))

REVIEW = page_endpoint(
    "/qa/review",
    "Data that wait for a person's judgement.",
    parameters=_FILTERS + ParameterSet((_LAST,)),
    account=True,
    action=_SEE,
)
REVIEW_ONE = page_endpoint(
    "/qa/review/{number}",
    "One entry of the review queue, with what there is to see of it.",
    parameters=_FILTERS + ParameterSet((_MASK, _LAST)),
    account=True,
    action=_SEE,
)
REVIEW_STEP = form_endpoint("/qa/review/step", "Take the next or the previous entry.", action=_JUDGE)
REVIEW_MARK = form_endpoint(
    "/qa/review/{number}/mark", "Bless what an entry is about, or mark it defective.", action=_JUDGE
)
REVIEW_UNDO = form_endpoint("/qa/review/undo", "Withdraw one's own last mark.", action=_JUDGE)
REVIEW_ASK = form_endpoint("/qa/review/ask", "Put up a subject for review.", action=_JUDGE)

_METRIC = Parameter("metric", Kind.TEXT, "number that the picture of the focal plane shows", example="fwhm")
_SUBJECT = ParameterSet((_METRIC, _MASK))
_COADD = Parameter("band", Kind.TEXT, "of a tile: band of the coadd that the picture shows", example="g")
EXPOSURE = page_endpoint(
    "/qa/exposure/{subject}",
    "All of an exposure: verdicts, CCDs, runs, marks, problems, files, releases.",
    parameters=_SUBJECT,
    account=True,
    action=_SEE,
)
CCD = replace(EXPOSURE, path="/qa/ccd/{subject}", text="All of a CCD of an exposure.")
TILE = replace(
    EXPOSURE,
    path="/qa/tile/{subject}",
    text="All of a tile: picture and numbers by band, runs, marks, problems, files, releases.",
    parameters=ParameterSet((_METRIC, _MASK, _COADD)),
)
RUN = replace(EXPOSURE, path="/qa/run/{subject}", text="Marks of a run, and what they say of its data.")
FILE = replace(EXPOSURE, path="/qa/file/{subject}", text="Marks of a file, and what they say of it.")
PICTURE = page_endpoint(
    "/qa/picture/{subject}",
    "Picture of an exposure, CCD, tile, run or file.",
    ("image/webp",),
    parameters=ParameterSet(
        (_MASK, Parameter("large", Kind.FLAG, "1: the large picture", example="1"), _COADD)
    ),
    account=True,
    action=_SEE,
)
MARK_FORM = form_endpoint("/qa/mark", "Mark a subject, or withdraw its mark.", action=_JUDGE)
EXCLUDE_FORM = form_endpoint(
    "/qa/exclude", "Exclude an exposure or CCD, or lift an exclusion.", action=_JUDGE
)

PROBLEMS = page_endpoint(
    "/qa/problems",
    "The problem list.",
    parameters=ParameterSet(
        (
            Parameter(
                "state",
                Kind.TEXT,
                "only in this state; empty: those that are open",
                choices=tuple(s.value for s in ProblemState),
                example="new",
            ),
            Parameter(
                "severity",
                Kind.TEXT,
                "only of this severity",
                choices=tuple(s.value for s in Severity),
                example="block",
            ),
            Parameter("kind", Kind.TEXT, "only of this kind of subject", choices=KINDS, example="exposure"),
            Parameter("owner", Kind.TEXT, "only that this person works on", example="ann"),
            _BEFORE,
        )
    ),
    account=True,
    action=_SEE,
)
PROBLEM = page_endpoint(
    "/qa/problem/{number}", "A problem with its history and evidence.", account=True, action=_SEE
)
PROBLEM_ACT = form_endpoint("/qa/problem/{number}", "Change a problem, or add to it.", action=_SEE)
BUNDLE = replace(
    form_endpoint(
        "/qa/problem/{number}/bundle",
        "Bug report of a problem: all that is needed to see the fault again elsewhere.",
        status=200,
        action=_SEE,
    ),
    media_types=("application/gzip",),
)
REPORT = page_endpoint(
    "/qa/report",
    "Page to report a problem.",
    parameters=ParameterSet(
        (
            Parameter("kind", Kind.TEXT, "kind of what it is about", choices=KINDS, example="exposure"),
            Parameter("subject", Kind.TEXT, "what it is about", example="D00150030"),
        )
    ),
    account=True,
    action=_SEE,
)
REPORT_FORM = form_endpoint("/qa/report", "Enter a problem.", action=_SEE)

DISPATCHES = page_endpoint(
    "/qa/dispatch",
    "Data sent to working groups, with what is asked and what they answered.",
    parameters=ParameterSet(
        (
            Parameter("group", Kind.TEXT, "only to this working group", example="weak-lensing"),
            Parameter("all", Kind.FLAG, "1: also those that wait for no answer", example="1"),
            Parameter("subject", Kind.TEXT, "what the form is to send", example="D00150030"),
            _BEFORE,
        )
    ),
    account=True,
    action=_SEE,
)
DISPATCH_FORM = form_endpoint("/qa/dispatch", "Send data to a working group.", action=_JUDGE)
DISPATCH_ONE = page_endpoint(
    "/qa/dispatch/{number}", "One dispatch, with its answers.", account=True, action=_SEE
)
DISPATCH_ACT = form_endpoint("/qa/dispatch/{number}", "Accept, answer or withdraw a dispatch.", action=_SEE)

SURVEY = page_endpoint(
    "/survey",
    "The survey table: fields by band, what is accepted and what is owed; tiles with their depth.",
    parameters=ParameterSet(
        (
            _BAND,
            Parameter("season", Kind.TEXT, "only of this season", example="Y2"),
            Parameter("show", Kind.TEXT, "which fields", choices=("owed", "done"), example="owed"),
            Parameter(
                "programme", Kind.TEXT, "only of this programme", choices=tuple(PROGRAMMES), example="wide"
            ),
            Parameter("after", Kind.TEXT, "the fields after this one", example="10-483/5/r"),
            Parameter("tile", Kind.TEXT, "the tiles after this one", example="DES0159-0500"),
        )
    ),
    account=True,
    action=_SEE,
)
SURVEY_TABLE = page_endpoint(
    "/survey/{name}",
    "The survey table as a file: table.csv, table.fits, or coverage.moc.fits.",
    ("text/csv", "application/fits"),
    parameters=ParameterSet((_BAND,)),
    account=True,
    action=_SEE,
)
QA_ENDPOINTS: tuple[Endpoint, ...] = (
    REVIEW,
    REVIEW_STEP,
    REVIEW_UNDO,
    REVIEW_ASK,
    REVIEW_ONE,
    REVIEW_MARK,
    EXPOSURE,
    CCD,
    TILE,
    RUN,
    FILE,
    PICTURE,
    MARK_FORM,
    EXCLUDE_FORM,
    PROBLEMS,
    PROBLEM,
    PROBLEM_ACT,
    BUNDLE,
    REPORT,
    REPORT_FORM,
    DISPATCHES,
    DISPATCH_FORM,
    DISPATCH_ONE,
    DISPATCH_ACT,
    SURVEY,
    SURVEY_TABLE,
)
