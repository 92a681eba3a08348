"""Cutouts of 228 pixels (1 arcmin) from a tile of 10 000 pixels: alone, in batches, and 5 000 of them.

``cutout.server`` is the median time that ``/soda/sync`` works (its Server-Timing), all three planes and the stencil, and
``cutout.http`` what its client waits; their floor is the bare decode of the compressed squares that are touched
(``cutout.decode``), the peer cfitsio's read of the same sections.
"""

from __future__ import annotations

import http.client
import io
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

import fitsio
import numpy as np
from astropy.io import fits

from common import clock, emit, workplace
from desdm.facility import Facility, initialise
from desdm.pixels.boxes import Box, RicePlane
from desdm.pixels.fitsbytes import pool, sealed, word_sum, write
from desdm.pixels.packed import Steps
from desdm.pixels.tiled import pack_tiles
from desdm.release import store
from desdm.release.create import create_empty
from desdm.release.images import facts
from desdm.release.manifest import measure
from desdm.release.publish import publish
from desdm.release.steps import BuiltFile
from desdm.services.soda.batch import Item, cut_items
from desdm.services.soda.files import ReleaseImage
from desdm.services.soda.stencil import Around
from desdm.survey.headers import wcs_of
from desdm.survey.imageio import Planes

SIDE, SCALE, SIZE = 10_000, 0.263, 228
PATH = "images/T/T_g.fits.fz"


def _header() -> fits.Header:
    step = SCALE / 3600
    return fits.Header([
        ("CTYPE1", "RA---TAN"), ("CTYPE2", "DEC--TAN"), ("CUNIT1", "deg"), ("CUNIT2", "deg"), ("CRVAL1", 30.0),
        ("CRVAL2", -5.0), ("CRPIX1", (SIDE + 1) / 2), ("CRPIX2", (SIDE + 1) / 2), ("CD1_1", -step), ("CD1_2", 0.0),
        ("CD2_1", 0.0), ("CD2_2", step), ("RADESYS", "ICRS"), ("EQUINOX", 2000.0), ("PIXSCALE", SCALE),
    ])  # fmt: skip


def _installation(home: Path) -> Path:
    rng = np.random.default_rng(1)
    piece = SIDE // 4
    noise = np.tile(rng.normal(0, 10, (piece, piece)).astype(np.float32), (4, 4))
    mask = np.tile((rng.uniform(size=(piece, piece)) < 0.003).astype(np.int32) * 16, (4, 4))
    weight = np.tile((rng.uniform(0.9, 1.1, (piece, piece)) / 100).astype(np.float32), (4, 4))
    planes = Planes(noise, mask, weight, _header())
    initialise(home)
    facility = Facility.open(home)
    root = facility.config.releases / "B1"
    create_empty(facility.database, root, "B1", title="bench", proprietary=False, who="bench")
    source = "0" * 64
    cards = [
        ("SIMPLE", True),
        ("BITPIX", 8),
        ("NAXIS", 0),
        ("EXTEND", True),
        ("RELEASE", "B1"),
        ("SRCSHA", source),
    ]
    parts = [sealed(fits.Header(cards), 0)]
    with pool(os.cpu_count() or 1) as run:
        steps = {"SCI": Steps(2.5, 0.01, 7), "MSK": None, "WGT": Steps(0.0, 0.01, 7)}
        for name, step in steps.items():
            header, unit = pack_tiles(getattr(planes, name.lower()), step, run)
            header["EXTNAME"] = name
            header.extend(_header(), strip=False, bottom=True)
            parts += [sealed(header, word_sum(unit)), unit]
    (root / PATH).parent.mkdir(parents=True)
    write(root / PATH, parts)
    made = [BuiltFile(PATH, "coadd", "application/fits", "T", "g", source_sha256=source, **facts(planes))]
    with facility.database.write() as conn:
        store.insert_files(conn, measure(root, "B1", made))
    publish(facility.database, root, "B1", who="bench")
    facility.close()
    return root / PATH


def _bare(opened: ReleaseImage, boxes: list[Box]) -> list[float]:
    # Every touched square of all planes, whole: what no server can go below unless it stops early.
    times = []
    for box in boxes:
        begun = time.perf_counter()
        for plane in opened.planes.values():
            assert isinstance(plane, RicePlane)
            for part in plane.parts(box):
                ny, nx = part.shape
                y0, x0 = (256 * n for n in divmod(part.number, plane.across))
                plane.read(Box(x0, x0 + nx, y0, y0 + ny))
        times.append(time.perf_counter() - begun)
    return times


def _cfitsio(path: Path, boxes: list[Box]) -> list[float]:
    times = []
    for box in boxes:
        begun = time.perf_counter()
        with fitsio.FITS(str(path)) as file:
            for name in ("SCI", "MSK", "WGT"):
                file[name][box.y0 : box.y1, box.x0 : box.x1]
        times.append(time.perf_counter() - begun)
    return times


def _rss(pid: int) -> int:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) * 1024


def _serve(home: Path) -> tuple[subprocess.Popen[str], int]:
    program = Path(sys.executable).parent / "desdm"
    command = [str(program), "--home", str(home), "serve", "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    for line in server.stdout:
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
        if found:
            return server, int(found[1])
    raise RuntimeError("desdm serve did not come up")


def _get(connection: http.client.HTTPConnection, ra: float, dec: float) -> tuple[float, float]:
    # Seconds that the client waited, and that the server worked by its own word.
    radius = (SIZE - 1) / 2 * SCALE / 3600
    query = f"/soda/sync?ID={quote('ivo://desdm/B1?' + PATH)}&CIRCLE={ra:.7f}+{dec:.7f}+{radius:.7f}"
    begun = time.perf_counter()
    connection.request("GET", query)
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status == 200 and body.startswith(b"SIMPLE"), body[:200]
    waited = time.perf_counter() - begun
    return waited, float(answer.headers["Server-Timing"].split("dur=")[1]) / 1e3


def main() -> None:
    """Print one line a figure."""
    place = workplace()
    path = _installation(place / "home")
    facility = Facility.open(place / "home")
    with facility.database.read() as conn:
        record = store.files(conn, "B1", path=PATH)[0]
    facility.close()
    opened = ReleaseImage(path, record).read_headers()
    rng = np.random.default_rng(3)
    corner = rng.integers(0, SIDE - SIZE, (100, 2))
    boxes = [Box(int(x), int(x) + SIZE, int(y), int(y) + SIZE) for x, y in corner]
    centres = wcs_of(_header()).all_pix2world(corner + (SIZE - 1) / 2, 0)
    _bare(opened, boxes[:5]), _cfitsio(path, boxes[:2])
    server, port = _serve(place / "home")
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        for ra, dec in centres[:10]:
            _get(connection, ra, dec)
        times: dict[str, list[float]] = {"bare": [], "cfitsio": [], "server": [], "http": []}
        for box, (ra, dec) in zip(boxes, centres, strict=True):
            # In turn, so that a busy machine is as busy for each.
            times["bare"] += _bare(opened, [box])
            times["cfitsio"] += _cfitsio(path, [box])
            waited, worked = _get(connection, ra, dec)
            times["server"].append(worked)
            times["http"].append(waited)
        connection.close()
        bare, cfitsio, server_ms, reply = (statistics.median(t) * 1e3 for t in times.values())
        emit("cutout.decode", bare, "ms", len(boxes), peer=round(cfitsio, 3))
        emit("cutout.server", server_ms, "ms", len(boxes), peer=round(cfitsio, 3), floor=bare)
        emit("cutout.http", reply, "ms", len(boxes), peer=round(cfitsio, 3), floor=bare)
        _batch(opened, port)
        _growth(server.pid, port)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


class _OneFile:
    # The shelf of a batch that has one file.
    def __init__(self, opened: ReleaseImage) -> None:
        self._opened = opened

    def open(self, _: object) -> ReleaseImage:
        return self._opened


def _batch(opened: ReleaseImage, port: int) -> None:
    rng = np.random.default_rng(4)
    half = (SIDE / 2 - SIZE) * SCALE / 3600
    ra, dec = 30 + rng.uniform(-half, half, 1000), -5 + rng.uniform(-half, half, 1000)
    items = [
        Item(i + 1, f"r{i}", Around(a, d, 1.0, 1.0), {"g": opened.file})
        for i, (a, d) in enumerate(zip(ra, dec, strict=True))
    ]
    with clock() as spent:
        done = sum(len(one.members) for one in cut_items(_OneFile(opened), items))  # type: ignore[arg-type]
    emit("cutout.batch", done / spent.cpu, "FITS/s per core", done, wall=spent.wall)
    table = io.StringIO()
    table.write("ra,dec\n")
    for a, d in zip(ra, dec, strict=True):
        table.write(f"{a:.8f},{d:.8f}\n")
    connection = http.client.HTTPConnection("127.0.0.1", port)
    begun = time.perf_counter()
    connection.request(
        "POST", "/api/cutouts?release=B1&size=1", table.getvalue(), {"Content-Type": "text/csv"}
    )
    answer = connection.getresponse()
    size = 0
    while piece := answer.read(1 << 20):
        size += len(piece)
    wall = time.perf_counter() - begun
    assert answer.status == 200 and size > 1000 * 500_000, (answer.status, size)
    emit("cutout.batch_http", 1000 / wall, "FITS/s", 1000, wall=wall)
    connection.close()


def _growth(pid: int, port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    rng = np.random.default_rng(5)
    half = (SIDE / 2 - SIZE) * SCALE / 3600
    for _ in range(500):
        _get(connection, 30 + rng.uniform(-half, half), -5 + rng.uniform(-half, half))
    before = _rss(pid)
    with clock() as spent:
        for _ in range(5000):
            _get(connection, 30 + rng.uniform(-half, half), -5 + rng.uniform(-half, half))
    emit(
        "cutout.growth",
        100.0 * (_rss(pid) - before) / before,
        "% of the server's memory",
        5000,
        wall=spent.wall,
    )


if __name__ == "__main__":
    main()
