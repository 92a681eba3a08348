"""Translation of errors of pyvo."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import requests

from desdm.client.connection import error_of
from desdm.errors import DesdmError, TransientError, UsageError

__all__ = ["of_pyvo", "quietly", "translated"]


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Translate connection errors below pyvo to `TransientError`."""
    try:
        yield
    except requests.RequestException as err:
        raise TransientError(
            f"{url} does not answer; is it running (desdm serve), is the address right?"
        ) from err


def of_pyvo(err: Exception) -> DesdmError:
    """Return the error for an exception of pyvo, which wraps that of the server or network."""
    cause = getattr(err, "cause", None)
    if isinstance(cause, requests.ConnectionError | requests.Timeout):
        return TransientError(f"the server does not answer: {cause}")
    if isinstance(cause, requests.HTTPError) and cause.response is not None:
        return error_of(cause.response)
    return UsageError(str(err))


def quietly(cleanup: Callable[[], object]) -> None:
    """Run a cleanup; its failure must not hide an earlier error."""
    from pyvo.dal import DALServiceError

    with suppress(DALServiceError, requests.RequestException):
        cleanup()
