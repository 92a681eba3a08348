"""Forms that were sent: the same form of the same page is done once, however often a person presses its button."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta

from desdm.accounts import store
from desdm.accounts.clock import now
from desdm.errors import ConflictError, TransientError
from desdm.schema.database import Database

__all__ = ["SentForms"]

#: How long a form is remembered.
_KEPT = timedelta(days=1)


class SentForms:
    """Remembers the forms that were taken, also over a restart of the server.

    Parameters
    ----------
    state
        The service database.
    """

    def __init__(self, state: Database) -> None:
        self._state = state

    def take(self, path: str, fields: Mapping[str, str]) -> str:
        """Take a form, and return its key; empty for one that no page has.

        The key is committed before the act: a server that is killed between the two has done nothing, and a page that is
        loaded again shows so.

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
        key, at = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(), now()
        with self._state.write() as conn:
            store.drop_sent_forms_before(conn, at - _KEPT)
            new = store.add_sent_form(conn, key, at)
        if not new:
            raise ConflictError("this form was sent already; load the page again to see what it did")
        return key

    def forget(self, key: str) -> None:
        """Forget a form that was refused."""
        if key:
            # The refusal is what a person must see; a form that stays known is sent from the page, loaded again.
            with suppress(TransientError), self._state.write() as conn:
                store.drop_sent_form(conn, key)
