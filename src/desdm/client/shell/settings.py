"""Settings of the shell, kept in a small file between sessions."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from desdm.errors import UsageError, storage_error

__all__ = ["Settings", "folder", "load", "store"]


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user may choose.

    Attributes
    ----------
    max_rows
        Rows that are fetched when an answer is shown; a file gets all.
    null
        How a null is shown.
    completion
        Whether names are offered while one types.
    timing
        Whether rows and seconds are told after each query.
    job
        Whether queries run as jobs of the service (for long ones).
    """

    max_rows: int = 100
    null: str = "null"
    completion: bool = True
    timing: bool = True
    job: bool = False

    def changed(self, name: str, value: str) -> Settings:
        """The same with one setting changed.

        Raises
        ------
        UsageError
            If there is no such setting or the value does not fit.
        """
        known = {f.name: getattr(self, f.name) for f in fields(self)}
        if name not in known:
            raise UsageError(f"there is no setting {name}; there are: {', '.join(known)}")
        if isinstance(known[name], bool):
            if value.lower() not in ("yes", "no", "on", "off", "true", "false"):
                raise UsageError(f"{name} is yes or no")
            return _with(self, name, value.lower() in ("yes", "on", "true"))
        if isinstance(known[name], int):
            if not value.isdigit():
                raise UsageError(f"{name} is a whole number")
            return _with(self, name, int(value))
        return _with(self, name, value)


def _with(settings: Settings, name: str, value: Any) -> Settings:
    return replace(settings, **{name: value})


def folder() -> Path:
    """Where settings and history are kept: ``$DESDM_SQL_HOME``, else ``~/.config/desdm``."""
    return Path(os.environ.get("DESDM_SQL_HOME") or Path.home() / ".config" / "desdm")


def load() -> Settings:
    """The kept settings; what cannot be read is as if it were not there."""
    try:
        held = json.loads((folder() / "sql.json").read_text("utf-8"))
    except (OSError, ValueError):
        return Settings()
    made = Settings()
    for name, value in held.items() if isinstance(held, dict) else ():
        if type(value) is type(getattr(made, name, None)):
            made = _with(made, name, value)
    return made


def store(settings: Settings) -> None:
    """Keep the settings."""
    try:
        folder().mkdir(parents=True, exist_ok=True)
        (folder() / "sql.json").write_text(json.dumps(asdict(settings), indent=1) + "\n", "utf-8")
    except OSError as err:
        raise storage_error(err, folder()) from err
