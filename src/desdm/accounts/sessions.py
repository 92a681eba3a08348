"""Sessions of browsers: login by password, the cookie's token, the token of forms (CSRF), logout."""

from __future__ import annotations

import hashlib
import hmac
from datetime import timedelta

from sqlalchemy import Connection

from desdm.accounts import people, store, tokens
from desdm.accounts.clock import now
from desdm.errors import AccessDenied
from desdm.schema.database import Database

__all__ = ["LASTS", "begin", "check_form", "end", "form_token"]

#: How long a browser stays logged in.
LASTS = timedelta(hours=12)


def begin(database: Database, login: str, password: str, browser: str = "") -> str:
    """Log in: the session's token, for the cookie. A new one each time, so that none can be planted before.

    Raises
    ------
    AccessDenied
        Login and password do not belong together.
    """
    # The hash takes its time, by design: nobody else's writing waits for it.
    person = people.check_password(database, login, password)
    with database.write() as conn:
        store.drop_tokens_before(conn, now() - timedelta(days=30), "session")
        scopes = tokens.actions_of(person.role)
        return tokens.make(conn, person, name=browser[:80], scopes=scopes, lasts=LASTS, kind="session")


def end(conn: Connection, secret: str) -> None:
    """Log out: whoever sends the cookie again is refused."""
    found = store.token_by_digest(conn, tokens.digest(secret))
    if found is not None:
        store.revoke_tokens(conn, found[1].login, now(), found[0].id)


def form_token(secret: str) -> str:
    """The token that forms and scripts of the pages carry; it follows from the session and shows nothing of it."""
    return hmac.new(secret.encode(), b"desdm forms", hashlib.sha256).hexdigest()


def check_form(secret: str, sent: str) -> None:
    """Raise `AccessDenied` unless ``sent`` is the session's `form_token`: another site made the browser send it."""
    if not hmac.compare_digest(form_token(secret).encode(), sent.encode()):
        raise AccessDenied("the form is not of this session; load the page again and send it from there")
