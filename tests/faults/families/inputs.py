"""Files that arrive and are not what they should be."""

from __future__ import annotations

import gzip
import os
import random
import socket
from collections.abc import Callable
from pathlib import Path

from tests.faults.outcome import Fault, Outcome, family
from tests.faults.testbed import Testbed
from tests.faults.truth import on_disk, registered, rows

CARD = 80


def _card(data: bytes, keyword: str, value: str, first: int = 0) -> bytes:
    """Rewrite the value of a header card in place."""
    at = data.index(f"{keyword:<8}=".encode(), first)
    return data[:at] + f"{keyword:<8}= {value:>20}".ljust(CARD).encode() + data[at + CARD :]


def _truncated(data: bytes, moments: random.Random) -> bytes:
    return data[: moments.randrange(2880 * 2, len(data) - 2880)]


def _bitpix(data: bytes, moments: random.Random) -> bytes:
    return _card(data, "BITPIX", str(moments.choice((7, 9, -33, 128))))


def _axis(data: bytes, moments: random.Random) -> bytes:
    return _card(data, "NAXIS1", str(moments.choice((2**31 - 1, 2**62, 10**15))), data.index(b"XTENSION"))


def _head_cut(data: bytes, moments: random.Random) -> bytes:
    return data[: moments.randrange(100, 2800)]


def _not_fits(data: bytes, moments: random.Random) -> bytes:
    return moments.randbytes(len(data) // 10)


def _no_end(data: bytes, moments: random.Random) -> bytes:
    return data.replace(b"END" + b" " * 77, b"ENX" + b" " * 77)


def _zeroes(data: bytes, moments: random.Random) -> bytes:
    return bytes(len(data))


def _negative_axis(data: bytes, moments: random.Random) -> bytes:
    return _card(data, "NAXIS1", "-512", data.index(b"XTENSION"))


#: Mutations that leave no readable image: each must be refused by its name.
FATAL: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _truncated, _bitpix, _axis, _head_cut, _not_fits, _no_end, _zeroes, _negative_axis,
)  # fmt: skip


def _random_bytes(data: bytes, moments: random.Random) -> bytes:
    """Some bytes of the first headers, which may or may not matter."""
    out = bytearray(data)
    for _ in range(moments.randrange(1, 30)):
        out[moments.randrange(0, 2880 * 4)] = moments.randrange(256)
    return bytes(out)


def _huge_header(data: bytes, moments: random.Random) -> bytes:
    """32 MB of cards before the END of the primary header."""
    end = data.index(b"END" + b" " * 77)
    filling = b"".join(f"HIERARCH FILL {n} = {n}".ljust(CARD).encode() for n in range(36 * 200)) * 58
    head = data[:end] + filling + b"END".ljust(CARD)
    return head + b" " * (-len(head) % 2880) + data[-(-(end + CARD) // 2880) * 2880 :]


OTHER: tuple[Callable[[bytes, random.Random], bytes], ...] = (_random_bytes, _huge_header)


@family(
    "bad-input",
    "mutated FITS files (10 kinds), FIFO, socket, device, links, gzip bomb, header of 32 MB, names that are not UTF-8, "
    "beside good files, into `ingest`",
)
def bad_input(testbed: Testbed, outcome: Outcome) -> None:
    source = next(testbed.patch.glob("*_immask.fits"))
    data = source.read_bytes()
    with testbed.scratch() as folder:
        home, inbox = testbed.empty(folder / "home"), folder / "in"
        inbox.mkdir()
        bad = _fatal(testbed, inbox, data)
        for number, change in enumerate(OTHER * testbed.times(6)):
            _write(inbox, 700 + number, change(data, testbed.moments))
        good = set()
        for number in range(3):
            good.add(_write(inbox, 900 + number, data[:-1440] + os.urandom(1) + data[-1439:]))
        _tricks(inbox, folder, data)
        before = _outside(folder, home)
        done = testbed.desdm(home, "ingest", inbox, "--json", limit=180)
        outcome.tried += sum(1 for _ in inbox.iterdir())
        outcome.expect(done.status is not None, Fault.HANG, f"ingest hung: {done.short}")
        outcome.expect(done.status == 1 and not done.traceback, Fault.WRONG, f"ingest: {done.short}")
        found = {name for _, name, *_ in registered(home)}
        for name in sorted(bad):
            outcome.damage(name not in found and name in done.out, f"{name} was taken, or not named")
        for name in sorted(good):
            outcome.expect(name in found, Fault.FALSE, f"{name} is good and was not taken")
        outcome.expect(
            _outside(folder, home) == before, Fault.WRONG, "ingest wrote outside of its installation"
        )
        known = {path for path, *_ in registered(home)}
        outcome.expect(on_disk(home) == known, Fault.LOST, f"rows and files differ: {on_disk(home) ^ known}")
        testbed.audited_clean(home, outcome, "after it")
        again = testbed.desdm(home, "ingest", inbox, "--json", limit=180)
        outcome.expect(again.status in (0, 1), Fault.WRONG, f"the repetition: {again.short}")
        twice = [
            n
            for (n, count) in rows(home, "SELECT filename, count(*) FROM desfile GROUP BY filename")
            if count > 1
        ]
        outcome.expect(not twice, Fault.TWICE, f"{twice}")


def _write(inbox: Path, number: int, data: bytes) -> str:
    """A file under a name of the type's pattern."""
    name = f"D{900100 + number:08d}_r_c34_r0000p00_immask.fits"
    (inbox / name).write_bytes(data)
    return name


def _fatal(testbed: Testbed, inbox: Path, data: bytes) -> set[str]:
    """Write the files that must be refused; their names."""
    count = testbed.times(3)
    return {
        _write(inbox, 10 * number + n, change(data, testbed.moments))
        for number, change in enumerate(FATAL)
        for n in range(count)
    }


def _tricks(inbox: Path, folder: Path, data: bytes) -> None:
    """What is not a regular file, or more than it seems."""
    os.mkfifo(inbox / "pipe_immask.fits")
    (inbox / "device.fits").symlink_to("/dev/zero")
    (inbox / "memory.fits").symlink_to("/proc/self/mem")
    (inbox / "nowhere.fits").symlink_to(folder / "nothing")
    (inbox / "circle.fits").symlink_to(inbox / "circle.fits")
    (inbox / "above").symlink_to(folder)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(inbox / "socket.fits"))
    with gzip.open(inbox / "D00900800_r_c34_r0000p00_immask.fits.gz", "wb", compresslevel=9) as bomb:
        bomb.write(data[:2880])
        for _ in range(512):
            bomb.write(bytes(1 << 20))
    Path(os.fsdecode(os.fsencode(inbox) + b"/bad\xff\xfe.fits")).write_bytes(data)
    (inbox / "empty_immask.fits").write_bytes(b"")
    (inbox / ("n" * 250 + ".fits")).write_bytes(data)
    (inbox / "line\nbreak.fits").write_bytes(data)
    (inbox / "..%2f..%2fetc.fits").write_bytes(data)


def _outside(folder: Path, home: Path) -> set[str]:
    """Everything beside the installation."""
    return {str(p) for p in folder.rglob("*") if home not in p.parents and p != home}
