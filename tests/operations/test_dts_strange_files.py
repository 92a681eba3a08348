"""What must never be opened, and names that are not text: refused with a reason, while the others go on."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from desdm.archive.archive import Archive
from desdm.cli.dts import _line
from desdm.operations.dts import Delivery, Receiver, watch
from desdm.operations.dts.paths import LONGEST_NAME, path_of, path_text, printable
from desdm.release.problems import problems
from desdm.schema.database import Database
from desdm.schema.operationstates import DeliveryReason, DeliveryState
from tests.operations.test_dts_accept import NOW
from tests.support.deliveries import md5_of, raw_frame, receiver


@pytest.fixture
def drop(tmp_path: Path) -> Path:
    """A drop directory."""
    folder = tmp_path / "drop"
    folder.mkdir()
    return folder


@pytest.fixture
def taker(database: Database, archive: Archive, tmp_path: Path) -> Receiver:
    """A receiver on each engine."""
    return receiver(database, archive, tmp_path / "home", NOW)


@pytest.fixture
def short_folder(drop: Path) -> Iterator[Path]:
    """Make the drop directory the current one: names of sockets are short."""
    before = Path.cwd()
    os.chdir(drop)
    yield drop
    os.chdir(before)


def watched(taker: Receiver, drop: Path) -> dict[str, Delivery]:
    ended: list[Delivery] = []
    watch(taker, drop, "ctio", interval=0.1, until_idle=True, told=ended.append)
    return {one.filename: one for one in ended}


@pytest.mark.parametrize(
    "name", ["plain.fits", "zz\udcff.fits", "a\\xff.fits", "a\\x5cxff.fits", "\\\udc80\\x", "é\udce9\\xe"]
)
def test_a_path_is_the_inverse_of_its_text(name: str) -> None:
    text = path_text(Path("/drop", name))
    text.encode()
    assert path_of(text) == Path("/drop", name)


def test_paths_of_different_bytes_have_different_texts() -> None:
    assert path_text("zz\udcff.fits") == r"zz\xff.fits"
    assert path_text(r"zz\xff.fits") != path_text("zz\udcff.fits")


def test_a_name_that_is_not_text_is_quarantined_and_the_others_go_on(taker: Receiver, drop: Path) -> None:
    strange = os.fsencode(drop) + b"/zz\xff.fits"
    with Path(os.fsdecode(strange)).open("wb") as file:
        file.write(b"x")
    os.utime(strange, (1577836800, 1577836800))
    good = raw_frame(drop, 150001)
    ended = watched(taker, drop)
    one = ended[r"zz\xff.fits"]
    assert (one.state, one.reason_code) == (DeliveryState.QUARANTINED, DeliveryReason.REGISTER)
    assert one.reason is not None
    assert "not UTF-8" in one.reason
    assert ended[good.name].state is DeliveryState.INGESTED
    aside = taker.places.home / "quarantine" / f"{one.id:06d}" / r"zz\xff.fits"
    assert aside.read_bytes() == b"x"
    assert not os.path.lexists(strange)
    with taker.database.read() as conn:
        assert [p.subject for p in problems(conn) if p.opened_by == "dts"] == [str(one.id)]
    assert watched(taker, drop) == {}


def test_a_directory_whose_name_is_not_text_delivers(taker: Receiver, drop: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(drop) + b"/n\xe9"))
    folder.mkdir()
    path = raw_frame(folder, 150001)
    (one,) = taker.accept([(path, md5_of(path))], "ctio")
    assert (one.state, one.reason) == (DeliveryState.INGESTED, None)
    assert (folder / f"{path.name}.ack").exists()
    assert taker.accept([(path, md5_of(path))], "ctio") == [one]


def test_a_name_that_is_too_long_is_quarantined(taker: Receiver, drop: Path) -> None:
    path = raw_frame(drop, 150001).rename(drop / ("é" * 100 + ".fits"))
    (one,) = taker.accept([(path, None)], "ctio")
    assert (one.state, one.reason_code) == (DeliveryState.QUARANTINED, DeliveryReason.REGISTER)
    assert len(one.filename) <= LONGEST_NAME
    assert one.filename.endswith(".fits")
    assert taker.places.aside_now(one) is not None


def test_only_regular_files_are_opened(taker: Receiver, short_folder: Path, tmp_path: Path) -> None:
    secret = raw_frame(tmp_path, 150009)
    before = secret.read_bytes()
    (short_folder / "link.fits").symlink_to(secret)
    (short_folder / "dangling.fits").symlink_to(tmp_path / "nothing")
    (short_folder / "zero.fits").symlink_to("/dev/zero")
    os.mkfifo(short_folder / "pipe.fits")
    (short_folder / "folder.fits").mkdir()
    good = raw_frame(short_folder, 150001)
    os.mkfifo(short_folder / f"{good.name}.md5")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.fits")
        ended = watched(taker, short_folder)
    kinds = {
        "link.fits": "a symbolic link",
        "dangling.fits": "a symbolic link",
        "zero.fits": "a symbolic link",
        "pipe.fits": "a named pipe",
        "folder.fits": "a directory",
        "socket.fits": "a socket",
    }
    assert ended.pop(good.name).state is DeliveryState.INGESTED
    assert set(ended) == set(kinds)
    for name, one in ended.items():
        assert (one.state, one.reason_code) == (DeliveryState.QUARANTINED, DeliveryReason.REGISTER)
        assert kinds[name] in (one.reason or "")
        # Nothing is moved, nothing is read.
        assert os.path.lexists(short_folder / name)
    assert secret.read_bytes() == before
    assert watched(taker, short_folder) == {}


def test_a_row_whose_file_became_a_pipe_does_not_block(taker: Receiver, drop: Path) -> None:
    path = raw_frame(drop, 150001)
    (noted,) = taker.note([(path, None)], "ctio")
    path.unlink()
    os.mkfifo(path)
    one = taker.judge(noted.id)
    assert (one.state, one.reason_code) == (DeliveryState.QUARANTINED, DeliveryReason.REGISTER)


def test_signs_that_deceive_are_shown_escaped(taker: Receiver, drop: Path) -> None:
    (drop / "a\u202esti\x1b[31mf\n.fits").write_bytes(b"x")
    (one,) = watched(taker, drop).values()
    assert "a\\u202esti\\x1b[31mf\\n.fits: quarantined" in _line(one)
    assert _line(one).isprintable()
    assert printable("é – D00150014.fits") == "é – D00150014.fits"


def test_a_device_is_refused(taker: Receiver) -> None:
    (one,) = taker.accept([(Path("/dev/zero"), None)], "ctio")
    assert "a device" in (one.reason or "")
    assert Path("/dev/zero").exists()
