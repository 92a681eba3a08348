"""Removes secrets from texts that leave the installation: passwords, tokens, keys, addresses of people."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, unquote

__all__ = [
    "REMOVED",
    "Redactor",
    "secrets_of_address",
    "secrets_of_channel",
    "secrets_of_environment",
    "without_path",
]

#: What stands in the place of a secret.
REMOVED = "[removed]"

_NAME = (
    r"[\w.-]*(?:passw(?:or)?d|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential|authorization"
    r"|cookie)[\w.-]*"
)
#: A secret's name, and what stands between it and its value.
# A name is tried where it begins only: tried at each of its characters, long words cost the square of their length.
_IS = rf"[\"']?(?<![\w.-]){_NAME}[\"']?\s*(?:=>|[:=])\s*"
_SECRET_NAME = re.compile(_NAME, re.IGNORECASE)
_RULES = (
    (
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
        ),
        REMOVED,
    ),
    # user:password@host in an address
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@]*):[^\s@/]+@", re.IGNORECASE), rf"\1:{REMOVED}@"),
    (re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\1 {REMOVED}"),
    # Tokens of known make: of this system, of code forges, of cloud services, signed JSON.
    (re.compile(r"\b(?:desdm|gh[pousr]|glpat|xox[abpr]|sk)[_-][A-Za-z0-9_-]{12,}"), REMOVED),
    (re.compile(r"\bAKIA[0-9A-Z]{16}\b"), REMOVED),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"), REMOVED),
    # addresses of people
    (re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9][A-Za-z0-9._%+-]*@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}\b"), REMOVED),
    # name = value, "name": "value", --name value; what was in quotes stays in quotes, so that JSON stays JSON
    (re.compile(rf"({_IS})\"[^\"\n]*\"", re.IGNORECASE), rf'\1"{REMOVED}"'),
    (re.compile(rf"({_IS})'[^'\n]*'", re.IGNORECASE), rf"\1'{REMOVED}'"),
    (re.compile(rf"({_IS})[^\s,;}}\"'\[]+", re.IGNORECASE), rf"\1{REMOVED}"),
    (re.compile(rf"(--{_NAME}\s+)[^\s-]\S*", re.IGNORECASE), rf"\1{REMOVED}"),
)
#: Shorter values occur in texts by chance.
_SHORTEST = 6


class Redactor:
    """Removes known secrets, and what looks like one, from texts.

    Parameters
    ----------
    secrets
        Values that must not leave the installation; those of less than six characters are not looked for.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        long = (s for s in secrets if len(s) >= _SHORTEST)
        self._secrets = sorted({form for s in long for form in _forms(s)}, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """Return a text without its secrets."""
        for secret in self._secrets:
            text = text.replace(secret, REMOVED)
        for pattern, replacement in _RULES:
            text = pattern.sub(replacement, text)
        return text

    def found_in(self, data: bytes) -> bool:
        """Tell whether bytes hold one of the known secrets."""
        return any(secret.encode() in data for secret in self._secrets)

    @property
    def longest(self) -> int:
        """Bytes of the longest known secret; 0 without one."""
        return max((len(secret.encode()) for secret in self._secrets), default=0)


def _forms(secret: str) -> Iterator[str]:
    """Yield a secret as it is, and as it stands in JSON and in the address of a page or server."""
    yield secret
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield quote(secret, safe="")
    yield unquote(secret)


def secrets_of_environment(environment: Mapping[str, str]) -> list[str]:
    """Return the values of variables whose name says that they are secret, and the passwords of addresses in others."""
    values: list[str] = []
    for name, value in environment.items():
        values += [value] if _SECRET_NAME.fullmatch(name) else secrets_of_address(value)
    return values


#: user:password@host, and what follows the host.
_ADDRESS = re.compile(r"(?:[a-z][a-z0-9+.-]*://)?[^\s:/@]*:([^\s@/]+)@", re.IGNORECASE)
#: Words of the address of a channel that may be keys.
_KEY = re.compile(r"[A-Za-z0-9_-]{12,}")


def secrets_of_address(text: str) -> list[str]:
    """Return the passwords in an address."""
    return [str(one) for one in _ADDRESS.findall(text)]


def secrets_of_channel(target: str) -> list[str]:
    """Return the passwords and long words of the address of a channel: webhooks and chat systems carry their keys there."""
    scheme, _, rest = target.partition("://")
    if scheme.lower() in ("http", "https"):
        rest = rest.partition("/")[2]
    return secrets_of_address(target) + [str(word) for word in _KEY.findall(rest)]


def without_path(text: str, path: str, word: str) -> str:
    """Return a text with a word in the place of a path and of the beginning of paths below it, and of nothing else.

    Parameters
    ----------
    text
        The text.
    path
        Absolute path, which may be short: ``/srv`` is no part of ``@BUNDLE@/srv`` or ``/srv2``.
    word
        What stands for it.
    """
    if path in ("", "/"):
        return text
    return re.sub(rf"(?<![\w@.~/-]){re.escape(path)}(?![\w.-])", lambda _: word, text)
