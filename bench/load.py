"""Loading a release table of 1,000,000 rows into PostgreSQL with its indexes, and the queries there."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from common import emit, workplace
from desdm.query.catalogue import Catalogue, release_entry
from desdm.query.engines.postgres import PostgresEngine
from desdm.release import store
from engine import queries
from synthetic import NAME, release

sys.path.insert(0, str(Path(__file__).parents[1]))

#: Import of DaCHS 2.7 from FITS with an index, rows a second.
_PEER = 3_070.0


def main() -> None:
    """Rows a second of the whole load: COPY, B-trees on cell and identifier, Q3C, statistics."""
    from tests.support.postgres import cluster

    rows = 1_000_000
    facility = release(workplace() / "home", rows)
    with facility.database.read() as conn:
        tables = store.tables(conn, NAME)
    with cluster() as made:
        engine = PostgresEngine(made.url(made.database()).render_as_string(hide_password=False))
        start = time.perf_counter()
        engine.attach(NAME, tables, facility.config.releases / NAME)
        spent = time.perf_counter() - start
        emit("load.postgresql", rows / spent, "rows/s", rows, peer=_PEER, wall=spent)
        queries(engine, Catalogue([release_entry(t) for t in tables]), "_postgresql")
        engine.close()
    facility.close()


if __name__ == "__main__":
    main()
