"""A release with files of every kind for the tests of the file services, and a bad network between two ends."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from desdm.facility import Facility, initialise
from desdm.release import store
from desdm.release.addtable import add_table
from desdm.release.create import create_empty
from desdm.release.manifest import measure
from desdm.release.publish import freeze, switch
from desdm.release.steps import BuiltFile
from tests.support.release import objects

__all__ = ["TILES", "Wire", "file_release", "wire"]

#: Tile → (ra, dec) of its centre; each is a square of 0.7° on the sky, the first across RA 0.
TILES = {"DES0000+0000": (0.0, 0.0), "DES0200-0500": (30.0, -5.0)}
_HALF = 0.35


def _square(ra: float, dec: float) -> str:
    corners = [(-_HALF, -_HALF), (_HALF, -_HALF), (_HALF, _HALF), (-_HALF, _HALF)]
    return "POLYGON ICRS " + " ".join(f"{(ra + dx) % 360:.6f} {dec + dy:.6f}" for dx, dy in corners)


def file_release(home: Path, name: str = "T1", *, size: int = 300_000, proprietary: bool = False) -> Path:
    """A published release with a table, images of two tiles in two bands of ``size`` bytes each, and a text.

    Returns
    -------
    Path
        Directory of the release.
    """
    if not (home / "desdm.toml").exists():
        initialise(home)
    facility = Facility.open(home)
    rng = np.random.default_rng(11)
    try:
        database, root = facility.database, facility.config.releases / name
        create_empty(database, root, name, proprietary=proprietary, who="tester")
        add_table(
            database, root, name, "objects", iter(objects(200).to_batches()), ra="ra", dec="dec", who="tester"
        )
        (root / "docs").mkdir()
        (root / "docs/read me.txt").write_text("What is in it, and what is not.\n")
        made = []
        for tile, (ra, dec) in TILES.items():
            (root / "images" / tile).mkdir(parents=True)
            for band in "gr":
                path = f"images/{tile}/{tile}_{band}.fits.fz"
                (root / path).write_bytes(rng.bytes(size))
                made.append(
                    BuiltFile(
                        path, "coadd", "application/fits", tilename=tile, band=band, ra_cent=ra, dec_cent=dec,
                        radius=0.5, s_region=_square(ra, dec),
                    )
                )  # fmt: skip
        with database.write() as conn:
            store.replace_files(conn, name, store.files(conn, name) + measure(root, name, made))
        # Its images are no images, so that a test can choose their bytes: validation is left out.
        freeze(database, root, name, who="me")
        switch(database, name, who="tester")
        return root
    finally:
        facility.close()


class Wire:
    """A piece of network before a server: counts bytes, and can be slow or cut every connection after some bytes."""

    def __init__(self, port: int, *, cut_after: int | None = None, speed: float | None = None) -> None:
        self.target, self.cut_after, self.speed = port, cut_after, speed
        self.carried = 0
        self.connections = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """Address that leads over the wire."""
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        """Take the wire away."""
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        with near:
            try:
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                return
            with far:
                threading.Thread(target=_pump, args=(near, far), daemon=True).start()
                left = self.cut_after
                try:
                    while left is None or left > 0:
                        piece = far.recv(65536 if left is None else min(65536, left))
                        if not piece:
                            return
                        near.sendall(piece)
                        self.carried += len(piece)
                        left = None if left is None else left - len(piece)
                        if self.speed:
                            time.sleep(len(piece) / self.speed)
                except OSError:
                    return
                finally:
                    _hang_up(near)
                    _hang_up(far)


def _hang_up(end: socket.socket) -> None:
    # Closing alone says nothing to the other side while a thread still reads here.
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while piece := source.recv(65536):
            sink.sendall(piece)
    except OSError:
        pass


@contextmanager
def wire(port: int, *, cut_after: int | None = None, speed: float | None = None) -> Iterator[Wire]:
    """A `Wire` for the length of a block.

    Parameters
    ----------
    port
        Of the server.
    cut_after
        Bytes after which each connection breaks.
    speed
        Bytes a second.
    """
    made = Wire(port, cut_after=cut_after, speed=speed)
    try:
        yield made
    finally:
        made.close()
