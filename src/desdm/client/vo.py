"""Errors of pyvo as ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import requests

from desdm.client.connection import error_of
from desdm.errors import DesdmError, TransientError, UsageError

__all__ = ["of_pyvo", "quietly", "translated"]


@contextmanager
def translated(url: str) -> Iterator[None]:
    """A connection that fails below pyvo becomes `TransientError`."""
    try:
        yield
    except requests.RequestException as err:
        raise TransientError(
            f"{url} does not answer; is it running (desdm serve), is the address right?"
        ) from err


def of_pyvo(err: Exception) -> DesdmError:
    """Our error for what pyvo raised: it wraps what the server or the network said."""
    cause = getattr(err, "cause", None)
    if isinstance(cause, requests.ConnectionError | requests.Timeout):
        return TransientError(f"the server does not answer: {cause}")
    if isinstance(cause, requests.HTTPError) and cause.response is not None:
        return error_of(cause.response)
    return UsageError(str(err))


def quietly(deed: Callable[[], object]) -> None:
    """Tidy up; that it fails must not hide what went before."""
    from pyvo.dal import DALServiceError

    with suppress(DALServiceError, requests.RequestException):
        deed()
