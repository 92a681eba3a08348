"""Uploaded tables of a TAP query (TAP 1.1, section 2.5): parts of the request, or results of earlier jobs here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import BinaryIO

from desdm.accounts.model import Action, Caller
from desdm.errors import NotFoundError, UsageError
from desdm.query.engines.model import Upload
from desdm.query.formats.upload import read_upload
from desdm.services.context import Services
from desdm.services.limits import Limits
from desdm.services.refusals import HIDDEN_JOB
from desdm.services.uws import store

__all__ = ["read_uploads", "result_of"]


def read_uploads(
    uris: Mapping[str, str],
    open_part: Callable[[str], BinaryIO],
    open_result: Callable[[str], BinaryIO],
    limits: Limits,
) -> dict[str, Upload]:
    """Read the uploaded tables of a query.

    Parameters
    ----------
    uris
        Name → URI.
    open_part
        Opens a part of the request by its name (``param:<name>``).
    open_result
        Opens a result of this service by its URL; other servers are never contacted.
    limits
        Limits of the caller on bytes and rows.

    Returns
    -------
    dict
        Tables by name.

    Raises
    ------
    UsageError
        An upload is missing or unreadable.
    """
    tables = {}
    for name, uri in uris.items():
        scheme, _, rest = uri.partition(":")
        with open_part(rest) if scheme.lower() == "param" else open_result(uri) as data:
            tables[name] = read_upload(
                name, data, None, max_bytes=limits.request_bytes, max_rows=limits.upload_rows
            )
    return tables


def result_of(services: Services, caller: Caller, base: str, uri: str) -> BinaryIO:
    """Open the result of a job of this service by its URL.

    Parameters
    ----------
    services
        Shared state of the services.
    caller
        Caller, who must own the job or may see all jobs.
    base
        URL of this server.
    uri
        URL of the result.

    Returns
    -------
    BinaryIO
        The open file.

    Raises
    ------
    UsageError
        The URL is another server's; this service never contacts other servers.
    NotFoundError
        There is no such job or result, or the job belongs to another user.
    """
    match = re.fullmatch(re.escape(base) + r"/tap/async/([0-9a-f]{1,32})/results/(\w{1,64})", uri)
    if match is None:
        raise UsageError(
            f"UPLOAD: {uri[:80]!r} is not read from here; send the table itself (param:…), "
            "or give the URL of a result of this service"
        )
    with services.state.read() as conn:
        job = store.job(conn, "tap", match[1])
    result = next((r for r in job.results if r.id == match[2]), None) if job else None
    # The job of another user is answered as one that does not exist.
    hidden = job is not None and job.owner and job.owner != caller.login and not caller.may(Action.SEE_JOBS)
    if hidden and job is not None:
        services.refusals.note(caller, lambda: f"job {job.id}", "see job", HIDDEN_JOB)
    if job is None or result is None or hidden:
        raise NotFoundError(f"UPLOAD: there is no result {match[2]} of a job {match[1]}")
    return (services.results / result.path).open("rb")
