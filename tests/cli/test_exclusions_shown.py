"""Whoever looks at the verdict or the run of an excluded exposure is told of the exclusion: who, when and why."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, update

from desdm.archive import store
from desdm.archive.withheld import unfit_reasons
from desdm.facility import Facility
from desdm.framework.refusals import describe_suspects
from desdm.framework.store import attempt_by_name
from desdm.operations.current import current_standing
from desdm.quality.qa.exclusions import exclusions_of_run
from desdm.schema import (
    file_archive_info,
    opm_used,
    opm_was_derived_from,
    pfw_attempt,
    pfw_attempt_config,
    pfw_omitted_input,
    pfw_request,
)
from desdm.schema.states import Verdict
from tests.archive.test_find import attempt, put
from tests.cli.test_archive_commands import Run, document, runner
from tests.operations.test_acceptance import image, judge
from tests.support.catalogfile import catalog_file


@pytest.fixture
def night(tmp_path: Path) -> tuple[Run, Path]:
    """Exposures 1 and 2, accepted, of two CCDs each; run 3 used the images of CCD 1 of both."""
    home = tmp_path / "home"
    run = runner(home)
    facility = Facility.open(home)
    with facility.database.write() as conn:
        for number in (1, 2):
            attempt(conn, number, unit=f"D{number:08d}", pipeline="firstcut")
            for ccdnum in (1, 2):
                image(conn, number * 10 + ccdnum, number, ccdnum, number)
            judge(conn, number, "True", number)
        attempt(conn, 3, unit="DES0001+0001", req=2, pipeline="coadd")
        conn.execute(insert(opm_used), [{"task_id": 3, "desfile_id": n} for n in (11, 21)])
        for number in (1, 2, 3):
            kept = {"pfw_attempt_id": number, "settings": "{}", "modules": "{}", "software": "[]"}
            conn.execute(insert(pfw_attempt_config), kept)
        conn.execute(update(pfw_request).values(campaign=facility.config.campaign))
    facility.close()
    return run, home


def test_a_verdict_tells_the_exclusion_and_its_end(night: tuple[Run, Path]) -> None:
    run, _ = night
    assert document(run("verdict", "1", "--json"))[0]["exclusions"] == []
    assert "excluded" not in run("verdict", "1").stdout
    run("exclude", "1", "--reason", "dome lamp on")
    run("exclude", "2", "--ccd", "2", "--reason", "half dead")
    for accepted, words, number in (
        ("True", "D00000001 is excluded since", "1"),
        ("True", "D00000002, CCD 2, is", "2"),
    ):
        shown = run("verdict", number).stdout
        assert accepted in shown and words in shown
    [one] = document(run("verdict", "1", "--json"))
    [told] = one["exclusions"]
    assert (one["accepted"], told["expnum"], told["ccdnum"], told["reason"]) == (
        "True",
        1,
        None,
        "dome lamp on",
    )
    assert told["analyst"] and told["since"][:10] == datetime.datetime.now(datetime.UTC).date().isoformat()
    listed = run("verdict").stdout
    rows = [line.split() for line in listed.splitlines() if line.split()[:1] in (["1"], ["2"])]
    assert [row[-1] for row in rows] == ["yes", "2"], listed
    assert [len(v["exclusions"]) for v in document(run("verdict", "--json"))] == [1, 1]
    run("exclude", "1", "--lift", "--reason", "it was off")
    assert document(run("verdict", "1", "--json"))[0]["exclusions"] == []
    assert "excluded" not in run("verdict", "1").stdout


def test_an_exclusion_is_told_where_there_is_no_verdict(night: tuple[Run, Path]) -> None:
    run, _ = night
    run("exclude", "7", "--reason", "pointing test")
    shown = run("verdict", "7").stdout
    assert "no verdict" in shown and "D00000007 is excluded since" in shown and "pointing test" in shown


def test_a_run_tells_what_is_excluded_of_what_it_used(night: tuple[Run, Path]) -> None:
    run, home = night
    run("exclude", "1", "--reason", "dome lamp on")
    run("exclude", "2", "--ccd", "2", "--reason", "half dead")
    assert [e["reason"] for e in document(run("show", "D00000001_r1p01", "--json"))["excluded"]] == [
        "dome lamp on"
    ]
    assert [e["ccdnum"] for e in document(run("show", "D00000002_r1p01", "--json"))["excluded"]] == [2]
    shown = run("show", "DES0001+0001_r2p01").stdout
    # Of exposure 2 it used CCD 1, which is not excluded.
    assert "excluded: D00000001 is excluded since" in shown and "half dead" not in shown
    facility = Facility.open(home)
    with facility.database.read() as conn:
        assert [(e.expnum, e.ccdnum) for e in exclusions_of_run(conn, 3)] == [(1, None)]
    facility.close()


def test_a_run_tells_what_its_plan_left_out(night: tuple[Run, Path]) -> None:
    run, home = night
    facility = Facility.open(home)
    with facility.database.write() as conn:
        left = {
            "pfw_attempt_id": 3,
            "desfile_id": 12,
            "ccdnum": 2,
            "expnum": 1,
            "reason": "excluded: half dead (ann)",
        }
        conn.execute(insert(pfw_omitted_input), [left])
    facility.close()
    assert (
        "left out: 1: D00000001 CCD 2: excluded: half dead (ann)" in run("show", "DES0001+0001_r2p01").stdout
    )
    [one] = document(run("show", "DES0001+0001_r2p01", "--json"))["omitted"]
    assert one == {"filename": "im12.fits", "expnum": 1, "ccdnum": 2, "reason": "excluded: half dead (ann)"}


def test_what_counts_now_stands_in_a_report(night: tuple[Run, Path]) -> None:
    run, home = night
    run("verdict", "1", "--set", "False", "--reason", "satellite")
    run("exclude", "2", "--reason", "dome lamp on")
    facility = Facility.open(home)
    with facility.database.read() as conn:
        scope = facility.production
        of_runs = [current_standing(conn, attempt_by_name(conn, f"D0000000{n}_r1p01"), scope) for n in (1, 2)]
    facility.close()
    [rejected], [excluded] = [list(one.verdicts.values()) for one in of_runs]
    assert (rejected.verdict, rejected.excluded) == (Verdict.REJECTED, False)
    assert rejected.words[0].startswith("overruled: satellite (")
    assert (excluded.verdict, excluded.excluded) == (Verdict.ACCEPTED, True)
    assert "dome lamp on" in excluded.words[0] and "dome lamp on" in of_runs[1].excluded[0]
    run("mark", "D00000002_r1p01", "junk", "--reason", "bad flat")
    run("report", "D00000002_r1p01", "--out", home / "page.html")
    page = (home / "page.html").read_text()
    assert "bad flat" in page and "dome lamp on" in page


def test_a_run_tells_what_has_become_of_what_it_was_made_from(night: tuple[Run, Path]) -> None:
    """JUNK of a run below, and a verdict on an exposure that a coadd holds: as at plans and releases."""
    run, home = night
    facility = Facility.open(home)
    with facility.database.write() as conn:
        put(conn, 31, "coadd.fits", 3, band="r")
        edges = [{"child_desfile_id": 31, "parent_desfile_id": n} for n in (11, 21)]
        conn.execute(insert(opm_was_derived_from), edges)
    facility.close()
    for key in ("unsound", "rejected"):
        assert document(run("show", "DES0001+0001_r2p01", "--json"))[key] == []
    run("verdict", "2", "--set", "False", "--reason", "trail")
    run("mark", "D00000001_r1p01", "junk", "--reason", "bad flat")
    shown = document(run("show", "DES0001+0001_r2p01", "--json"))
    [unsound], [rejected] = shown["unsound"], shown["rejected"]
    assert unsound.startswith(
        "1 of 1 files are made from files of run D00000001_r1p01, which is JUNK: marked by"
    )
    assert "bad flat" in unsound
    assert rejected.startswith("D00000002 is rejected: ") and "trail" in rejected
    text = run("show", "DES0001+0001_r2p01").stdout
    assert unsound in text and rejected in text
    run("report", "DES0001+0001_r2p01", "--out", home / "page.html")
    page = (home / "page.html").read_text()
    assert "bad flat" in page and "D00000002 is rejected" in page


def test_files_that_were_deleted_are_told_as_deleted(night: tuple[Run, Path]) -> None:
    run, home = night
    assert "DELETED" not in run("show", "D00000001_r1p01").stdout
    facility = Facility.open(home)
    with facility.database.write() as conn:
        conn.execute(
            update(file_archive_info).where(file_archive_info.c.desfile_id == 11).values(state="trash")
        )
        conn.execute(delete(file_archive_info).where(file_archive_info.c.desfile_id == 22))
    facility.close()
    assert "DELETED" in run("show", "D00000001_r1p01").stdout
    for number in ("1", "2"):
        [row] = document(run("show", f"D0000000{number}_r1p01", "--json"))["files"]
        assert (row["files"], row["deleted"]) == (2, 1)
    run("report", "D00000001_r1p01", "--out", home / "page.html")
    assert "1 of them was deleted since" in (home / "page.html").read_text()


def test_the_verdict_of_a_run_stands_in_its_report_without_the_file_of_its_assessment(
    night: tuple[Run, Path],
) -> None:
    run, home = night
    run("report", "D00000002_r1p01", "--out", home / "page.html")
    page = (home / "page.html").read_text()
    assert "The verdict on D00000002" in page
    assert "(qa_assess) is not in the archive" in page


def test_the_verdict_of_a_study_run_never_counted_and_is_not_lost_with_its_files(
    night: tuple[Run, Path],
) -> None:
    _, home = night
    facility = Facility.open(home)
    with facility.database.write() as conn:
        trial = {"run_class": "study", "data_state": "PRUNED", "pruned_from": "NEW"}
        conn.execute(update(pfw_attempt).where(pfw_attempt.c.id == 1).values(trial))
    with facility.database.read() as conn:
        scope = facility.production
        reasons = [unfit_reasons(conn, [number], scope).get(number, "") for number in (1, 2)]
    facility.close()
    assert "is a study run; runs of class survey count" in reasons[0]
    assert reasons[1] == ""


def test_a_plan_tells_which_of_its_inputs_are_suspect(night: tuple[Run, Path]) -> None:
    _, home = night
    facility = Facility.open(home)
    with facility.database.write() as conn:
        store.add_suspects(conn, [(11, 11), (21, 11)], "audit", "its bytes have changed")
        notes = describe_suspects(conn, [catalog_file(f"im{n}.fits", id=n) for n in (11, 12, 21)])
    facility.close()
    assert notes == (
        "inputs that are suspect: 2, for im11.fits: its bytes have changed; a release of their products is refused while "
        "they are (desdm files --suspect)",
    )


def test_the_ccd_of_an_excluded_exposure_is_not_said_to_be_free(night: tuple[Run, Path]) -> None:
    run, _ = night
    run("exclude", "1", "--reason", "dome lamp on")
    refused = run("exclude", "1", "--ccd", "2", "--lift", "--reason", "fine", status=2)
    words = " ".join(refused.stderr.split())
    assert "not excluded on its own; the whole exposure is, by" in words
    assert "dome lamp on" in words
    assert "desdm exclude 1 --lift" in words
    refused = run("exclude", "2", "--ccd", "2", "--lift", "--reason", "fine", status=2)
    assert "D00000002, CCD 2 is not excluded; to list the exclusions: desdm exclude" in " ".join(
        refused.stderr.split()
    )


def test_a_coadd_without_images_says_what_was_left_out(night: tuple[Run, Path]) -> None:
    run, _ = night
    run("verdict", "1", "--set", "False", "--reason", "satellite")
    run("mark", "D00000002_r1p01", "junk", "--reason", "bad flat")
    words = " ".join(run("submit", "coadd", "--dry-run", status=2).stderr.split())
    assert "4 images were left out (2: D00000001 CCD 1,2: rejected: overruled: satellite" in words
    assert "2: D00000002 CCD 1,2: its run D00000002_r1p01 is JUNK: marked by" in words
    [one] = document(run("verdict", "2", "--json"))
    assert (one["accepted"], one["state"]) == ("Unknown", "junk")
    assert "junk" in run("verdict").stdout
    refused = run("verdict", "2", "--set", "False", "--reason", "ghost", status=2)
    words = " ".join(refused.stderr.split())
    assert (
        "exposure 2 was processed, but no verdict of firstcut on it counts: its run D00000002_r1p01 is JUNK"
        in words
    )


def test_software_that_is_no_program_has_no_count_of_runs(night: tuple[Run, Path]) -> None:
    """The system and its codes run within jobs: no record counts their calls or CPU."""
    run, home = night
    facility = Facility.open(home)
    with facility.database.write() as conn:
        own = [{"name": "desdm.codes.detrend", "version": "0.1", "digest": "f" * 64}]
        conn.execute(update(pfw_attempt_config).values(software=json.dumps(own)))
    facility.close()
    assert document(run("show", "D00000001_r1p01", "--json"))["software"] == own
    (line,) = [
        one for one in run("show", "D00000001_r1p01").stdout.splitlines() if "desdm.codes.detrend" in one
    ]
    assert line.split() == ["desdm.codes.detrend", "0.1", "f" * 12]


def test_json_tells_what_the_text_notes(night: tuple[Run, Path]) -> None:
    run, _ = night

    def notes(*words: str) -> list[str]:
        answer = document(run(*words, "--reason", "ghost", "--json"))
        number = int(words[1]) if words[1].isdecimal() else None
        (one,) = [answer] if number is None else [row for row in answer if row["expnum"] == number]
        return list(one["notes"])

    assert "exposure 77 is not in the archive" in notes("exclude", "77")[0]
    assert notes("exclude", "2", "--ccd", "60") == [
        "D00000002 has no image of CCD 60, only of CCDs 1, 2. If the number is wrong, lift the exclusion: "
        "desdm exclude 2 --ccd 60 --lift --reason TEXT"
    ]
    assert notes("verdict", "1", "--set", "False") == []
    (repeated,) = notes("verdict", "1", "--set", "False")
    assert "nothing was changed" in repeated
    assert notes("verdict", "1", "--lift") == ["D00000001_r1p01 received the tag FIRSTCUT_ACCEPTED_20121120"]
    assert notes("mark", "D00000001_r1p01", "junk") == [
        "D00000001_r1p01 lost the tag FIRSTCUT_ACCEPTED_20121120"
    ]
