"""Sessions of browsers: login by password, the cookie's token, the token of forms (CSRF), logout.

They stand in the service's own database, so that nobody's login waits for production's writers. What ends all sessions
of a person (another password, a closed account) raises the person's generation in the operations database.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import timedelta

from desdm.accounts import people, store, tokens
from desdm.accounts.clock import now
from desdm.accounts.model import Caller
from desdm.errors import AccessDenied
from desdm.schema.database import Database

__all__ = ["LASTS", "authenticate", "begin", "check_form", "end", "form_token"]

#: How long a browser stays logged in.
LASTS = timedelta(hours=12)


def begin(database: Database, state: Database, login: str, password: str, browser: str = "") -> str:
    """Log in: the session's token, for the cookie. A new one each time, so that none can be planted before.

    Parameters
    ----------
    database, state
        Of operations, which is only read, and the service's own.
    login, password
        As they were sent.
    browser
        Its name, for lists.

    Raises
    ------
    AccessDenied
        Login and password do not belong together.
    """
    # The hash takes its time, by design: nobody else's writing waits for it.
    person = people.check_password(database, login, password)
    secret, at = f"desdm_s_{secrets.token_urlsafe(32)}", now()
    with state.write() as conn:
        store.add_session(
            conn,
            {
                "digest": tokens.digest(secret),
                "login": person.login,
                "generation": person.session_generation,
                "name": browser[:80],
                "scopes": " ".join(sorted(tokens.actions_of(person.role))),
                "created_at": at,
                "expires_at": at + LASTS,
            },
        )
    return secret


def authenticate(database: Database, state: Database, secret: str, address: str = "") -> Caller:
    """Who acts by the token of a browser's cookie.

    Parameters
    ----------
    database, state
        Of operations, and the service's own.
    secret
        The cookie's value; a program's token is not taken for it.
    address
        From where.

    Raises
    ------
    AccessDenied
        The session is unknown, has expired or was ended, or the account is closed.
    """
    with state.read() as conn:
        session = store.session_by_digest(conn, tokens.digest(secret))
    if session is None:
        raise AccessDenied("this session is not known here; log in again", known=False)
    if session.expires_at <= now():
        raise AccessDenied("this session has expired; log in again", known=False)
    with database.read() as conn:
        person = next(iter(store.people(conn, session.login)), None)
        stands = person is not None and person.disabled_at is None and session.ended_at is None
        if not stands or person is None or person.session_generation != session.generation:
            raise AccessDenied("this session was ended; log in again", known=False)
        return tokens.caller_of(conn, person, session.scopes, address)


def end(state: Database, secret: str) -> None:
    """Log out: whoever sends the cookie again is refused."""
    with state.write() as conn:
        store.end_session(conn, tokens.digest(secret), now())


def form_token(secret: str) -> str:
    """The token that forms and scripts of the pages carry; it follows from the session and shows nothing of it."""
    return hmac.new(secret.encode(), b"desdm forms", hashlib.sha256).hexdigest()


def check_form(secret: str, sent: str) -> None:
    """Raise `AccessDenied` unless ``sent`` is the session's `form_token`: another site made the browser send it."""
    if not hmac.compare_digest(form_token(secret).encode(), sent.encode()):
        raise AccessDenied("the form is not of this session; load the page again and send it from there")
