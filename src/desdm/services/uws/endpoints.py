"""Parameters and endpoints of asynchronous jobs (UWS 1.1, section 2.2)."""

from __future__ import annotations

from dataclasses import replace

from desdm.schema.states import Phase
from desdm.services.endpoint import VOTABLE, Endpoint
from desdm.services.parameters import NO_PARAMETERS, Kind, Parameter, ParameterSet

__all__ = [
    "ACTION",
    "CONTROL",
    "DESTRUCTION",
    "DURATION",
    "JOB_LIST",
    "PHASE",
    "WAIT",
    "uws_endpoints",
]

_XML, _TEXT = ("text/xml",), ("text/plain",)
_DURATION = Parameter(
    "EXECUTIONDURATION", Kind.WHOLE, "seconds that the job may run; 0: the longest allowed", "s", example="60"
)

#: Parameters of the list of jobs.
JOB_LIST = ParameterSet(
    (
        Parameter(
            "PHASE",
            Kind.TEXT,
            "jobs in this phase only",
            many=True,
            choices=tuple(Phase),
            example="COMPLETED",
        ),
        Parameter("AFTER", Kind.TIME, "jobs created after this time only", example="2026-01-31T12:00:00Z"),
        Parameter("LAST", Kind.WHOLE, "as many of the newest jobs only", example="10"),
    )
)
#: Parameters of a new job that are not of the job itself.
CONTROL = ParameterSet(
    (
        Parameter("PHASE", Kind.TEXT, "RUN starts the job at once", choices=("RUN",), example="RUN"),
        Parameter("RUNID", Kind.TEXT, "a name of the caller's for the job", example="mine"),
        _DURATION,
    )
)
#: Parameters of the document of a job.
WAIT = ParameterSet(
    (
        Parameter(
            "WAIT",
            Kind.TEXT,
            "seconds to wait until the phase changes; -1: as long as possible, a minute",
            "s",
            example="1",
        ),
        Parameter(
            "PHASE",
            Kind.TEXT,
            "wait only while the job is in this phase",
            choices=tuple(Phase),
            example="QUEUED",
        ),
    )
)
ACTION = ParameterSet(
    (Parameter("ACTION", Kind.TEXT, "DELETE", required=True, choices=("DELETE",), example="DELETE"),)
)
PHASE = ParameterSet(
    (Parameter("PHASE", Kind.TEXT, "RUN or ABORT", required=True, choices=("RUN", "ABORT"), example="ABORT"),)
)
DURATION = ParameterSet(
    (
        Parameter(
            "EXECUTIONDURATION",
            Kind.WHOLE,
            "seconds, 0 for the longest allowed",
            "s",
            required=True,
            example="60",
        ),
    )
)
DESTRUCTION = ParameterSet(
    (
        Parameter(
            "DESTRUCTION",
            Kind.TIME,
            "time at which the job is deleted",
            required=True,
            example="2030-01-31T12:00:00Z",
        ),
    )
)


def uws_endpoints(prefix: str, what: str, parameters: ParameterSet) -> tuple[Endpoint, ...]:
    """Return the endpoints of the jobs of one kind.

    Parameters
    ----------
    prefix
        Path of the list of jobs.
    what
        What a job does, for its description.
    parameters
        Parameters of a job.

    Returns
    -------
    tuple of Endpoint
        The endpoints; those that change a job redirect to it.
    """
    job = prefix + "/{job}"
    # A job may be created without a parameter that it needs, and get it before it is started.
    added = ParameterSet(
        tuple(replace(p, required=False) for p in parameters if p.name not in ("PHASE", "RUNID"))
    )

    def read(
        path: str, text: str, media_types: tuple[str, ...], wait: ParameterSet | None = None
    ) -> Endpoint:
        """Return an endpoint that shows something of a job."""
        return Endpoint(("GET",), path, text, wait or NO_PARAMETERS, media_types, principal=wait is not None)

    def change(methods: tuple[str, ...], path: str, text: str, sent: ParameterSet) -> Endpoint:
        """Return an endpoint that changes a job."""
        return Endpoint(methods, path, text, sent, (), status=303, principal=False)

    return (
        Endpoint(("GET",), prefix, "The caller's jobs.", JOB_LIST, _XML, principal=False),
        Endpoint(
            ("POST",),
            prefix,
            f"Create a job: {what}. PHASE=RUN starts it (UWS 1.1).",
            added + CONTROL,
            (),
            status=303,
        ),
        read(job, "A job: phase, times, results.", _XML, WAIT),
        change(("POST",), job, "Delete a job.", ACTION),
        change(("DELETE",), job, "Delete a job.", NO_PARAMETERS),
        read(job + "/phase", "The phase of a job.", _TEXT),
        change(("POST", "PUT"), job + "/phase", "Start or abort a job.", PHASE),
        read(job + "/executionduration", "Seconds that a job may run.", _TEXT),
        change(("POST", "PUT"), job + "/executionduration", "Set the seconds that a job may run.", DURATION),
        read(job + "/destruction", "The time at which a job is deleted.", _TEXT),
        change(("POST", "PUT"), job + "/destruction", "Set the time at which a job is deleted.", DESTRUCTION),
        read(job + "/quote", "The expected end of a job: none is known.", _TEXT),
        read(job + "/owner", "The login of a job's owner.", _TEXT),
        read(job + "/error", "Why a job failed.", VOTABLE),
        read(job + "/parameters", "The parameters of a job.", _XML),
        change(("POST",), job + "/parameters", "Add parameters to a pending job.", added),
        read(job + "/results", "The results of a job.", _XML),
        read(job + "/results/{result}", "A result of a job.", ("*/*",)),
    )
