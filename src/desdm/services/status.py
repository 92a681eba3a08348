"""HTTP status of an error; each service renders the message in its own format."""

from __future__ import annotations

from desdm.errors import (
    AccessDenied,
    ConflictError,
    DesdmError,
    LimitExceeded,
    NotFoundError,
    TransientError,
    UsageError,
)

__all__ = ["status_of"]

_LIMITS = {"time": 400, "size": 413, "rate": 429, "quota": 403}


def status_of(err: DesdmError) -> int:
    """Return the HTTP status of an error: 4xx correct the request, 503 try again, 500 report it."""
    if isinstance(err, AccessDenied):
        return 403 if err.known else 401
    if isinstance(err, LimitExceeded):
        return _LIMITS.get(err.kind, 400)
    if isinstance(err, NotFoundError):
        return 404
    if isinstance(err, ConflictError):
        return 409
    if isinstance(err, UsageError):
        return 400
    return 503 if isinstance(err, TransientError) else 500
