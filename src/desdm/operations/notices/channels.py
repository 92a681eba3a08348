"""Channels of notices: mail, webhooks, and what apprise knows (chat and ticket systems)."""

from __future__ import annotations

from collections.abc import Callable
from email.errors import HeaderParseError
from email.headerregistry import Address
from importlib import import_module
from urllib.parse import urlsplit

from desdm.config import Config
from desdm.errors import ConfigError, TransientError, UsageError
from desdm.mail import send_mail
from desdm.operations.notices.model import Message

__all__ = ["channel", "missing_setting", "require_target"]

#: Seconds that a webhook may take.
_PATIENCE = 20.0
_NO_APPRISE = "only mailto:, http: and https: work without apprise; install it: pip install 'desdm[notices]'"


def require_target(target: str) -> None:
    """Check that something can be sent to a target.

    Raises
    ------
    UsageError
        Nothing ever can: it is no address of mail and no URL, or of a kind that is not known here.
    """
    scheme, sign, rest = target.partition(":")
    if not sign or not rest or not scheme.isascii() or not scheme.replace("+", "").isalnum():
        raise UsageError(f"{target[:60]!r} is no target; give mailto:ADDRESS or the URL of a channel")
    if any(c.isspace() or not c.isprintable() for c in target):
        raise UsageError(f"{target[:60]!r} is no target: it holds blanks or control characters")
    if scheme == "mailto":
        _require_address(rest)
    elif scheme in ("http", "https"):
        try:
            parts = urlsplit(target)
            usable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except ValueError:
            usable = False
        if not usable:
            raise UsageError(f"{scheme}: of the target is no URL with the name of a host")
    else:
        _require_kind(target, scheme)


def _require_address(address: str) -> None:
    """Raise `UsageError` unless a text is one address of mail."""
    try:
        parsed = Address(addr_spec=address)
    except (ValueError, IndexError, HeaderParseError) as err:
        raise UsageError(f"{address[:60]!r} is not an address of mail: give mailto:NAME@HOST") from err
    if not parsed.username or not parsed.domain or "?" in parsed.domain:
        raise UsageError(f"{address[:60]!r} is not an address of mail: give mailto:NAME@HOST")


def _require_kind(target: str, scheme: str) -> None:
    """Raise `UsageError` unless apprise is installed and knows a target of this kind."""
    try:
        apprise = import_module("apprise")
    except ModuleNotFoundError as err:
        raise UsageError(f"nothing can be sent to {scheme}: targets here; {_NO_APPRISE}") from err
    if not apprise.Apprise().add(target):
        raise UsageError(f"apprise does not know {scheme}: targets of this kind; correct the target")


def missing_setting(config: Config, target: str) -> str:
    """Return which setting of the installation is missing to send to a target; empty: none."""
    if not target.startswith("mailto:") or config.mail_from:
        return ""
    return "services.mail_from is not set: no mail is sent until the sender of mails is set in desdm.toml"


def channel(config: Config) -> Callable[[Message], None]:
    """Return the function that sends a message by the channel that its target names.

    Parameters
    ----------
    config
        Settings with the mail server.
    """

    def send(message: Message) -> None:
        scheme, _, rest = message.target.partition(":")
        if scheme == "mailto":
            send_mail(
                config, [rest], message.subject, message.body, message_id=message.batch, patience=_PATIENCE
            )
        elif scheme in ("http", "https"):
            _post(message)
        else:
            _apprise(message)

    return send


def _post(message: Message) -> None:
    """Send a message to a webhook as JSON; ``id`` is the same at each try."""
    import requests

    document = {
        "id": message.batch,
        "subject": message.subject,
        "severity": message.severity.value,
        "text": message.body,
    }
    try:
        response = requests.post(message.target, json=document, timeout=_PATIENCE, allow_redirects=False)
    except requests.RequestException as err:
        raise TransientError(f"the webhook does not answer: {type(err).__name__}") from err
    if response.status_code >= 300:
        raise TransientError(f"the webhook answers with status {response.status_code}")


def _apprise(message: Message) -> None:
    """Send a message by apprise; one target a call, since it tells one result only."""
    try:
        apprise = import_module("apprise")
    except ModuleNotFoundError as err:
        raise ConfigError(_NO_APPRISE) from err
    notifier = apprise.Apprise()
    if not notifier.add(message.target):
        raise UsageError("apprise does not know this kind of target; correct the rule")
    if not notifier.notify(title=message.subject, body=message.body):
        raise TransientError("the channel did not take the message")
