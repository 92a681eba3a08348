"""The layout of release tables, as the hats package reads it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from astropy_healpix import HEALPix

from desdm.release.hats import Layout, parts, write_hats
from desdm.sky.healpix import hpix29

pytestmark = pytest.mark.filterwarnings("default")  # hats and its own packages warn on import


def sky(rows: int, seed: int = 1) -> pa.Table:
    """Rows over the whole sky, half of them in a field of two degrees, each with its number."""
    rng = np.random.default_rng(seed)
    wide = rows // 2
    ra = np.concatenate([rng.uniform(0, 360, wide), 30 + rng.uniform(-1, 1, rows - wide)])
    dec = np.concatenate([np.degrees(np.arcsin(rng.uniform(-1, 1, wide))), rng.uniform(-6, -4, rows - wide)])
    return pa.table(
        {
            "id": np.arange(rows),
            "ra": ra,
            "dec": dec,
            "name": [f"row {i}" for i in range(rows)],
            "hpix29": hpix29(ra, dec),
        }
    )


def written(table: pa.Table, out: Path, batch: int = 777, **how: Any) -> Layout:
    return write_hats(
        out, iter(table.to_batches(max_chunksize=batch)), table.schema, name="T.t", ra="ra", dec="dec", **how
    )


def digests(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in folder.rglob("*")
        if p.is_file()
    }


def test_the_hats_package_finds_it_valid_and_reads_every_row(tmp_path: Path) -> None:
    import hats
    from hats.io.validation import is_valid_catalog

    table = sky(5000)
    layout = written(table, tmp_path / "t", partition_rows=400)
    catalog = hats.read_hats(tmp_path / "t")
    assert is_valid_catalog(tmp_path / "t", strict=True)
    assert catalog.catalog_info.total_rows == 5000
    assert (catalog.catalog_info.ra_column, catalog.catalog_info.healpix_column) == ("ra", "hpix29")
    pixels = [(p.order, p.pixel) for p in catalog.get_healpix_pixels()]
    assert sorted(pixels) == sorted((c.order, c.pixel) for c in layout.cells)
    assert len(pixels) > 12, "the dense field must have been split"
    found = ds.dataset(tmp_path / "t" / "dataset", format="parquet", partitioning=None).to_table()
    assert sorted(found["id"].to_pylist()) == list(range(5000))


def test_the_hats_package_finds_the_partitions_of_a_cone(tmp_path: Path) -> None:
    import hats

    table = sky(4000)
    written(table, tmp_path / "t", partition_rows=300)
    catalog = hats.read_hats(tmp_path / "t").filter_by_cone(30.0, -5.0, 1800.0)
    files = [
        tmp_path
        / "t"
        / "dataset"
        / f"Norder={p.order}"
        / f"Dir={p.pixel // 10000 * 10000}"
        / f"Npix={p.pixel}.parquet"
        for p in catalog.get_healpix_pixels()
    ]
    inside = {i for path in files for i in _near(pq.read_table(path))}
    assert inside == set(_near(table))
    assert inside


def _near(table: pa.Table) -> list[int]:
    place = SkyCoord(table["ra"].to_numpy(), table["dec"].to_numpy(), unit="deg")
    close = place.separation(SkyCoord(30.0, -5.0, unit="deg")) < 0.5 * units.deg
    return [int(i) for i in table["id"].to_numpy()[close]]


def test_each_row_lies_in_the_cell_of_its_file_and_the_files_follow_each_other_on_the_sky(
    tmp_path: Path,
) -> None:
    written(sky(3000), tmp_path / "t", partition_rows=250, group_rows=100)
    last = -1
    for path in parts(tmp_path / "t"):
        order, pixel = int(path.parts[-3].split("=")[1]), int(path.stem.split("=")[1])
        rows = pq.read_table(path)
        assert rows.num_rows <= 250
        cell = HEALPix(2**order, "nested").lonlat_to_healpix(
            rows["ra"].to_numpy() * units.deg, rows["dec"].to_numpy() * units.deg
        )
        assert set(cell) == {pixel}
        pixels = rows["hpix29"].to_numpy()
        assert pixels[0] >= last and np.all(np.diff(pixels) >= 0)
        last = pixels[-1]
        groups = pq.read_metadata(path)
        assert max(groups.row_group(i).num_rows for i in range(groups.num_row_groups)) <= 100


def test_the_bytes_do_not_depend_on_how_the_stream_was_cut_or_spilled(tmp_path: Path) -> None:
    table = sky(3000)
    # Twenty rows at one place: their order among themselves must be kept, too.
    same = table.slice(0, 20).set_column(4, "hpix29", pa.array(np.full(20, table["hpix29"][0].as_py())))
    table = pa.concat_tables([table, same])
    written(table, tmp_path / "whole", batch=10**6, partition_rows=500)
    written(table, tmp_path / "pieces", batch=13, partition_rows=500)
    assert digests(tmp_path / "whole") == digests(tmp_path / "pieces")
    # 40 bytes and a text a row: runs of some hundred rows, merged from the disk.
    spilled = written(table, tmp_path / "spilled", batch=100, partition_rows=100, run_bytes=500 * 56)
    whole = written(table, tmp_path / "memory", batch=10**6, partition_rows=100)
    assert spilled == whole
    assert digests(tmp_path / "spilled") == digests(tmp_path / "memory")
    assert not list(tmp_path.glob(".runs-*")), "the runs on disk must be gone"


def test_rows_that_share_one_cell_cannot_be_split_for_ever(tmp_path: Path) -> None:
    table = sky(10).slice(0, 1)
    many = pa.concat_tables([table] * 500)
    layout = written(many, tmp_path / "t", partition_rows=100)
    assert [c.rows for c in layout.cells] == [500]


def test_the_metadata_files_tell_every_row_group_and_the_columns_texts(tmp_path: Path) -> None:
    table = sky(1000)
    field = pa.field("id", pa.int64(), metadata={"description": "identifier", "ucd": "meta.id"})
    table = table.cast(pa.schema([field, *list(table.schema)[1:]]))
    layout = written(table, tmp_path / "t", partition_rows=100)
    footer = pq.read_metadata(tmp_path / "t" / "dataset" / "_metadata")
    assert footer.num_rows == 1000
    named = {footer.row_group(i).column(0).file_path for i in range(footer.num_row_groups)}
    assert named == {c.path for c in layout.cells}
    common = pq.read_schema(tmp_path / "t" / "dataset" / "_common_metadata")
    assert common.field("id").metadata == {b"description": b"identifier", b"ucd": b"meta.id"}


def test_memory_stays_bounded_while_rows_stream(tmp_path: Path) -> None:
    """A million rows of 64 bytes come and go; what Arrow holds at its highest is a few runs, not the table."""
    rng = np.random.default_rng(0)

    def batches() -> Any:
        for _ in range(50):
            ra, dec = rng.uniform(0, 360, 20_000), rng.uniform(-80, 80, 20_000)
            values = {"hpix29": hpix29(ra, dec), "ra": ra, "dec": dec} | {
                f"v{i}": rng.normal(size=20_000) for i in range(5)
            }
            yield pa.record_batch(values)

    first = next(batches())
    pool = pa.system_memory_pool()
    before = pa.default_memory_pool()
    pa.set_memory_pool(pool)
    try:
        layout = write_hats(
            tmp_path / "t", batches(), first.schema, name="T.t", ra="ra", dec="dec", run_bytes=4 * 2**20
        )
    finally:
        pa.set_memory_pool(before)
    assert layout.rows == 1_000_000
    assert pool.max_memory() < 40 * 2**20, "the table itself has 64 MB"
