"""Mail by the server of the settings."""

from __future__ import annotations

import smtplib
from collections.abc import Sequence
from contextlib import suppress
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from desdm.config import Config
from desdm.errors import ConfigError, TransientError

__all__ = ["send_mail"]

#: Seconds that the mail server may take for one step.
_PATIENCE = 30.0


def send_mail(
    config: Config,
    to: Sequence[str],
    subject: str,
    body: str,
    *,
    message_id: str = "",
    patience: float = _PATIENCE,
) -> None:
    """Mail a text.

    Parameters
    ----------
    config
        Settings with the mail server and the sender.
    to
        Addresses.
    subject, body
        Subject, of which only the first line counts, and text.
    message_id
        Left part of the Message-ID: the same mail, sent again, has the same one. Empty: a new one.
    patience
        Seconds that the server may take for one step.

    Raises
    ------
    ConfigError
        The server or an address in the settings is missing or invalid.
    TransientError
        The server does not take the mail, or refuses an address.
    """
    if not config.mail_from:
        raise ConfigError("services.mail_from is not set; set the sender of mails in desdm.toml")
    host, _, port = config.mail_server.rpartition(":")
    if not host or not port.isdigit():
        raise ConfigError(f"services.mail_server = {config.mail_server!r}: say host:port")
    mail = EmailMessage()
    try:
        mail["From"] = Address(addr_spec=config.mail_from)
        mail["To"] = [Address(addr_spec=address) for address in to]
    except (ValueError, HeaderParseError) as err:
        raise ConfigError(f"invalid mail address: {err}; correct it in desdm.toml or in the rule") from err
    mail["Subject"] = subject.partition("\n")[0].strip()
    mail["Date"] = formatdate()
    domain = config.mail_from.rpartition("@")[2] or "localhost"
    mail["Message-ID"] = f"<{message_id}@{domain}>" if message_id else make_msgid(domain=domain)
    mail.set_content(body)
    try:
        server = smtplib.SMTP(host, int(port), timeout=patience)
        try:
            refused = server.send_message(mail, to_addrs=list(to))
        finally:
            # Whatever the server says to this, it has taken the mail or not.
            with suppress(OSError, smtplib.SMTPException):
                server.quit()
            server.close()
    except (OSError, smtplib.SMTPException) as err:
        raise TransientError(
            f"the mail server {config.mail_server} did not take the mail: {err}; try again"
        ) from err
    if refused:
        raise TransientError(
            f"the mail server refused {', '.join(refused)}; correct the addresses and announce again"
        )
