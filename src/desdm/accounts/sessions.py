"""Browser sessions: login by password, the token in the cookie, the token of forms (CSRF), logout.

They are in the service database, so that a login does not wait for writers of the operations database. A new password or
a closed account ends all sessions of a person by increasing its generation in the operations database.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import timedelta

from desdm.accounts import people, store, tokens
from desdm.accounts.clock import now
from desdm.accounts.model import Action, Caller, Session
from desdm.errors import AccessDenied
from desdm.schema.database import Database

__all__ = ["LASTS", "authenticate", "begin", "check_form", "end", "form_token"]

#: Life time of a session.
LASTS = timedelta(hours=12)


def begin(database: Database, state: Database, login: str, password: str, browser: str = "") -> str:
    """Log in and return the token for the cookie; new at each login, against session fixation.

    Parameters
    ----------
    database, state
        Operations database, which is only read, and service database.
    login, password
        Credentials as the client sent them.
    browser
        Name of the browser, for lists.

    Raises
    ------
    AccessDenied
        Login and password do not match.
    """
    # The hash is slow by design, so that it runs outside of any transaction.
    person = people.check_password(database, login, password)
    secret, at = f"desdm_s_{secrets.token_urlsafe(32)}", now()
    with state.write() as conn:
        store.add_session(
            conn,
            tokens.digest(secret),
            # All actions: role and offices, which may change meanwhile, narrow them at each request.
            Session(person.login, person.session_generation, frozenset(Action), at + LASTS, None),
            browser=browser[:80],
            created_at=at,
        )
    return secret


def authenticate(database: Database, state: Database, secret: str, address: str = "") -> Caller:
    """Return the caller of a session.

    Parameters
    ----------
    database, state
        Operations database and service database.
    secret
        Value of the cookie; a program's token is not accepted.
    address
        Address of the client.

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
        valid = person is not None and person.disabled_at is None and session.ended_at is None
        if not valid or person is None or person.session_generation != session.generation:
            raise AccessDenied("this session was ended; log in again", known=False)
        return tokens.caller_of(conn, person, session.scopes, address)


def end(state: Database, secret: str) -> None:
    """Log out: end the session of a cookie."""
    with state.write() as conn:
        store.end_session(conn, tokens.digest(secret), now())


def form_token(secret: str) -> str:
    """Return the token of forms and scripts, derived from the session without disclosing it."""
    return hmac.new(secret.encode(), b"desdm forms", hashlib.sha256).hexdigest()


def check_form(secret: str, sent: str) -> None:
    """Raise `AccessDenied` unless ``sent`` is the session's `form_token`: another site made the browser send it.

    What follows a dot in it names the page of the form, and is not looked at here.
    """
    if not hmac.compare_digest(form_token(secret).encode(), sent.partition(".")[0].encode()):
        raise AccessDenied("the form is not of this session; load the page again and send it from there")
