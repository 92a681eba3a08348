"""Runs every check of an installation."""

from __future__ import annotations

from collections.abc import Iterator

from desdm.archive.archive import Archive
from desdm.config import Config
from desdm.operations.doctor.database import check_contents, check_database, check_service_database
from desdm.operations.doctor.model import Check
from desdm.operations.doctor.places import check_archive, check_leftovers, check_modes, check_space
from desdm.operations.doctor.services import check_engine_files, check_services
from desdm.operations.doctor.software import check_packages, check_programs
from desdm.schema.database import Database

__all__ = ["examine"]


def examine(config: Config, database: Database, service: Database | None = None) -> Iterator[Check]:
    """Every check, one after the other; nothing is changed.

    Parameters
    ----------
    config, database
        The installation.
    service
        The service's own database; None: it is not looked at.
    """
    archive = Archive(config.archive_name, config.archive_root)
    yield from check_database(database)
    yield from check_contents(database, archive, config.releases)
    if service is not None:
        yield from check_service_database(service)
    yield from check_archive(archive, database)
    yield from check_leftovers(archive)
    yield from check_modes(config)
    yield from check_space(config)
    yield from check_services(config)
    yield from check_engine_files(config)
    yield from check_programs()
    yield from check_packages()
