"""Removes secrets from texts that leave the installation: passwords, tokens, keys, and values of the environment."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

__all__ = ["REMOVED", "Redactor", "secrets_of_environment"]

#: What stands in the place of a secret.
REMOVED = "[removed]"

_NAME = (
    r"[\w.-]*(?:passw(?:or)?d|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential|authorization"
    r"|cookie)[\w.-]*"
)
#: A secret's name, and what stands between it and its value.
_IS = rf"[\"']?{_NAME}[\"']?\s*(?:=>|[:=])\s*"
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
        self._secrets = sorted({s for s in secrets if len(s) >= _SHORTEST}, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """Return a text without its secrets."""
        for secret in self._secrets:
            text = text.replace(secret, REMOVED)
        for pattern, replacement in _RULES:
            text = pattern.sub(replacement, text)
        return text


def secrets_of_environment(environment: Mapping[str, str]) -> list[str]:
    """Return the values of variables whose name says that they are secret."""
    return [value for name, value in environment.items() if _SECRET_NAME.fullmatch(name)]
