"""Names in every form that people write, and what is said to words that a command does not take."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from desdm.accounts import offices, people
from desdm.cli.main import main
from desdm.facility import Facility, initialise
from desdm.schema.operationstates import Office
from desdm.schema.states import Role
from tests.support.toy import arrive, plan, text_pipeline

ROOT = Path(__file__).parents[2]
DESDM = str(Path(sys.executable).parent / "desdm")
#: The second pipeline of the installation has its second request.
RUN = "D00150029_r2p01"
#: More messages than `desdm show` has room for.
WARNINGS = 23
TALK = """
pipeline = talk
unitname = D00150029
use_qcf = true
blocklist = one
<qcf>
    <patterns>
        <clouds>
            pattern = WARNING: cloud
            lvl = 2
        </clouds>
    </patterns>
</qcf>
<block one>
    modulelist = say
</block>
<module say>
    wrappername = tests.support.toycodes.chatter
    lines = {lines}
    <file>
        <talk>
            filetype = misc
            filename = ${{run}}_talk.txt
        </talk>
    </file>
</module>
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation with one run of unit D00150029, done with many warnings, and one that is planned."""
    home = tmp_path_factory.mktemp("hints") / "home"
    initialise(home)
    facility = Facility.open(home)
    arrive(facility, home.parent)
    plan(facility, text_pipeline(), {"run_class": "dev"})
    facility.close()
    lines = "|".join(f"WARNING: cloud number {n} ahead" for n in range(WARNINGS))
    (home.parent / "talk.wcl").write_text(TALK.format(lines=lines))
    subprocess.run(
        [DESDM, "--home", str(home), "submit", str(home.parent / "talk.wcl"), "--wait"],
        check=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    return home


class Caller:
    """Calls the command line in this process."""

    def __init__(
        self, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.home, self._monkeypatch, self._capsys = home, monkeypatch, capsys

    def __call__(self, *words: str, home: bool = True) -> tuple[int, str]:
        """Status, and what is written to both streams."""
        given = ["desdm", *(["--home", str(self.home)] if home else []), *words]
        self._monkeypatch.setattr(sys, "argv", given)
        with pytest.raises(SystemExit) as end:
            main()
        said = self._capsys.readouterr()
        return int(end.value.code or 0), said.out + said.err


@pytest.fixture
def desdm(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Caller:
    return Caller(home, monkeypatch, capsys)


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("run 20121120", "desdm run night 20121120"), ("run night 99999999", "YYYYMMDD"),
        ("run night 2012-11-20", "no raw exposure of night 20121120"), ("sql SELECT", "-c TEXT"),
        ("query SELECT", "-c TEXT"), ("files exposure", "--filetype TYPE"), ("status T1_r1p01", "desdm show RUN"),
        ("verdict --night", "lists every exposure"), ("release notes", "desdm release show"),
        ("release delete", "desdm release discard"), ("tile show", "desdm tile list"), ("tile frob", "add, list"),
        ("process", "desdm submit PIPELINE"), ("whoami", "operator"), ("search", "desdm files --query"),
        ("find", "desdm files --query"), ("exposures", "desdm verdict"), ("verdict x", "150029 or D00150029"),
        ("quicklook /etc/hosts", "not a FITS file"),
    ],
)  # fmt: skip
def test_a_word_that_is_not_taken_has_advice(desdm: Caller, words: str, advice: str) -> None:
    status, said = desdm(*words.split())
    assert status in (2, 4) and advice in said


@pytest.mark.parametrize(
    ("guess", "meant"), [("man status", "status --help"), ("shell --help", "sql --help")]
)
def test_a_guess_does_what_is_meant(desdm: Caller, guess: str, meant: str) -> None:
    assert desdm(*guess.split()) == desdm(*meant.split())


@pytest.mark.parametrize("place", ["--home HOME status", "status --home HOME", "status --json --home=HOME"])
def test_the_installation_may_be_named_after_the_command(desdm: Caller, place: str) -> None:
    status, said = desdm(*place.replace("HOME", str(desdm.home)).split(), home=False)
    assert status == 0 and RUN in said


@pytest.mark.parametrize("command", ["show", "explain", "log", "report", "cancel", "files --attempt"])
@pytest.mark.parametrize("unit", ["D00150029", "d00150029", "150029"])
def test_a_unit_is_told_its_runs(desdm: Caller, command: str, unit: str) -> None:
    status, said = desdm(*command.split(), unit)
    assert status == 2 and RUN in said


def test_an_exposure_is_named_by_number_or_name(desdm: Caller) -> None:
    for command in ("verdict", "exclude"):
        words = ("--reason", "clouds") if command == "exclude" else ()
        by_name, by_number = desdm(command, "D00150030", *words), desdm(command, "150030", *words)
        assert by_name[0] == by_number[0] == 0
        assert "150030" in by_name[1]


def test_a_run_is_marked_in_either_order_and_its_files_are_told_of(desdm: Caller) -> None:
    assert desdm("mark", "junk", RUN, "--reason", "clouds")[0] == 0
    try:
        status, said = desdm("files", "--filetype", "misc", "--band", "g")
        assert (status, said) == (0, "no such file; desdm files lists all\n")
        # The run has one log.
        status, said = desdm("files", "--filetype", "log")
        assert (status, said) == (0, "no such file; 1 that are JUNK or defective are hidden: --all\n")
        assert RUN in desdm("files", "--filetype", "log", "--all")[1]
    finally:
        assert desdm("mark", RUN, "active", "--reason", "it was none")[0] == 0


def test_the_older_word_for_a_blessing_keeps_the_rule_on_own_work(desdm: Caller) -> None:
    facility = Facility.open(desdm.home)
    database, me = facility.database, facility.config.operator
    with database.write() as conn:
        people.add(conn, "mary", Role.COLLABORATOR, who=me, name="Mary")
        offices.give(conn, "mary", Office.QA, "", who=me, reason="season 1")
    try:
        for word in ("blessed", "active"):
            status, text = desdm("mark", RUN, word, "--reason", "looked at it")
            assert status != 0 and "let another person bless it (mary)" in text and "--own" in text
        assert desdm("mark", RUN, "junk", "--reason", "clouds")[0] == 0, "one's own work is called bad freely"
        assert desdm("mark", RUN, "active", "--own", "--reason", "looked at it")[0] == 0
        assert json.loads(desdm("mark", RUN, "--json")[1])["marks"][-1]["own_work"]
    finally:
        with database.write() as conn:
            offices.end(conn, "mary", Office.QA, "", who=me, reason="the test ends")
        facility.close()


def test_what_was_said_to_be_fixed_is_closed_by_a_run_or_test(desdm: Caller) -> None:
    number = str(
        json.loads(desdm("problem", "open", "attempt", RUN, "odd", "--note", "--json")[1])["problem"]
    )
    assert desdm("problem", "fix", number, "--reason", "new flat")[0] == 0
    status, text = desdm("problem", "close", number, "done")
    assert status == 2 and "closed when a test or run shows" in text
    assert desdm("problem", "close", number, "done", "--evidence", f"run:{RUN}")[0] == 0
    other = str(json.loads(desdm("problem", "open", "attempt", RUN, "odd", "--note", "--json")[1])["problem"])
    assert desdm("problem", "fix", other, "--reason", "new flat")[0] == 0
    assert desdm("problem", "close", other, "done", "--code", "worked_round")[0] == 0


def test_messages_that_have_no_room_are_told_of(desdm: Caller) -> None:
    said = desdm("show", RUN)[1]
    assert said.count("cloud number") == 20
    assert f"all: desdm log {RUN} --messages" in said
    assert desdm("log", RUN, "--messages")[1].count("cloud number") == WARNINGS
    status, said = desdm("log", RUN, "--messages", "--level", "1")
    assert status == 0 and f"{WARNINGS} of level" in said


def test_runs_that_have_no_room_are_told_of(desdm: Caller) -> None:
    said = desdm("status", "--limit", "1")[1]
    assert "the newest 1 are listed" in said
    assert "are listed" not in desdm("status", "--limit", "2")[1]


def test_a_tile_south_of_the_equator_is_added(desdm: Caller) -> None:
    status, said = desdm("tile", "add", "DES0159-0500", "29.9", "-5")
    assert (status, said) == (0, "tile DES0159-0500 at 29.9 -5: 10000 pixels a side of 0.263 arcsec\n")
    (tile,) = json.loads(desdm("tile", "list", "--json")[1])
    assert tile["dec_cent"] == -5.0


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("desdm submit co", "coadd"), ("desdm pipeline show fir", "firstcut"), ("desdm show D001", RUN),
        ("desdm files --attempt T1", "T1_r1p01"), ("desdm mark D", RUN),
    ],
)  # fmt: skip
def test_completion_offers_names(home: Path, typed: str, offered: str) -> None:
    env = {"_DESDM_COMPLETE": "bash_complete", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    done = subprocess.run(
        [DESDM],
        capture_output=True,
        text=True,
        env={**os.environ, **env, "DESDM_HOME": str(home)},
        timeout=60,
    )
    assert f"plain,{offered}" in done.stdout.splitlines()
