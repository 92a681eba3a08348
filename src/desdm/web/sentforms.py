"""Forms that were sent: the same form of the same page is done once, however often a person presses its button."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock

from desdm.errors import ConflictError

__all__ = ["SentForms"]

#: Seconds for which a form is remembered, and the largest number of them.
_KEPT, _MOST = 3600.0, 20_000


class SentForms:
    """Remembers the forms that this server has taken."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._taken: OrderedDict[str, float] = OrderedDict()

    def take(self, path: str, fields: Mapping[str, str]) -> str:
        """Take a form, and return its key; empty for one that no page has.

        Parameters
        ----------
        path
            Path to which it was sent.
        fields
            Its fields; ``csrf`` names session and page.

        Raises
        ------
        ConflictError
            The same form of the same page was sent before.
        """
        if "." not in fields.get("csrf", ""):
            return ""  # sent by a program, not from a page
        text = repr((path, sorted(fields.items())))
        key, now = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(), time.monotonic()
        with self._lock:
            while self._taken and (
                len(self._taken) >= _MOST or next(iter(self._taken.values())) < now - _KEPT
            ):
                self._taken.popitem(last=False)
            if key in self._taken:
                raise ConflictError(
                    "this form was sent already, and was done once; load the page again to see what it did"
                )
            self._taken[key] = now
        return key

    def forget(self, key: str) -> None:
        """Forget a form that was refused."""
        with self._lock:
            self._taken.pop(key, None)
