"""The installation's settings: ``desdm.toml``, found, read and typed once.

An installation is a directory with ``desdm.toml``. It is found by ``--home``, ``$DESDM_HOME``, or the nearest
``desdm.toml`` upward. Secrets are in the environment or in a file that group and others cannot read.
"""

from __future__ import annotations

import math
import os
import pwd
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from desdm.errors import ConfigError

__all__ = ["Config", "find_home", "load", "password", "person"]

FILENAME = "desdm.toml"

_KNOWN = {
    "database": {"url", "password_file"},
    "archive": {"name", "root", "grace_days", "delete_bound"},
    "engine": {"workers", "max_tries", "hold_memory"},
    "site": {"project", "campaign", "operator"},
    "release": {"blessed_only"},
    "services": {
        "accel",
        "database",
        "mail_server",
        "mail_from",
        "mail_to",
        "state",
        "keep_denials_days",
        "keep_free_mb",
    },
}

#: Most characters of a name that rows of the database hold; the largest whole number that they hold.
_NAME, _SHORT_NAME = 32, 16
_LARGEST = 2**31 - 1
#: Days and megabytes beyond which times and sizes can no longer be computed with.
_MOST_DAYS, _MOST_MB = 1e6, 1e12


@dataclass(frozen=True, slots=True)
class Config:
    """One installation's settings.

    Attributes
    ----------
    home
        Directory of ``desdm.toml``.
    database_url
        SQLAlchemy URL, without password.
    archive_name, archive_root
        The primary archive.
    grace_days
        How long deleted files can be recovered.
    delete_bound
        The most files that one deletion may take.
    workers
        Processes of the embedded engine; 0: one a processor.
    max_tries
        How often a job that was lost (not failed) is given out.
    hold_memory
        MB of images that a job holds in memory between its modules; more of them lie in a file of its work folder.
    services_database
        PostgreSQL that serves the release tables; empty: the embedded DuckDB.
    services_accel
        Prefix below which a front server (nginx, ``internal``) finds the directory of the releases: files then go out by
        its sendfile (X-Accel-Redirect). Empty: they go out from this process.
    services_state
        URL of the service's own database: jobs, denials, use of tokens.
    keep_denials_days
        How long denials are kept.
    keep_free_mb
        MB of the disk that jobs leave free: with less, no job is made.
    blessed_only
        Whether releases take only runs that a person has blessed.
    project, campaign
        Of runs that name none.
    operator
        Author of every act of this process: the person (`person`); the setting only where the environment names none.
    mail_server, mail_from, mail_to
        SMTP server as host:port, sender, and the addresses (comma list) to which releases are announced.
    """

    home: Path
    database_url: str
    archive_name: str
    archive_root: Path
    grace_days: float
    delete_bound: int
    workers: int
    max_tries: int
    hold_memory: int
    blessed_only: bool
    project: str
    campaign: str
    operator: str
    password_file: Path | None
    services_database: str
    services_accel: str
    services_state: str
    keep_denials_days: float
    keep_free_mb: float
    mail_server: str
    mail_from: str
    mail_to: str

    @property
    def runs(self) -> Path:
        """Where runs keep their job files, work folders and logs until they are archived."""
        return self.home / "runs"

    @property
    def releases(self) -> Path:
        """Where releases lie, a directory each."""
        return self.home / "releases"


def find_home(home: str | os.PathLike[str] | None = None) -> Path:
    """The installation's directory; `ConfigError` if there is none."""
    named = home or os.environ.get("DESDM_HOME")
    if named:
        path = Path(named).absolute()
        if not (path / FILENAME).is_file():
            raise ConfigError(f"{path} is not an installation (no {FILENAME}); run: desdm init {path}")
        return path
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / FILENAME).is_file():
            return folder
    raise ConfigError(f"no {FILENAME} here or above; give --home, set DESDM_HOME, or run: desdm init DIR")


def _with_line(said: str, path: Path) -> str:
    """The message of the TOML reader with a line, also where it met the end too early."""
    lines = path.read_text("utf-8").rstrip().splitlines()
    return said.replace(
        "(at end of document)", f"(at line {len(lines)}, the last: {lines[-1][:60] if lines else ''!r})"
    )


def load(home: str | os.PathLike[str] | None = None) -> Config:
    """Read the settings of an installation; every unknown key is an error that names it."""
    folder = find_home(home)
    path = folder / FILENAME
    try:
        tree = tomllib.loads(path.read_text("utf-8"))
    except tomllib.TOMLDecodeError as err:
        raise ConfigError(f"{path}: {_with_line(str(err), path)}") from err
    except UnicodeDecodeError as err:
        raise ConfigError(f"{path}: {err}; save it as UTF-8") from err
    except OSError as err:
        raise ConfigError(f"{path}: {err.strerror}") from err
    for section, keys in tree.items():
        if section in _KNOWN and not isinstance(keys, dict):
            raise ConfigError(f"{path}: {section} must be a section: write its keys below [{section}]")
        if section not in _KNOWN:
            raise ConfigError(f"{path}: unknown section [{section}]; known: {', '.join(_KNOWN)}")
        for key in keys:
            if key not in _KNOWN[section]:
                raise ConfigError(
                    f"{path}: unknown key {section}.{key}; known: {', '.join(sorted(_KNOWN[section]))}"
                )
    get = _Reader(path, tree)
    secret = get.text("database", "password_file", "")
    return Config(
        home=folder,
        database_url=_absolute(get.url("database", "url", "sqlite:///desdm.sqlite"), folder),
        archive_name=get.name("archive", "name", "primary", _SHORT_NAME),
        archive_root=folder / get.name("archive", "root", "archive"),
        grace_days=get.number("archive", "grace_days", 30, _MOST_DAYS),
        delete_bound=get.count("archive", "delete_bound", 10_000),
        workers=get.count("engine", "workers", 0),
        max_tries=get.count("engine", "max_tries", 3),
        hold_memory=get.count("engine", "hold_memory", 1024),
        blessed_only=get.flag("release", "blessed_only", False),
        project=get.name("site", "project", "OPS", _SHORT_NAME),
        campaign=get.name("site", "campaign", "MAIN", _NAME),
        operator=person(get.name("site", "operator", _account() or "operator", _NAME)),
        password_file=folder / secret if secret else None,
        services_database=get.url("services", "database", ""),
        services_accel=get.text("services", "accel", ""),
        services_state=_absolute(get.url("services", "state", "sqlite:///service.sqlite"), folder),
        keep_denials_days=get.number("services", "keep_denials_days", 90, _MOST_DAYS),
        keep_free_mb=get.number("services", "keep_free_mb", 200, _MOST_MB),
        mail_server=get.text("services", "mail_server", ""),
        mail_from=get.text("services", "mail_from", ""),
        mail_to=get.text("services", "mail_to", ""),
    )


def _absolute(url: str, folder: Path) -> str:
    """The URL of a database; the path of one of SQLite is taken from the installation, wherever a command runs."""
    dialect, sign, rest = url.partition(":///")
    prefix = dialect + sign
    path, mark, options = rest.partition("?")
    if dialect not in ("sqlite", "sqlite+pysqlite") or path in ("", ":memory:") or path.startswith("file:"):
        return url
    return f"{prefix}{folder / path}{mark}{options}"


def person(default: str = "") -> str:
    """Return who acts: the person at the terminal, else ``default``, else the account of the process.

    The person is ``$USER``, or ``$LOGNAME``. Behind ``sudo`` these name the account that the command was given to, and
    ``$SUDO_USER`` the person; a ``$USER`` that names another than that account was set on purpose and counts.
    """
    names = [_one_line(os.environ.get(key, "")) for key in ("USER", "LOGNAME")]
    name = names[0] or names[1]
    if name and name == _account():
        name = _one_line(os.environ.get("SUDO_USER", "")) or name
    return (name or _one_line(default) or _account() or "operator")[:_NAME]


def _account() -> str:
    """Return the name of the account of this process; empty if it has none."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name[:_NAME]
    except KeyError:  # the account of a container need not have a name
        return ""


def _one_line(text: str) -> str:
    """Text without characters that are not printable, and without blanks around it."""
    return "".join(c for c in text if c.isprintable()).strip()


@dataclass(frozen=True, slots=True)
class _Reader:
    """Typed access to the values of a settings file; every error names file, section and key."""

    path: Path
    tree: Mapping[str, Mapping[str, object]]

    def _error(self, section: str, key: str, demand: str) -> ConfigError:
        """Return the error of a value that is not what its key demands."""
        value = self.tree.get(section, {}).get(key)
        return ConfigError(f"{self.path}: {section}.{key} must be {demand}, not {str(value)[:60]!r}")

    def text(self, section: str, key: str, default: str) -> str:
        """Return a text of one line."""
        value = self.tree.get(section, {}).get(key, default)
        if not isinstance(value, str):
            raise ConfigError(f"{self.path}: {section}.{key} must be text, in quotes")
        if not value.isprintable():
            raise self._error(section, key, "text without control characters")
        return value

    def name(self, section: str, key: str, default: str, most: int = 4096) -> str:
        """Return a text that is not empty and has at most ``most`` characters."""
        value = self.text(section, key, default).strip()
        if not 0 < len(value) <= most:
            raise self._error(
                section, key, f"a name of 1 to {most} characters; leave the key out for its default"
            )
        return value

    def url(self, section: str, key: str, default: str) -> str:
        """Return the URL of a database, or the empty default."""
        value = self.text(section, key, default)
        if value == default:
            return value
        # Imported late: commands without a database start without it.
        from sqlalchemy.engine import make_url
        from sqlalchemy.exc import ArgumentError

        try:
            backend = make_url(value).get_backend_name()
        except (ArgumentError, ValueError):
            backend = ""
        if backend not in ("sqlite", "postgresql"):
            # The value is not repeated: it may hold a password.
            raise ConfigError(
                f"{self.path}: {section}.{key} is not the URL of a database: sqlite:///FILE or "
                "postgresql+psycopg://USER@HOST/NAME"
            )
        return value

    def number(self, section: str, key: str, default: float, most: float) -> float:
        """Return a number from 0 to ``most``."""
        value = self.tree.get(section, {}).get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
            raise self._error(section, key, f"a number that is not negative, at most {most:g}")
        return value

    def flag(self, section: str, key: str, default: bool) -> bool:
        """Return true or false."""
        value = self.tree.get(section, {}).get(key, default)
        if not isinstance(value, bool):
            raise self._error(section, key, "true or false, without quotes")
        return value

    def count(self, section: str, key: str, default: int) -> int:
        """Return a whole number that is not negative."""
        value = self.number(section, key, default, _LARGEST)
        if math.trunc(value) != value:
            raise self._error(section, key, "a number without decimals")
        return int(value)


def password(config: Config) -> str | None:
    """The database password: ``$DESDM_DB_PASSWORD``, or the file that the settings name.

    A file that group or others can read is refused, as DESDM's service access did.
    """
    if "DESDM_DB_PASSWORD" in os.environ:
        return os.environ["DESDM_DB_PASSWORD"]
    if config.password_file is None:
        return None
    try:
        mode = config.password_file.stat().st_mode
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigError(f"{config.password_file}: group or others can read it; run: chmod 600")
        return config.password_file.read_text("utf-8").strip()
    except UnicodeDecodeError as err:
        raise ConfigError(f"{config.password_file}: {err.reason}; save the password as UTF-8 text") from err
    except OSError as err:
        raise ConfigError(f"{config.password_file}: {err.strerror}") from err
