"""The account page: creation and revocation of tokens, own tables, rights; for staff, denials."""

from __future__ import annotations

from datetime import timedelta

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from desdm.accounts import people, store, tokens
from desdm.accounts.clock import now
from desdm.accounts.model import Action
from desdm.errors import AccessDenied, UsageError
from desdm.services.context import Services, caller_of
from desdm.services.endpoint import routes_of
from desdm.services.limits import limits_of
from desdm.services.parameters import parse_real
from desdm.services.responses import run_blocking
from desdm.web.endpoints import ACCOUNT, REVOKE, TOKEN
from desdm.web.pages.login import checked_form, small_form
from desdm.web.render import page

__all__ = ["routes"]


def routes(services: Services) -> list[BaseRoute]:
    """Routes of the page and of its forms."""

    def show(request: Request, secret: str = "", trouble: str = "") -> Response:
        """Render the account page.

        Parameters
        ----------
        request
            Request of the caller.
        secret
            Secret of a new token, shown once.
        trouble
            Error of the last form.

        Returns
        -------
        Response
            The page.
        """
        caller = caller_of(request)
        with services.database.read() as conn:
            person = people.find(conn, caller.login)
            held = store.offices_of(conn, caller.login, now())
            valid_tokens = [
                t for t in store.tokens(conn, caller.login) if t.revoked_at is None and t.expires_at > now()
            ]
        with services.state.read() as conn:
            last_uses = store.last_uses(conn)
            denied = store.denials(conn, 50) if caller.may(Action.DENIALS) else None
        return page(
            request,
            "account.html",
            400 if trouble else 200,
            person=person,
            tokens=valid_tokens,
            used=last_uses,
            may=sorted(caller.actions),
            offices=held,
            withheld=tokens.WITHHELD,
            rights=sorted(caller.rights),
            staff=caller.may(Action.SEE_DRAFTS),
            quota=limits_of(person.role).mydb_bytes,
            denials=denied,
            secret=secret,
            trouble=trouble,
        )

    async def account(request: Request) -> Response:
        if not isinstance(request.scope.get("desdm.session"), str):
            return RedirectResponse("/login?next=/account", 303)
        return await run_blocking(services, lambda: show(request))

    async def token(request: Request) -> Response:
        await checked_form(request)
        form = await small_form(request)
        login = caller_of(request).login

        def create() -> Response:
            try:
                if not caller_of(request).may(Action.TOKEN):
                    raise AccessDenied("your role makes no tokens")
                scopes = [Action(str(s)) for s in form.getlist("scope") if str(s) in tuple(Action)]
                lasts = timedelta(days=parse_real("days", str(form.get("days", "90")), 0.0, 366.0))
                with services.database.write() as conn:
                    secret = tokens.make(
                        conn,
                        people.find(conn, login),
                        name=str(form.get("name", ""))[:80],
                        scopes=scopes,
                        lasts=lasts,
                        who=login,
                    )
            except UsageError as err:
                return show(request, trouble=str(err))
            return show(request, secret=secret)

        return await run_blocking(services, create)

    async def revoke(request: Request) -> Response:
        await checked_form(request)
        number = str((await small_form(request)).get("number", ""))
        login = caller_of(request).login

        def end() -> Response:
            if number.isascii() and number.isdigit() and len(number) < 10:
                with services.database.write() as conn:
                    tokens.revoke(conn, login, int(number), who=login)
            return RedirectResponse("/account", 303)

        return await run_blocking(services, end)

    return routes_of([(ACCOUNT, account), (TOKEN, token), (REVOKE, revoke)])
