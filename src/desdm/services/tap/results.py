"""Results of earlier jobs as uploads: found by their URL, read from this server's own files."""

from __future__ import annotations

import re
from typing import BinaryIO

from desdm.accounts.model import Action, Caller
from desdm.errors import AccessDenied, NotFoundError, UsageError
from desdm.services.context import Services
from desdm.services.uws import store

__all__ = ["result_of"]


def result_of(services: Services, caller: Caller, base: str, uri: str) -> BinaryIO:
    """Open the result of a job of this service by its URL.

    Raises
    ------
    UsageError
        The URL is another server's: this one asks no other server on anybody's behalf.
    NotFoundError, AccessDenied
        There is no such job, or it is another's.
    """
    own = re.fullmatch(re.escape(base) + r"/tap/async/([0-9a-f]{1,32})/results/(\w{1,64})", uri)
    if own is None:
        raise UsageError(
            f"UPLOAD: {uri[:80]!r} is not read from here; send the table itself (param:…), "
            "or give the URL of a result of this service"
        )
    with services.state.read() as conn:
        job = store.job(conn, "tap", own[1])
    found = next((r for r in job.results if r.id == own[2]), None) if job else None
    if job is None or found is None:
        raise NotFoundError(f"UPLOAD: there is no result {own[2]} of a job {own[1]}")
    if job.owner and job.owner != caller.login and not caller.may(Action.SEE_JOBS):
        raise AccessDenied(f"UPLOAD: job {job.id} is not yours", caller.known)
    return (services.results / found.path).open("rb")
