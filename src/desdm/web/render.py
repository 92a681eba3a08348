"""Pages out of templates: every value escaped, every address of a static file marked with its content."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from desdm.accounts.model import Action, Caller
from desdm.accounts.sessions import form_token
from desdm.services.context import caller_of

__all__ = ["STATIC", "page", "static"]

STATIC = Path(__file__).parent / "static"

#: Pages in the bar at the top.
_BAR = (
    ("/query", "Query"),
    ("/cutout", "Cutouts"),
    ("/map", "Map"),
    ("/pick", "Files"),
    ("/api", "Programs"),
)


@cache
def static(name: str) -> str:
    """Address of a static file, with a mark of its content, so that browsers may keep it."""
    return f"/static/{name}?{hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:10]}"


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("desdm.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(static=static, bar=_BAR, Action=Action)
    made.filters.update(
        size=_size, underscored=_underscored, count=lambda number: f"{number:,}".replace(",", "\u2009")
    )
    return made


def page(request: Request, template: str, status: int = 200, **values: object) -> HTMLResponse:
    """A page from ``templates/<template>``; it knows the caller and the token of its forms."""
    caller: Caller = caller_of(request)
    secret = request.scope.get("desdm.session")
    text = (
        _environment()
        .get_template(template)
        .render(caller=caller, csrf=form_token(secret) if secret else "", path=request.url.path, **values)
    )
    headers = {"desdm-page": "1", "Cache-Control": "no-store" if caller.known else "no-cache"}
    return HTMLResponse(text, status, headers)


def _underscored(name: str) -> Markup:
    """A name that a browser breaks after its underscores and nowhere else."""
    return Markup("_<wbr>").join(name.split("_"))


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
