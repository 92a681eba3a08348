"""What publishing asks of the services' engine: make a release ready, and answer its model queries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pyarrow as pa

    from desdm.facility import Facility

__all__ = ["Served", "engine_of"]


@dataclass(frozen=True, slots=True)
class Served:
    """Two ways into the engine: ``prepare`` makes its copy of a release, ``ask`` answers ADQL on it."""

    prepare: Callable[[str], None]
    ask: Callable[[str], pa.Table]


@contextmanager
def engine_of(facility: Facility, release: str) -> Iterator[Served]:
    """Open the engine of the installation's services for one release that is not visible yet."""
    import pyarrow as pa

    from desdm.query.adql.translate import translate
    from desdm.query.catalogue import Catalogue, release_entry
    from desdm.query.engines.open import open_engine
    from desdm.release import store

    with facility.database.read() as conn:
        tables = store.tables(conn, release)
    catalogue = Catalogue(release_entry(table) for table in tables)
    engine = open_engine(facility.config)
    queries: list[str] = []

    def prepare(name: str) -> None:
        engine.attach(name, tables, facility.config.releases / name)

    def ask(adql: str) -> pa.Table:
        if not queries:
            prepare(release)
        queries.append(adql)
        dialect: Literal["duckdb", "postgresql"] = "duckdb" if engine.dialect == "duckdb" else "postgresql"
        with engine.execute(translate(adql, catalogue, dialect)) as batches:
            received = list(batches)
        return pa.Table.from_batches(received) if received else pa.table({})

    try:
        yield Served(prepare, ask)
    finally:
        engine.close()
