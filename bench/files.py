"""Files over HTTP: throughput of whole downloads against ``cat``, small ranges, and what fifty downloads cost in memory."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from statistics import median

import numpy as np

from common import clock, emit, workplace

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.files import file_release
from tests.support.server import Served, served

_SIZE = 256_000_000
_ROUNDS = 5


def _cpu(url: Served) -> float:
    fields = Path(f"/proc/{url.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident(url: Served) -> int:
    return int(Path(f"/proc/{url.process.pid}/statm").read_text().split()[1]) * 4096


def main() -> None:
    """Serve a release with images of 256 MB and measure."""
    home = workplace() / "home"
    root = file_release(home, "B1", size=_SIZE)
    path = "images/DES0000+0000/DES0000+0000_g.fits.fz"
    with served(home) as url:
        address = f"{url}/files/B1/{path}"
        began = time.perf_counter()
        subprocess.run(["curl", "-sI", address], check=True, stdout=subprocess.DEVNULL)
        first = time.perf_counter() - began
        with clock() as hashed:
            hashlib.sha256((root / path).read_bytes())
        # The first request pays for one hash of the file; its floor is that hash.
        emit("files.first-request", first * 1e3, "ms", _SIZE, floor=hashed.wall * 1e3)
        _whole(url, address, root / path)
        _ranges(address)
        _many(url, address)


def _whole(url: Served, address: str, path: Path) -> None:
    over, bare, cpu = [], [], []
    for _ in range(_ROUNDS):
        for command, kept in ((["curl", "-s", address], over), (["cat", str(path)], bare)):
            spent, began = _cpu(url), time.perf_counter()
            with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
                assert process.stdout is not None
                while process.stdout.read(1 << 20):
                    pass
            kept.append(_SIZE / (time.perf_counter() - began) / 1e6)
            if kept is over:
                cpu.append(_cpu(url) - spent)
    emit("files.download", median(over), "MB/s", _SIZE, floor=median(bare))
    emit("files.download-cpu", median(cpu) / _SIZE * 1e9, "s/GB", _SIZE)


def _ranges(address: str) -> None:
    from urllib3 import PoolManager

    pool, rng, times = PoolManager(), np.random.default_rng(3), []
    for at in rng.integers(0, _SIZE - 65536, 500):
        began = time.perf_counter()
        pool.request("GET", address, headers={"Range": f"bytes={at}-{at + 65535}"})
        times.append(time.perf_counter() - began)
    emit("files.range-64k", median(times) * 1e3, "ms", len(times))


def _many(url: Served, address: str) -> None:
    before = highest = _resident(url)
    readers = [
        threading.Thread(target=subprocess.run, args=(["curl", "-s", "-o", "/dev/null", address],))
        for _ in range(50)
    ]
    began = time.perf_counter()
    for reader in readers:
        reader.start()
    while any(reader.is_alive() for reader in readers):
        highest = max(highest, _resident(url))
        time.sleep(0.05)
    wall = time.perf_counter() - began
    emit("files.fifty-readers", 50 * _SIZE / wall / 1e6, "MB/s", 50, wall=wall)
    emit("files.fifty-readers-memory", (highest - before) / 1e6, "MB", 50)


if __name__ == "__main__":
    main()
