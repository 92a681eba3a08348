"""The table of the corpus on both engines, and its rows as Python holds them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from desdm.config import load
from desdm.facility import Facility
from desdm.query.adql.translate import translate
from desdm.query.catalogue import Catalogue, own_entry, release_entry
from desdm.query.engines.model import Engine, Query, Upload
from desdm.query.engines.open import open_engine
from desdm.release import store
from desdm.release.model import ReleaseColumn
from tests.support.postgres import Cluster
from tests.support.release import objects, small_release

Row = dict[str, Any]


@dataclass(frozen=True)
class Bench:
    """An engine with the table ``T1.objects`` and a small table ``ivoa.notes`` of the service's own."""

    engine: Engine
    catalogue: Catalogue
    upload: Upload

    def query(self, text: str, maxrec: int | None = None) -> Query:
        """The query in the engine's SQL."""
        return translate(text, self.catalogue, self.engine.dialect, uploads={"u": self.upload}, maxrec=maxrec)  # type: ignore[arg-type]

    def ask(self, text: str, maxrec: int | None = None) -> list[tuple[Any, ...]]:
        """Rows of the answer."""
        with self.engine.execute(self.query(text, maxrec), uploads={"u": self.upload}) as batches:
            return [tuple(c[i].as_py() for c in b.columns) for b in batches for i in range(b.num_rows)]


NOTES = tuple(ReleaseColumn(n, t, a, x) for n, t, a, x in (
    ("name", "char", "*", None), ("when", "char", "*", "timestamp"), ("level", "int", None, None), ("Rank", "int", None, None), ("area", "char", "*", "adql:REGION"),  # noqa: E501
))  # fmt: skip
NOTE_ROWS = pa.table({
    "name": ["a", "b", "c", None], "when": ["2026-01-02T03:04:05.5", "2026-11-22T00:00:00", None, "1999-12-31T23:59:59"],
    "level": [1, 2, 3, None], "Rank": [10, 20, 30, 40],
    "area": ["POLYGON ICRS 29 -6 31 -6 31 -4 29 -4", "CIRCLE ICRS 10 20 0.5", None, "POLYGON 359 -1 1 -1 1 1 359 1"],
})  # fmt: skip


#: A footprint whose cells (order 12) hold some of the rows: every fourth of the first hundred.
DEPTHS = tuple(
    ReleaseColumn(n, t, a)
    for n, t, a in (
        ("hpix", "long", None),
        ("band", "char", "*"),
        ("depth", "float", None),
        ("nexp", "short", None),
        ("fraction", "float", None),
    )
)


def footprint() -> pa.Table:
    """Rows of the footprint, its cells numbered by another library than ours."""
    from astropy import units
    from astropy_healpix import HEALPix

    table = objects().slice(14, 86)
    grid = HEALPix(4096, order="nested")
    cells = grid.lonlat_to_healpix(table["ra"].to_numpy() * units.deg, table["dec"].to_numpy() * units.deg)[
        ::4
    ]
    return pa.table({
        "hpix": pa.array(cells, pa.int64()), "band": ["g"] * len(cells),
        "depth": pa.array([23.5 + i / 8 for i in range(len(cells))], pa.float32()),
        "nexp": pa.array(range(len(cells)), pa.int16()), "fraction": pa.array([0.5] * len(cells), pa.float32()),
    })  # fmt: skip


@pytest.fixture(scope="session")
def corpus_home(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An installation with the release T1."""
    return small_release(tmp_path_factory.mktemp("adql") / "home")


@pytest.fixture(scope="session")
def rows() -> list[Row]:
    """The table's rows; NaN is no value."""
    found = objects().to_pylist()
    return [{k: None if isinstance(v, float) and math.isnan(v) else v for k, v in r.items()} for r in found]


@pytest.fixture(scope="session")
def uploaded() -> Upload:
    """A table that comes with a query: positions near some of the objects, and far from all."""
    table = objects()
    picked = [0, 5, 6, 8, 1500, 1501, 1502]
    ra = [table["ra"][i].as_py() + 0.0002 for i in picked] + [200.0]
    dec = [table["dec"][i].as_py() for i in picked] + [-60.0]
    columns = (
        ReleaseColumn("n", "int"), ReleaseColumn("ra", "double", unit="deg"), ReleaseColumn("dec", "double", unit="deg"),
        ReleaseColumn("Word", "char", "*"),
    )  # fmt: skip
    words = ["x", "y", "z", None, "it's", '"q"', "", "%"]
    return Upload(
        "u", columns, pa.table({"n": pa.array(range(8), pa.int32()), "ra": ra, "dec": dec, "Word": words})
    )


def _bench(engine: Engine, home: Any, upload: Upload) -> Bench:
    facility = Facility.open(home)
    with facility.database.read() as conn:
        tables = store.tables(conn, "T1")
    engine.attach("T1", tables, facility.config.releases / "T1")
    engine.replace("ivoa", "notes", NOTES, NOTE_ROWS)
    engine.replace("F1", "footprint", DEPTHS, footprint())
    facility.close()
    entries = [release_entry(t) for t in tables]
    entries += [own_entry(s, n, c, None) for (s, n), c in engine.replaced().items()]
    return Bench(engine, Catalogue(entries), upload)


@pytest.fixture(scope="session")
def duck(corpus_home: Any, uploaded: Upload) -> Iterator[Bench]:
    """The embedded engine."""
    engine = open_engine(load(corpus_home), "")
    yield _bench(engine, corpus_home, uploaded)
    engine.close()


@pytest.fixture(scope="session")
def site(corpus_home: Any, uploaded: Upload, postgres: Cluster) -> Iterator[Bench]:
    """The engine of a site."""
    name = postgres.database()
    engine = open_engine(load(corpus_home), postgres.url(name).render_as_string(hide_password=False))
    yield _bench(engine, corpus_home, uploaded)
    engine.close()
    postgres.drop(name)


@pytest.fixture(params=["duck", "site"])
def bench(request: pytest.FixtureRequest) -> Bench:
    """Each engine."""
    made: Bench = request.getfixturevalue(request.param)
    return made


def separation(ra1: Any, dec1: Any, ra2: Any, dec2: Any) -> Any:
    """Degrees between positions, by their directions in space."""
    a, b = (np.stack([np.cos(np.radians(d)) * np.cos(np.radians(r)), np.cos(np.radians(d)) * np.sin(np.radians(r)),
                      np.sin(np.radians(d)) * np.ones_like(np.radians(r))], axis=-1)
            for r, d in ((np.asarray(ra1, "f8"), np.asarray(dec1, "f8")), (np.asarray(ra2, "f8"), np.asarray(dec2, "f8"))))  # fmt: skip  # noqa: E501
    a, b = np.broadcast_arrays(a, b)
    return np.degrees(2 * np.arctan2(np.linalg.norm(a - b, axis=-1), np.linalg.norm(a + b, axis=-1)))


Expected = Callable[[list[Row]], list[tuple[Any, ...]]]


def alike(found: list[tuple[Any, ...]], wanted: list[tuple[Any, ...]], ordered: bool) -> bool:
    """Whether rows are the same, numbers to 1e-9, in any order where none was asked for."""

    def key(row: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple((v is None, f"{v:.6e}" if isinstance(v, float) else repr(v)) for v in row)

    if not ordered:
        found, wanted = sorted(found, key=key), sorted(wanted, key=key)

    def same(a: Any, b: Any) -> bool:
        if isinstance(a, list | tuple) and isinstance(b, list | tuple):
            return len(a) == len(b) and all(map(same, a, b))
        if isinstance(a, float) or isinstance(b, float):
            return a is not None and b is not None and math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)
        return bool(a == b)

    return len(found) == len(wanted) and all(map(same, found, wanted))
