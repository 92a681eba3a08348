"""Opens one installation: settings, database and archive, made here and handed on as arguments."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from desdm import config as settings
from desdm.archive.archive import Archive
from desdm.archive.model import Scope
from desdm.config import FILENAME, Config
from desdm.errors import ConfigError, ConflictError, DamagedDatabase, DesdmError
from desdm.modes import make_private, touch_private
from desdm.release.remains import archived_files, frozen_directories
from desdm.schema.database import Database

__all__ = ["Facility", "damage_of_database", "initialise", "open_database", "open_service"]

#: Seconds that a write of the service waits for a lock.
_PATIENCE = 3.0


@dataclass(frozen=True, slots=True)
class Facility:
    """An opened installation."""

    config: Config
    database: Database
    archive: Archive
    service: Database

    @classmethod
    def open(cls, home: str | os.PathLike[str] | None = None, *, writable: bool = True) -> Facility:
        """Open the installation that ``home``, the environment or the working directory names.

        Parameters
        ----------
        home
            Directory of ``desdm.toml``.
        writable
            False: its databases are opened for reading only.

        Raises
        ------
        ConfigError
            If there is none, or its schema is not current.
        """
        config = settings.load(home)
        database = open_database(config, writable=writable)
        database.require_current()
        archive = Archive(config.archive_name, config.archive_root)
        return cls(config, database, archive, open_service(config, writable=writable))

    @property
    def production(self) -> Scope:
        """The attempts that are production here: ``survey`` runs of the installation's project and campaign."""
        return Scope(self.config.project, self.config.campaign)

    def close(self) -> None:
        """Close the databases."""
        self.database.close()
        self.service.close()


def damage_of_database(home: str | os.PathLike[str] | None = None) -> DamagedDatabase | None:
    """What an integrity check finds wrong with the installation's SQLite database; None: nothing, or no such database."""
    try:
        database = open_database(settings.load(home))
    except DesdmError:
        return None
    try:
        found = database.integrity()
    except DamagedDatabase as err:
        return err
    except DesdmError:
        return None
    finally:
        database.close()
    if not found:
        return None
    return DamagedDatabase(
        f"the database {database.describe()} is damaged: {found}; run: desdm doctor, and restore it from a backup"
    )


def open_database(config: Config, *, writable: bool = True) -> Database:
    """The operations database that the settings name, without a look at its schema."""
    return Database(_with_password(config, config.database_url), create=False, writable=writable)


def open_service(config: Config, *, writable: bool = True) -> Database:
    """The service's own database, which is opened when it is first used; requests do not wait long for its lock."""
    return Database(_with_password(config, config.services_state), patience=_PATIENCE, writable=writable)


def _with_password(config: Config, text: str) -> URL:
    """A URL of the settings with the password that stands elsewhere."""
    url = make_url(text)
    secret = settings.password(config)
    if secret is not None and url.get_backend_name() != "sqlite":
        url = url.set(password=secret)
    return url


def initialise(
    directory: Path,
    database: str | None = None,
    archive: str | None = None,
    *,
    upgrade: bool = False,
    new_database: bool = False,
) -> Config:
    """Make an installation, or with ``upgrade`` bring an existing one to the current schema.

    Parameters
    ----------
    directory
        Where ``desdm.toml`` goes; made if it is not there.
    database
        SQLAlchemy URL; default SQLite beside the settings. A password in it is refused: settings are read by
        many, secrets are in ``$DESDM_DB_PASSWORD`` or in a file of mode 600.
    archive
        Root of the archive; default ``archive``.
    upgrade
        Bring an existing installation up to date.
    new_database
        Create an empty schema also where archive or releases hold files, of which it then knows nothing.

    Raises
    ------
    ConflictError
        If there is an installation already and ``upgrade`` is not said; or the database is empty, and archive or
        releases hold files.
    """
    from desdm.archive.catalog import define
    from desdm.schema.upgrade import upgrade as upgrade_schema

    directory = directory.absolute()
    path = directory / FILENAME
    if path.exists() != upgrade:
        if upgrade:
            raise ConfigError(f"{directory} is not an installation yet; run: desdm init {directory}")
        raise ConflictError(f"{directory} is an installation already; to bring it up to date add --upgrade")
    before = _there(directory)
    # An empty directory was made for this installation; one with other files may be shared for a reason.
    closes = not upgrade and directory.is_dir() and not any(directory.iterdir())
    try:
        if not upgrade:
            _write_settings(path, database, archive)
        config = settings.load(directory)
        db, service = open_database(config), open_service(config)
        try:
            if (new_database or not upgrade) and db.dialect == "sqlite":
                # Closed from its first byte; SQLite gives its companions (-wal, -shm) the mode of the file.
                make_private(Path(str(db.url.database)).parent)
                touch_private(Path(str(db.url.database)))
            if not new_database and db.schema_version() is None:
                _refuse_beside_files(config, db)
            upgrade_schema(db, service)
            with db.write() as conn:
                define(conn, Archive(config.archive_name, config.archive_root))
        finally:
            db.close()
            service.close()
    except BaseException:
        # An installation that could not be made must not look like one, and leaves nothing behind.
        if not upgrade:
            _remove_new(directory, before)
        raise
    if closes and directory.stat().st_uid == os.geteuid():
        directory.chmod(0o700)
    for folder in (config.archive_root, config.runs, config.releases):
        make_private(folder)
    return config


def _refuse_beside_files(config: Config, database: Database) -> None:
    """Raise `ConflictError` if archive or releases hold files, of which a new schema would know nothing."""
    count = archived_files(Archive(config.archive_name, config.archive_root))
    releases = frozen_directories(config.releases)
    held = [f"{config.archive_root} holds {count} {'file' if count == 1 else 'files'}"] if count else []
    held += [f"{config.releases} holds {', '.join(releases[:5])}"] if releases else []
    if held:
        raise ConflictError(
            f"database {database.describe()} is empty, but {' and '.join(held)}: an empty database would know nothing of "
            "them; restore the database from a backup, or correct its URL; to begin with an empty one add --new-database"
        )


def _there(directory: Path) -> set[Path]:
    """Record of the content of a directory, and of which directories above it exist."""
    above = {here for here in (directory, *directory.parents) if here.exists()}
    return above | (set(directory.iterdir()) if directory.is_dir() else set())


def _remove_new(directory: Path, before: set[Path]) -> None:
    """Remove the settings and databases that were made, and the directories if they were made and are empty."""
    if directory.is_dir():
        for path in set(directory.iterdir()) - before:
            if path.is_file():
                path.unlink()
    for here in (directory, *directory.parents):
        if here in before or not here.is_dir() or any(here.iterdir()):
            return
        here.rmdir()


def _write_settings(path: Path, database: str | None, archive: str | None) -> None:
    """Write the settings file of a new installation."""
    lines = [
        "# Settings of this installation; the page Installations of the documentation explains each key",
        "",
        "[database]",
    ]
    if database:
        try:
            url = make_url(database)
        except ArgumentError as err:
            raise ConfigError(f"--database: {err}") from err
        if url.password is not None:
            raise ConfigError(
                "--database: no password in the URL; set DESDM_DB_PASSWORD, or database.password_file in desdm.toml"
            )
        lines.append(f"url = {json.dumps(database)}")
    else:
        lines.append('# url = "postgresql+psycopg://user@host/name"   (default: SQLite beside this file)')
    lines += ["", "[archive]", f"root = {json.dumps(archive or 'archive')}", ""]
    lines += ["[engine]", "# workers = 0   (0: one a processor)", ""]
    # The author of an act is who acts; a name written here would be that of the person who ran this command.
    lines += ["[site]", '# operator = "pipeline"   (author of acts of services and timers without $USER)', ""]
    make_private(path.parent)
    touch_private(path)
    path.write_text("\n".join(lines), "utf-8")
