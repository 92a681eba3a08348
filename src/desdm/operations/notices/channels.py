"""Channels of notices: mail, webhooks, and what apprise knows (chat and ticket systems)."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from desdm.config import Config
from desdm.errors import ConfigError, TransientError, UsageError
from desdm.mail import send_mail
from desdm.operations.notices.model import Message

__all__ = ["channel"]

#: Seconds that a webhook may take.
_PATIENCE = 20.0


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
        raise ConfigError(
            "only mailto:, http: and https: work without apprise; install it: pip install 'desdm[notices]'"
        ) from err
    notifier = apprise.Apprise()
    if not notifier.add(message.target):
        raise UsageError("apprise does not know this kind of target; correct the rule")
    if not notifier.notify(title=message.subject, body=message.body):
        raise TransientError("the channel did not take the message")
