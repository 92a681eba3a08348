"""desdm dts on an installation: rows and JSON, exit statuses, decisions with author and reason."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from desdm.facility import initialise
from tests.support.deliveries import NIGHT, md5_of, raw_frame


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An installation."""
    initialise(tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def drop(tmp_path: Path) -> Path:
    """A drop directory with a good exposure, one without its last image, and one of another proposal."""
    folder = tmp_path / "drop"
    folder.mkdir()
    raw_frame(folder, 150001)
    raw_frame(folder, 150002, images=3)
    raw_frame(folder, 150003, PROPID="2013A-0999")
    return folder


def desdm(home: Path, *words: str | Path, status: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "desdm.cli.main", "--home", str(home), "dts", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "USER": "ann"},
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def ask(home: Path, *words: str | Path) -> Any:
    return json.loads(desdm(home, *words, "--json"))


def test_a_night_of_deliveries(home: Path, drop: Path) -> None:
    ask(home, "propid", "2012B-0001", "--programme", "survey", "--reason", "DES")
    (drop / "list.csv").write_text(
        "expnum,filename,nite,expected_at,delivered\n"
        + "".join(
            f"{n},DECam_00{n}.fits,{NIGHT},2012-11-21T0{n % 10}:00:00,true\n" for n in range(150001, 150005)
        )
    )
    assert ask(home, "expect", drop / "list.csv")[0]["files"] == 4
    files = sorted(drop.glob("*.fits"))
    clock = ("--clock", "2012-11-21T05:00:00")
    rows = ask(home, "accept", *files, *clock)
    assert [(r["state"], r["reason_code"]) for r in rows] == [
        ("ingested", None),
        ("quarantined", "structure"),
        ("quarantined", "propid"),
    ]
    assert rows[0]["noticed_at"].startswith("2012-11-21 05:00:0")
    assert (rows[0]["programme"], rows[0]["md5_found"]) == ("survey", md5_of(files[0]))
    assert ask(home, "accept", *files, *clock) == rows
    found = ask(home, "status", "--clock", "2012-11-21T17:00:00")
    (night,) = found["nights"]
    assert (night["expected"], night["delivered"], night["ingested"], night["quarantined"]) == (4, 3, 1, 2)
    # 150004 is expected at 4 h; the allowance is 12 h.
    assert (night["late"], night["missing"], night["extra"]) == (1, 3, 0)
    assert [(e["expnum"], e["state"]) for e in found["expected"]][-1] == (150004, "expected")
    assert found["deliveries"] == rows
    text = desdm(home, "status", "--nite", NIGHT)
    assert "delivery 2, DECam_00150002.fits: quarantined, structure: it has 3 images" in text
    assert "missing, late: DECam_00150004.fits of night 20121120, expected" in text


def test_decisions_need_a_reason_and_name_their_author(home: Path, drop: Path) -> None:
    ask(home, "accept", drop / "DECam_00150002.fits")
    assert "say why: --reason TEXT" in desdm(home, "release", "1", status=2)
    assert "would be judged again" in desdm(home, "release", "1", "--reason", "x", "--dry-run")
    assert "no delivery 9" in desdm(home, "dismiss", "9", "--reason", "x", status=2)
    assert ask(home, "release", "1", "--reason", "the CCD is dead")["state"] == "ingested"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "desdm.cli.main",
            "--home",
            str(home),
            "events",
            "--kind",
            "delivery",
            "--json",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    acts = [(e["who"], e["subject"], e["reason"]) for e in json.loads(done.stdout)]
    assert ("ann", "D00150002", "the CCD is dead") in acts


def test_watch_writes_a_line_a_delivery(home: Path, drop: Path) -> None:
    (drop / "DECam_00150002.fits").unlink()
    lines = desdm(home, "watch", drop, "--until-idle", "--interval", "0.2", "--json").splitlines()
    assert {json.loads(line)["filename"] for line in lines} == {"DECam_00150001.fits", "DECam_00150003.fits"}
    assert "0 deliveries judged" in desdm(home, "watch", drop, "--until-idle", "--interval", "0.2")
    assert "is not a timestamp" in desdm(home, "status", "--clock", "soon", status=2)
    assert "with one FILE" in desdm(home, "accept", drop / "a", drop / "b", "--md5", "0" * 32, status=2)
