"""1,000,000 points by POST from a real server, against healsparse's own look-up of the same map in this process."""

from __future__ import annotations

import io
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import hpgeom
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import requests
from healsparse import HealSparseMap

from common import emit, workplace
from desdm.facility import Facility, initialise
from desdm.query.engines.model import Upload
from desdm.query.formats.upload import read_upload
from desdm.release import footprint as release_footprint
from desdm.release import manifest, store
from desdm.release.addtable import add_table
from desdm.release.create import create_empty
from desdm.release.depthmaps import FIELDS, NSIDE
from desdm.release.publish import publish
from desdm.release.steps import BuiltFile
from desdm.services.footprint.lookup import Footprint
from desdm.services.footprint.tables import add_footprint, parquet_file, position_columns

POINTS = 1_000_000
RUNS = 5
#: Right ascension and declination of a field of some 500 deg², 2.4 million cells.
FIELD = (20.0, 45.0, -30.0, -8.0)


def release(home: Path) -> Path:
    """A published release with a footprint of one band: depth that varies, and 3,000 holes of bright stars."""
    initialise(home)
    facility = Facility.open(home)
    try:
        root = facility.config.releases / "B1"
        create_empty(facility.database, root, "B1", who="bench")
        folder = root / "footprint"
        folder.mkdir(parents=True)
        rng = np.random.default_rng(5)
        cells = hpgeom.query_box(NSIDE, *FIELD)
        values = np.zeros(cells.size, FIELDS)
        values["depth"] = rng.normal(24.0, 0.3, cells.size)
        values["nexp"] = rng.integers(1, 11, cells.size)
        values["fraction"] = rng.uniform(0.5, 1.0, cells.size)
        holes = [
            hpgeom.query_circle(NSIDE, rng.uniform(*FIELD[:2]), rng.uniform(*FIELD[2:]), 0.05)
            for _ in range(3000)
        ]
        seen = ~np.isin(cells, np.concatenate(holes))
        whole = HealSparseMap.make_empty(
            32, NSIDE, np.dtype(FIELDS), primary="depth", cov_pixels=np.unique(cells >> 14)
        )
        whole.update_values_pix(cells[seen], values[seen])
        whole.write(str(folder / "r.hsp"), clobber=True)
        corners = [[FIELD[0], FIELD[2]], [FIELD[1], FIELD[2]], [FIELD[1], FIELD[3]], [FIELD[0], FIELD[3]]]
        names = [
            "expnum",
            "ccdnum",
            "mjd_obs",
            "exptime",
            *(f"{a}{i}" for i in range(1, 5) for a in ("ra", "dec")),
        ]
        none = {
            "tilename": pa.array([], pa.string()),
            "band": pa.array([], pa.string()),
            "filename": pa.array([], pa.string()),
        }
        pq.write_table(
            pa.table({**none, **{n: pa.array([], pa.float64()) for n in names}}), folder / "images.parquet"
        )
        tile = {"number": 0, "tilename": "FIELD", "bands": ["r"], "corners": corners}
        (folder / "tiles.json").write_text(json.dumps({"tiles": [tile]}))
        few = cells[seen][:1000], values[seen][:1000]
        add_table(
            facility.database, root, "B1", release_footprint.TABLE, _rows(*few), ra="ra", dec="dec",
            columns=release_footprint.COLUMNS, who="bench", text="The first cells of the footprint",
        )  # fmt: skip
        made = [
            BuiltFile(f"footprint/{n}", "footprint", m)
            for n, m in (
                ("r.hsp", "application/fits"),
                ("tiles.json", "application/json"),
                ("images.parquet", "application/vnd.apache.parquet"),
            )
        ]
        with facility.database.write() as conn:
            store.replace_files(conn, "B1", manifest.measure(root, "B1", made))
        publish(facility.database, root, "B1", who="bench")
    finally:
        facility.close()
    return root


def _rows(cells: np.ndarray, values: np.ndarray) -> Iterator[pa.RecordBatch]:
    ra, dec = hpgeom.pixel_to_angle(NSIDE, cells)
    names = ["hpix", "band", "depth", "nexp", "fraction", "ra", "dec"]
    columns = [cells, ["r"] * cells.size, *(values[n] for n, _ in FIELDS), ra, dec]
    yield pa.record_batch([pa.array(c) for c in columns], names=names)


@contextmanager
def server(home: Path) -> Iterator[str]:
    """A real ``desdm serve``; its address."""
    program = Path(sys.executable).parent / "desdm"
    command = [str(program), "--home", str(home), "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                found = re.search(r"at (http://127\.0\.0\.1:\d+)/", line)
                if found:
                    yield found.group(1)
                    break
        finally:
            process.terminate()


def medians(*works: Callable[[], object]) -> list[float]:
    """Median wall seconds of each, in turns so that a busy moment falls on all; the first turn is left out."""
    spent: list[list[float]] = [[] for _ in works]
    for _ in range(RUNS + 1):
        for work, kept in zip(works, spent, strict=True):
            begin = time.perf_counter()
            work()
            kept.append(time.perf_counter() - begin)
    return [statistics.median(kept[1:]) for kept in spent]


def main() -> None:
    """Run it and print the figures."""
    home = workplace() / "home"
    root = release(home)
    rng = np.random.default_rng(6)
    # Some of the points lie outside.
    ra = rng.uniform(FIELD[0] - 2, FIELD[1] + 2, POINTS)
    dec = rng.uniform(FIELD[2] - 2, FIELD[3] + 2, POINTS)
    sent = io.BytesIO()
    pq.write_table(pa.table({"ra": ra, "dec": dec}), sent, compression="none", use_dictionary=False)
    data = sent.getvalue()
    text = (
        "ra,dec\n" + "\n".join(f"{a!r},{d!r}" for a, d in zip(ra.tolist(), dec.tolist(), strict=True))
    ).encode()
    path = root / "footprint" / "r.hsp"
    whole, here = HealSparseMap.read(str(path)), Footprint(root)
    head = {"content-type": "application/vnd.apache.parquet"}
    answers: list[bytes] = []

    def worked() -> None:
        upload: Upload = read_upload("t", data, None, max_bytes=1 << 30, max_rows=1 << 30)
        list(parquet_file(*add_footprint(here, upload, position_columns(upload), ("r",))))

    with server(home) as url:

        def post() -> None:
            answers[:] = [requests.post(f"{url}/footprint", data, headers=head, timeout=120).content]

        def carried() -> None:
            # The same bytes to and fro without the work: the table is sent and refused, so much of a file is fetched.
            requests.post(f"{url}/footprint?release=none", data, headers=head, timeout=120)
            wanted = {"Range": f"bytes=0-{len(answers[0]) - 1}"}
            requests.get(f"{url}/files/B1/footprint/r.hsp", headers=wanted, timeout=120)

        direct, alone, inside, posted, transfer = medians(
            lambda: whole.get_values_pos(ra, dec, lonlat=True), lambda: here.points(ra, dec), worked, post, carried
        )  # fmt: skip
        csv, get = medians(
            lambda: requests.post(f"{url}/footprint", text, headers={"content-type": "text/csv"}, timeout=120),
            lambda: requests.get(f"{url}/footprint?ra=30.01&dec=-20.01", timeout=30),
        )  # fmt: skip
    assert len(answers[0]) < path.stat().st_size
    _check(answers[0], whole, ra, dec)
    emit("footprint.lookup", alone, "s", POINTS, peer=direct)
    emit("footprint.parse_lookup_encode", inside, "s", POINTS, floor=direct)
    emit("footprint.transfer", transfer, "s", POINTS)
    emit("footprint.post_parquet", posted, "s", POINTS, floor=direct + transfer)
    emit("footprint.post_ratio", (posted - transfer) / direct, "x", POINTS)
    emit("footprint.post_csv", csv, "s", POINTS, floor=direct)
    emit("footprint.get", get * 1000, "ms", 1)


def _check(answer: bytes, whole: HealSparseMap, ra: np.ndarray, dec: np.ndarray) -> None:
    found = pq.read_table(io.BytesIO(answer))
    true = whole.get_values_pos(ra, dec, lonlat=True)
    inside = true["fraction"] > 0
    assert (found["inside_r"].to_numpy().astype(bool) == inside).all()
    for name in ("depth", "nexp", "fraction"):
        values = found[f"{name}_r"].combine_chunks()
        assert values.null_count == (~inside).sum()
        assert (values.drop_null().to_numpy() == true[name][inside]).all()


if __name__ == "__main__":
    main()
