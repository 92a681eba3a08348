"""Rehearse a survey's decisions on a simulated night, as an operator would: rehearsal.py [FOLDER].

A night is processed; a trial runs beside production; one exposure is rejected and one CCD of another is excluded; a
flagged coadd is marked ACTIVE and released. Before and after each act the script asks every query, plan, tag, release
and note that the act concerns, through the command line alone, and holds the answer against what must be true.
It prints one line a statement and fails on any false one.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DESDM = ROOT / ".venv" / "bin" / "desdm"


@dataclass
class Rehearsal:
    """The installation, and the statements so far."""

    home: Path
    rows: list[tuple[str, str, str, str, bool]] = field(default_factory=list)
    act: str = "night"

    def run(self, *words: str, statuses: tuple[int, ...] = (0, 1)) -> str:
        """Run a desdm command; its standard output."""
        done = subprocess.run(
            [str(DESDM), "--home", str(self.home), *words], capture_output=True, text=True, check=False
        )
        if done.returncode not in statuses:
            sys.exit(f"desdm {' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def ask(self, *words: str, statuses: tuple[int, ...] = (0, 1)) -> Any:
        """The JSON answer of a command."""
        return json.loads(self.run(*words, "--json", statuses=statuses))

    def state(self, what: str, found: object, expected: object) -> None:
        """Hold an answer against what must be true."""
        good = found == expected
        self.rows.append((self.act, what, _short(found), _short(expected), good))
        mark = "ok   " if good else "FALSE"
        print(
            f"{mark} {self.act:<12} {what}: {_short(found)}"
            + ("" if good else f"  must be {_short(expected)}")
        )
        sys.stdout.flush()

    # -- questions

    def images(self, *more: str) -> set[tuple[int, int]]:
        """(exposure, CCD) of the images that a coadd would take."""
        plan = self.ask("submit", "coadd", "--dry-run", "--again", *more)
        return {(i["expnum"], i["ccdnum"]) for i in plan["inputs"] if "_immask" in i["filename"]}

    def runs_planned(self, expnum: int) -> set[str]:
        """Runs whose images of an exposure a coadd would take."""
        plan = self.ask("submit", "coadd", "--dry-run", "--again")
        names = {
            i["filename"] for i in plan["inputs"] if i["expnum"] == expnum and "_immask" in i["filename"]
        }
        return {name.split("_immask")[0].split("_")[3] for name in names}

    def verdict(self, expnum: int) -> str:
        """The verdict that counts."""
        (row,) = self.ask("verdict", str(expnum))
        return f"{row['accepted']} by {row['analyst']}"

    def tagged(self, tag: str) -> set[int]:
        """Exposures whose images have the tag."""
        rows = self.ask("files", "--tag", tag, "--filetype", "red_immask", "--limit", "1000")
        return {int(row["filename"].split("_")[0].removeprefix("D")) for row in rows}


def _short(value: object) -> str:
    if isinstance(value, set | frozenset | list):
        items = sorted(value, key=str)
        text = ", ".join(str(v) for v in items[:6])
        return f"{len(items)}: {text}{' …' if len(items) > 6 else ''}"
    return str(value)


def night(r: Rehearsal, seed: str) -> tuple[dict[str, Any], str]:
    """The night and its coadd; the truth of the simulator, and the accepted tag."""
    r.run("demo", "--out", str(r.home), "--seed", seed)
    truth = json.loads((r.home / "incoming" / f"night-{seed}" / "truth" / "night.json").read_text())
    return truth, f"FIRSTCUT_ACCEPTED_{truth['nite']}"


def main() -> None:
    """Play the scenario."""
    home = Path(sys.argv[1] if len(sys.argv) > 1 else "rehearsal").absolute()
    r = Rehearsal(home)
    truth, tag = night(r, "1")
    good = {e["expnum"] for e in truth["exposures"] if e["processed"] and e["verdict"] == "True"}
    ccds = sorted({ccd for _, ccd in r.images()})
    everything = {(e, c) for e in good for c in ccds}
    rejected, partly = sorted(good)[0], sorted(good)[1]
    r.state("plan of coadd takes the exposures that the truth accepts", r.images(), everything)
    r.state("accepted tag", r.tagged(tag), good)
    (first,) = [s for s in r.ask("status") if s["pipeline"] == "coadd" and s["state"] in ("done", "flagged")][
        :1
    ]
    old_coadd = first["attempt"]
    (released,) = [x["release"] for x in r.ask("release", "list")][:1]

    r.act = "trial"
    trial = r.ask(
        "submit",
        "firstcut",
        "--set",
        f"expnum={rejected}",
        "--set",
        "psfex.psfex_keys.psfvar_degrees=1",
        "--run-class",
        "study",
        "--wait",
    )["attempt"]
    foreign = r.ask("submit", "firstcut", "--set", f"expnum={rejected}", "--set", "project=TEST", "--wait")[
        "attempt"
    ]
    shown = r.ask("show", trial)
    r.state("show tells the class of the trial", shown["run_class"], "study")
    r.state("plan of coadd", r.images(), everything)
    number = {name: name.rpartition("_r")[2] for name in (trial, foreign)}
    r.state(
        "plan of coadd takes no image of a trial",
        r.runs_planned(rejected) & {f"r{n}" for n in number.values()},
        set(),
    )
    r.state("verdict", r.verdict(rejected), "True by assess")
    r.state("accepted tag", r.tagged(tag), good)

    r.act = "rejection"
    r.run("verdict", str(rejected), "--set", "False", "--reason", "satellite trail")
    r.state("verdict", r.verdict(rejected).split(" ")[0], "False")
    r.state("accepted tag loses it", r.tagged(tag), good - {rejected})
    r.state("plan of coadd loses exactly it", r.images(), {(e, c) for e, c in everything if e != rejected})
    r.state(
        "plan by tag loses it too",
        r.images("--set", f"image_tag={tag}"),
        {(e, c) for e, c in everything if e != rejected},
    )

    r.act = "exclusion"
    r.run("exclude", str(partly), "--ccd", str(ccds[-1]), "--reason", "scattered light")
    usable = {(e, c) for e, c in everything if e != rejected and (e, c) != (partly, ccds[-1])}
    r.state("plan of coadd loses exactly that CCD", r.images(), usable)
    r.state("accepted tag keeps the exposure", r.tagged(tag), good - {rejected})

    r.act = "old coadd"
    r.run("release", "create", "OLD", "--select", f"tilename={first['attempt'].rpartition('_r')[0]}")
    checks = r.ask("release", "validate", "OLD", statuses=(0, 1, 2))
    wrong = [c for c in checks if c["outcome"] == "error" and c["check"] == "exposures"]
    text = " ".join(c["text"] for c in wrong)
    r.state(
        "release validate fails and names exposure and path",
        all(
            word in text
            for word in (f"D{rejected:08d}", f"D{partly:08d}, CCD {ccds[-1]}", " <- ", "satellite trail")
        ),
        True,
    )
    r.run("release", "discard", "OLD")

    r.act = "new coadd"
    wcl = home / "flagged.wcl"
    wcl.write_text(r.run("pipeline", "show", "coadd", "--wcl") + FLAG, "utf-8")
    plan = r.ask("submit", str(wcl), "--wait", statuses=(0, 1))
    coadd = plan["attempt"]
    r.state("the coadd is flagged by a pattern of its log", r.ask("show", coadd)["state"], "flagged")
    left = r.run("release", "create", "FLAGGED", statuses=(0, 1, 2, 4))
    r.state("a flagged coadd is not released", "nothing to release" in left or coadd not in left, True)
    picked = json.loads((home / "releases" / "FLAGGED" / "docs" / "selection.json").read_text("utf-8"))[
        "files"
    ]
    r.state("it does not hide the older coadd, which is done", {f["run"] for f in picked}, {old_coadd})
    r.run("release", "discard", "FLAGGED", statuses=(0, 1, 2, 4))
    r.run("mark", old_coadd, "junk", "--reason", "contains a rejected exposure")
    r.run("mark", coadd, "active", "--reason", "the warning is harmless")
    r.state("data state", r.ask("show", coadd)["data_state"], "ACTIVE")

    r.act = "release"
    r.run("release", "create", "NEW")
    checks = r.ask("release", "validate", "NEW", statuses=(0, 1, 2))
    r.state("release validate", [c for c in checks if c["outcome"] == "error"], [])
    r.run("release", "publish", "NEW")
    notes = (home / "releases" / "NEW" / "docs" / "notes.md").read_text("utf-8")
    inside, _, dropped = notes.partition("What was dropped")
    r.state("notes list every used exposure", {e for e in good if f"D{e:08d}" in inside}, good - {rejected})
    r.state(
        "notes call the rejected exposure dropped",
        f"exposure {rejected} " in dropped and "satellite trail" in dropped,
        True,
    )
    r.state(
        "notes call no used exposure dropped",
        {e for e in good - {rejected} if f"| exposure {e} " in dropped},
        set(),
    )
    r.state("notes tell the excluded CCD", f"CCD {ccds[-1]} of exposure {partly}" in dropped, True)
    r.state(
        "the earlier release stands as it was published",
        released in {x["release"] for x in r.ask("release", "list")},
        True,
    )

    r.act = "lift"
    r.run("exclude", str(partly), "--lift", "--reason", "it was another exposure")
    r.run("verdict", str(rejected), "--lift", "--reason", "the trail is masked")
    r.state("plan of coadd has all again", r.images(), everything)
    r.state("accepted tag has all again", r.tagged(tag), good)

    r.act = "record"
    kinds = {e["kind"] for e in r.ask("events", "--subject", str(rejected))}
    r.state("events of the rejected exposure", "verdict" in kinds, True)
    reasons = [e["reason"] for e in r.ask("events", "--subject", str(partly), "--kind", "exclude")]
    r.state("reasons of exclusion and lift", reasons, ["scattered light", "it was another exposure"])
    marks = [(e["subject"], e["reason"]) for e in r.ask("events", "--kind", "mark")]
    r.state("marks with subject and reason", (coadd, "the warning is harmless") in marks, True)

    false = [row for row in r.rows if not row[4]]
    print(f"\n{len(r.rows)} statements, {len(false)} false")
    sys.exit(1 if false else 0)


#: A pattern that an ordinary line of SWarp's log meets.
FLAG = """
<qcf>
    <patterns>
        <rehearsal>
            pattern = All done
            lvl = 2
            action = flag
        </rehearsal>
    </patterns>
</qcf>
"""

if __name__ == "__main__":
    main()
