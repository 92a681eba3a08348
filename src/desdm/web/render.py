"""Rendering of pages from templates: values are escaped, addresses of static files have a content hash."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from secrets import token_urlsafe

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from desdm.accounts.model import Action, Caller
from desdm.accounts.sessions import form_token
from desdm.operations.dts.paths import printable
from desdm.services.context import caller_of
from desdm.web.bundles import STATIC, bundle_address
from desdm.web.desktexts import DESK_FILTERS

__all__ = ["page", "static"]


#: Pages in the navigation bar, each with the action that a caller needs to see it.
_BAR = (
    ("/query", "Query", Action.READ),
    ("/cutout", "Cutouts", Action.READ),
    ("/map", "Map", Action.READ),
    ("/pick", "Files", Action.READ),
    ("/api", "Programs", Action.READ),
)
#: Areas for people with an office: first page, title, actions of which one is needed, and pages of the area.
_DESKS = (
    (
        "/ops",
        "Operations",
        (Action.SEE_OPERATIONS,),
        (
            ("/ops", "Tonight"),
            ("/ops/arrival", "Arrival"),
            ("/ops/queue", "Queue"),
            ("/ops/runs", "Runs"),
            ("/ops/log", "Logbook"),
        ),
    ),
    (
        "/qa",
        "Quality",
        (Action.SEE_OPERATIONS, Action.ANSWER),
        (
            ("/qa/review", "Review"),
            ("/qa/problems", "Problems"),
            ("/qa/dispatch", "Dispatch"),
        ),
    ),
    ("/survey", "Survey", (Action.SEE_OPERATIONS,), ()),
)


@cache
def static(name: str) -> str:
    """Return the address of a static file with a hash of its content, so that browsers may cache it."""
    return f"/static/{name}?{hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:10]}"


def _icon() -> str:
    """Return the icon of the site as a data URI, so that a page needs no request for it."""
    data = base64.b64encode((STATIC / "icon.svg").read_bytes()).decode("ascii")
    return f"data:image/svg+xml;base64,{data}"


@cache
def _environment() -> Environment:
    """Return the template environment of the pages."""
    environment = Environment(
        loader=PackageLoader("desdm.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        icon=_icon(), static=static, bundle=bundle_address, bar=_BAR, desks=_DESKS, Action=Action
    )
    environment.filters.update(
        size=_size,
        underscored=_underscored,
        printable=printable,
        count=lambda number: f"{number:,}".replace(",", "\u2009"),
    )
    environment.filters.update(DESK_FILTERS)
    return environment


def page(
    request: Request,
    template: str,
    status: int = 200,
    *,
    own_address: str = "",
    newest: int | None = None,
    **values: object,
) -> HTMLResponse:
    """Render a page for the caller of a request.

    Parameters
    ----------
    request
        Request, which names caller and session.
    template
        File name below ``templates``.
    status
        HTTP status.
    own_address
        Address at which the page is loaded again, of one that answers a form; empty: that of the form.
    newest
        Number of the newest event before the page's content was read, of one that keeps itself up to date.
    values
        Values of the template.

    Returns
    -------
    HTMLResponse
        The page.
    """
    caller: Caller = caller_of(request)
    secret = request.scope.get("desdm.session")
    query = f"?{request.url.query}" if request.url.query else ""
    text = (
        _environment()
        .get_template(template)
        .render(
            caller=caller,
            # The name of this page tells a form that is sent twice from two forms.
            csrf=f"{form_token(secret)}.{token_urlsafe(9)}" if secret else "",
            path=request.url.path,
            address_query=request.url.query,
            live_address=(own_address or request.url.path + query) if request.method == "POST" else "",
            newest_event=newest,
            **values,
        )
    )
    headers = {"desdm-page": "1", "Cache-Control": "no-store" if caller.known else "no-cache"}
    return HTMLResponse(text, status, headers)


def _underscored(name: str) -> Markup:
    """Return a name that a browser breaks only after its underscores."""
    return Markup("_<wbr>").join(name.split("_"))


def _size(count: float) -> str:
    """Return a number of bytes as text with a unit."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
