"""Settings of the shell, stored in a small file between sessions."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from desdm.errors import UsageError, storage_error

__all__ = ["Settings", "folder", "load", "store"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of a user.

    Attributes
    ----------
    max_rows
        Rows fetched for the terminal; a file gets all.
    null
        Text of a null.
    completion
        Whether names are completed while the user types.
    timing
        Whether rows and seconds are printed after each query.
    job
        Whether queries run as jobs of the service (for long ones).
    """

    max_rows: int = 100
    null: str = "null"
    completion: bool = True
    timing: bool = True
    job: bool = False

    def changed(self, name: str, value: str) -> Settings:
        """Return the settings with one changed.

        Raises
        ------
        UsageError
            If there is no such setting or the value does not fit.
        """
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        if name not in values:
            raise UsageError(f"there is no setting {name}; there are: {', '.join(values)}")
        if isinstance(values[name], bool):
            if value.lower() not in ("yes", "no", "on", "off", "true", "false"):
                raise UsageError(f"{name} is yes or no")
            return _replaced(self, name, value.lower() in ("yes", "on", "true"))
        if isinstance(values[name], int):
            if not value.isdigit():
                raise UsageError(f"{name} is a whole number")
            return _replaced(self, name, int(value))
        return _replaced(self, name, value)


def _replaced(settings: Settings, name: str, value: str | int | bool) -> Settings:
    """Return the settings with a new value of one."""
    return Settings(**{**asdict(settings), name: value})


def folder() -> Path:
    """Return the folder of settings and history: ``$DESDM_SQL_HOME``, else ``~/.config/desdm``."""
    return Path(os.environ.get("DESDM_SQL_HOME") or Path.home() / ".config" / "desdm")


def load() -> Settings:
    """Read the settings; unreadable ones have their defaults."""
    try:
        document = json.loads((folder() / "sql.json").read_text("utf-8"))
    except (OSError, ValueError):
        return Settings()
    settings = Settings()
    for name, value in document.items() if isinstance(document, dict) else ():
        if isinstance(value, str | int) and value.__class__ is getattr(settings, name, None).__class__:
            settings = _replaced(settings, name, value)
    return settings


def store(settings: Settings) -> None:
    """Write the settings."""
    try:
        folder().mkdir(parents=True, exist_ok=True)
        (folder() / "sql.json").write_text(json.dumps(asdict(settings), indent=1) + "\n", "utf-8")
    except OSError as err:
        raise storage_error(err, folder()) from err
