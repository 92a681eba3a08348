"""Filters in the address of a page of the desk, and its forms: fields, the act, and the page again if it is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from desdm.errors import AccessDenied, DesdmError, UsageError
from desdm.numbers import finite_number
from desdm.services.context import Services
from desdm.services.endpoint import Endpoint
from desdm.services.error_responses import public_message, status_of
from desdm.services.parameters import Values
from desdm.services.responses import run_blocking
from desdm.web.pages.login import checked_form, small_form
from desdm.web.sentforms import SentForms

__all__ = ["Form", "Refusal", "filters", "perform", "posted", "query_of"]

#: A whole number that every column of the database holds.
_WHOLE = re.compile(r"-?[0-9]{1,9}")
#: Fields of a form: a page shows 100 rows to choose from.
_MOST_FIELDS = 250
#: Control characters but tab, ends of lines and escape, which is shown as text; and those that turn the reading order
#: (Unicode Bidirectional Algorithm).
_CONTROL = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1a\\x1c-\\x1f\\x7f\\u202a-\\u202e\\u2066-\\u2069]")


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form that was sent.

    Attributes
    ----------
    fields
        Values by name.
    rows
        Numbers of the rows that were chosen.
    key
        By which it is known among those that were sent; empty: it was sent by a program.
    """

    fields: Mapping[str, str]
    rows: tuple[int, ...] = ()
    key: str = ""

    def text(self, name: str) -> str:
        """Return a field without surrounding blanks; empty if it was not sent."""
        return self.fields.get(name, "").strip()

    def whole(self, name: str, words: str) -> int:
        """Return a field as a whole number; `UsageError` with what it is, otherwise."""
        text = self.text(name)
        if _WHOLE.fullmatch(text) is None:
            raise UsageError(f"{words}: a whole number is wanted, not {text[:20] or 'nothing'}")
        return int(text)

    def real(self, name: str, words: str) -> float | None:
        """Return a field as a number, None if it is empty; `UsageError` with what it is, otherwise."""
        text = self.text(name)
        if not text:
            return None
        try:
            return finite_number(text)
        except ValueError as err:
            raise UsageError(f"{words}: a number is wanted, not {text[:20]}") from err


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a form was refused, and what it held, so that nothing has to be typed again."""

    message: str = ""
    status: int = 200
    fields: Mapping[str, str] | None = None
    rows: tuple[int, ...] = ()

    @classmethod
    def of(cls, err: DesdmError, form: Form) -> Refusal:
        """Return the refusal of a form by an error."""
        return cls(public_message(err), status_of(err), form.fields, form.rows)

    def field(self, name: str, default: str = "") -> str:
        """Return what a field held."""
        return default if self.fields is None else self.fields.get(name, default)


def filters(request: Request, endpoint: Endpoint) -> Values:
    """Return the filters in the address of a page; `UsageError` as of `ParameterSet.read`."""
    pairs = [(name.upper(), value) for name, value in request.query_params.multi_items()]
    return endpoint.parameters.read(pairs)


def query_of(values: Mapping[str, object]) -> str:
    """Return the query of an address with those values that are not empty."""
    return urlencode({name: value for name, value in values.items() if value not in ("", None)})


async def posted(request: Request) -> Form:
    """Return the fields of a form of our pages.

    Raises
    ------
    AccessDenied
        Another site sent the form.
    ConflictError
        The same form was sent before.
    UsageError
        A field has characters that direct a terminal or the reading order.
    """
    await checked_form(request, _MOST_FIELDS)
    form = await small_form(request, _MOST_FIELDS)
    for name, value in form.multi_items():
        if found := _CONTROL.search(str(value)):
            raise UsageError(f"{name}: the character U+{ord(found[0]):04X} is no text; leave it out")
    repeated = {f"{name}:{n}": str(value) for n, (name, value) in enumerate(form.multi_items())}
    services = request.app.state.services
    assert isinstance(services, Services)
    fields = {**repeated, "csrf": str(form.get("csrf", ""))}
    key = await run_blocking(services, lambda: SentForms(services.state).take(request.url.path, fields))
    rows = [int(value) for value in map(str, form.getlist("row")) if _WHOLE.fullmatch(value)]
    return Form({name: str(value) for name, value in form.items() if name != "csrf"}, tuple(rows), key)


async def perform(
    services: Services,
    form: Form,
    act: Callable[[], str | Response],
    show: Callable[[Refusal], Response],
) -> Response:
    """Do what a form asks for, and go on to another page; show the page with the message if that is refused.

    A form that was refused, or only looked, has done nothing, and may be sent again.

    Parameters
    ----------
    services
        Shared state of the services.
    form
        The form.
    act
        Does it in a thread, and returns the address of the page that follows; or a page, if nothing was done yet.
    show
        Renders the page of the form, in the same thread.
    """

    def work() -> Response:
        try:
            target = act()
        except DesdmError as err:
            # Nothing was done: the same form may be sent again, for instance by loading the page again.
            SentForms(services.state).forget(form.key)
            if isinstance(err, AccessDenied):
                raise
            return show(Refusal.of(err, form))
        if isinstance(target, Response):
            SentForms(services.state).forget(form.key)
            return target
        return RedirectResponse(target, 303)

    return await run_blocking(services, work)
