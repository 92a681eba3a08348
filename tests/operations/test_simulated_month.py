"""A simulated month: real faults in real files, and deliveries that end as its truth says."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from desdm.archive.archive import Archive
from desdm.errors import UsageError
from desdm.operations.dts import Programme, Receiver, arrival_status, import_list, set_programme
from desdm.operations.dts.watch import Announced
from desdm.release.problems import problems
from desdm.schema.database import Database
from desdm.schema.operationstates import DeliveryState
from desdm.simulate.cameras import camera_of
from desdm.simulate.field import Density
from desdm.simulate.month import Month, make_month, plan_month
from desdm.simulate.troubles import TroubleKind
from tests.support.deliveries import md5_of, receiver


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the month is written."""
    return tmp_path_factory.mktemp("month")


@pytest.fixture(scope="module")
def month(folder: Path) -> Month:
    """Three nights with a trouble of each kind."""
    camera = camera_of("mini").only((1, 2))
    density = Density(stars=2000.0, galaxies=2000.0)
    plan = plan_month(7, 3, 15, camera, exposures=4, biases=1, flats=1, density=density)
    return make_month(folder, plan, camera, threads=2)


def manifest(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open() as lines:
        return list(csv.DictReader(lines))


def truth(folder: Path) -> list[dict[str, str | int | None]]:
    found: list[dict[str, str | int | None]] = json.loads((folder / "truth" / "troubles.json").read_text())
    return found


def test_each_kind_comes_once_and_no_exposure_has_two_troubles(month: Month, folder: Path) -> None:
    assert Counter(t["kind"] for t in truth(folder)) == {kind.value: 1 for kind in TroubleKind}
    numbers = [t["expnum"] for t in truth(folder) if t["expnum"] is not None]
    assert len(numbers) == len(set(numbers)) == 12
    rows = manifest(folder)
    assert [r["arrival"] for r in rows] == sorted(r["arrival"] for r in rows)
    assert all((folder / r["file"]).is_file() for r in rows)
    files = {p.relative_to(folder).as_posix() for p in (folder / "deliveries").rglob("*.fz")}
    assert files == {r["file"] for r in rows}
    # 3 nights of 1 bias, 2 flats and 8 exposures: one never sent, two sent twice.
    assert len(rows) == 3 * 11 - 1 + 2
    listed = sum(len(p.read_text().splitlines()) - 1 for p in (folder / "expected").iterdir())
    assert listed == 3 * 11


def test_the_faults_are_in_the_bytes(month: Month, folder: Path) -> None:
    """Held against astropy and the manifest."""
    announced = {r["file"]: r["md5"] for r in manifest(folder)}
    by_kind = {t.kind: t for t in month.troubles}

    def path(kind: TroubleKind) -> Path:
        return folder / by_kind[kind].file

    for name, md5 in announced.items():
        wrong = name in (by_kind[TroubleKind.WRONG_MD5].file, by_kind[TroubleKind.TRUNCATED].file)
        assert (md5_of(folder / name) != md5) == wrong, name
        assert (folder / f"{name}.md5").read_text().split() == [md5, Path(name).name]
    with fits.open(path(TroubleKind.WRONG_MD5), disable_image_compression=True) as hdus:
        assert len(hdus) == 3
    with pytest.warns(Warning, match="truncated"), fits.open(path(TroubleKind.TRUNCATED)) as hdus:
        _ = len(hdus)
    with fits.open(path(TroubleKind.WRONG_HDUS)) as hdus:
        assert len(hdus) == 2
        assert hdus[0].header["NEXTEND"] == 2
    missing = by_kind[TroubleKind.KEYWORD_MISSING]
    with fits.open(path(TroubleKind.KEYWORD_MISSING)) as hdus:
        assert all(missing.keyword not in hdu.header for hdu in hdus)
    twice = {r["file"] for r in manifest(folder) if "/again/" in r["file"]}
    for kind, same in ((TroubleKind.DUPLICATE_SAME, True), (TroubleKind.DUPLICATE_OTHER, False)):
        again = path(kind)
        assert by_kind[kind].file in twice
        assert (again.read_bytes() == (again.parents[1] / again.name).read_bytes()) is same
    for kind, keyword, value in (
        (TroubleKind.FOREIGN_PROPID, "PROPID", "2013A-0741"),
        (TroubleKind.JUNK_TITLE, "OBJECT", "junk"),
    ):
        assert fits.getval(path(kind), keyword) == value
    dead = by_kind[TroubleKind.DEAD_AMPLIFIER]
    with fits.open(path(TroubleKind.DEAD_AMPLIFIER)) as hdus:
        frame = hdus[dead.ccdnum].data.astype(float)
        levels = {}
        for name, data, overscan in (
            ("A", slice(56, 312), slice(6, 56)),
            ("B", slice(312, 568), slice(568, 618)),
        ):
            levels[name] = np.median(frame[50:, data]) - np.median(frame[50:, overscan])
    other = "B" if dead.amplifier == "A" else "A"
    assert abs(levels[dead.amplifier]) < 1.0  # ADU: bias alone
    assert levels[other] > 50.0
    night = json.loads((folder / "truth" / "night.json").read_text())
    entries = {e["expnum"]: e for e in night["exposures"]}
    assert entries[by_kind[TroubleKind.CLOUDS].expnum]["verdict"] == "False"
    assert {
        e["verdict"] for n, e in entries.items() if e["processed"] and n != by_kind[TroubleKind.CLOUDS].expnum
    } == {"True"}
    bad = by_kind[TroubleKind.BAD_CALIBRATION]
    levels_of = {
        (e["nite"], e["band"]): e["level_e"] for e in night["exposures"] if e["obstype"] == "dome flat"
    }
    assert [key for key, level in levels_of.items() if level < 1000.0] == [(bad.nite, bad.band)]


def test_the_same_seed_gives_the_same_deliveries(month: Month, folder: Path, tmp_path: Path) -> None:
    camera = camera_of("mini").only((1, 2))
    density = Density(stars=2000.0, galaxies=2000.0)
    plan = plan_month(7, 3, 15, camera, exposures=4, biases=1, flats=1, density=density)
    assert [t.expnum for t in plan.troubles] == [t.expnum for t in month.troubles]
    other = plan_month(8, 3, 15, camera, exposures=4, biases=1, flats=1, density=density)
    assert [t.expnum for t in other.troubles] != [t.expnum for t in month.troubles]
    with pytest.raises(UsageError, match="more exposures"):
        plan_month(7, 1, 15, camera, exposures=2)


@pytest.fixture
def taker(database: Database, archive: Archive, tmp_path: Path) -> Iterator[Receiver]:
    """A receiver of an installation that takes the simulated survey."""
    now = datetime(2012, 11, 20)
    entry = Programme("2012B-0001", "survey", "OPS", True, "ann", now)
    set_programme(database, entry, reason="the simulated survey", now=now)
    yield receiver(database, archive, tmp_path / "home", now)


def test_every_delivery_ends_as_the_truth_says(
    month: Month, folder: Path, taker: Receiver, tmp_path: Path
) -> None:
    for path in sorted((folder / "expected").iterdir()):
        import_list(taker.database, path, source="observatory", who="ann", now=taker.clock())
    drop = tmp_path / "drop"
    announced = Announced.read(folder / "manifest.csv")
    found, last = {}, taker.clock()
    names: dict[str, str] = {}
    for row in manifest(folder):
        source, target = folder / row["file"], drop / row["file"]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
        last = datetime.fromisoformat(row["arrival"])
        here = replace(taker, clock=lambda now=last: now)
        (one,) = here.accept([(target, announced.md5_of(source))], "observatory")
        found[row["file"]] = (one.state, one.reason_code)
        names[str(one.id)] = one.filename
    assert found == {d.file: (d.end_state, d.reason_code) for d in month.deliveries}
    with taker.database.read() as conn:
        listed = problems(conn)
    quarantined = [d for d in month.deliveries if d.end_state is DeliveryState.QUARANTINED]
    assert len(listed) == len(quarantined) == 6
    assert {names[p.subject] for p in listed} == {Path(d.file).name for d in quarantined}
    status = arrival_status(taker.database, now=last + timedelta(days=1), most=None)
    late = {e.listed.expnum for e in status.expected if e.late}
    missing = {e.listed.expnum for e in status.expected if e.missing}
    assert late == {t.expnum for t in month.troubles if t.late}
    assert missing == {t.expnum for t in month.troubles if t.missing}
    assert sum(n.extra for n in status.nights) == 0
    assert sum(n.pending for n in status.nights) == 0
