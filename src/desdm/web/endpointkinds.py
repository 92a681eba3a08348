"""Kinds of endpoints of the web pages: pages and forms."""

from __future__ import annotations

from desdm.accounts.model import Action
from desdm.services.endpoint import Endpoint
from desdm.services.parameters import NO_PARAMETERS, ParameterSet

__all__ = ["HTML", "form_endpoint", "page_endpoint"]

HTML = ("text/html",)


def page_endpoint(
    path: str,
    text: str,
    media_types: tuple[str, ...] = HTML,
    account: bool = False,
    parameters: ParameterSet = NO_PARAMETERS,
    action: Action | None = None,
) -> Endpoint:
    """Return an endpoint that shows a page or a document.

    Parameters
    ----------
    path, text
        Path, and what is shown.
    media_types
        Media types of the response.
    account
        Whether only callers who are logged in may see it.
    parameters
        Parameters in the address.
    action
        Action that the caller must be allowed.
    """
    return Endpoint(
        ("GET",),
        path,
        text,
        parameters,
        media_types=media_types,
        needs_account=account,
        principal=False,
        action=action,
    )


def form_endpoint(
    path: str, text: str, status: int = 303, account: bool = True, action: Action | None = None
) -> Endpoint:
    """Return an endpoint for a form of a page.

    Parameters
    ----------
    path, text
        Path, and what the form does.
    status
        Status of the response to a form that succeeds.
    account
        Whether only callers who are logged in may send it.
    action
        Action that the caller must be allowed.
    """
    return Endpoint(
        ("POST",),
        path,
        text,
        media_types=HTML,
        status=status,
        needs_account=account,
        principal=False,
        action=action,
    )
