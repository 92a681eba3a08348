"""Rehearse a survey's decisions on a simulated night, as an operator would: rehearsal.py [FOLDER].

A night is processed; a trial runs beside production; one exposure is rejected and one CCD of another is excluded; a
flagged coadd is marked ACTIVE and released. Then people mark an exposure, a CCD and a calibration defective, exclusions
are lifted, coadds are made with and without them, and problems block and degrade a release. Before and after each act
the script asks every query, plan, tag, coadd, survey table, release and note that the act concerns, through the command
line alone, and holds the answer against what must be true by the simulator's truth and the acts so far.
It prints one numbered line a statement and fails on any false one.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass, field
from itertools import pairwise
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
            f"{len(self.rows):3d} {mark} {self.act:<12} {what}: {_short(found)}"
            + ("" if good else f"  must be {_short(expected)}")
        )
        sys.stdout.flush()

    # -- questions

    def operator(self) -> str:
        """Who marks: the operator of the installation."""
        return str(self.ask("events", "--kind", "mark")[-1]["who"])

    def images(self, *more: str) -> set[tuple[int, int]]:
        """(exposure, CCD) of the images that a coadd would take."""
        plan = self.ask("submit", "coadd", "--dry-run", "--again", *more)
        return {(i["expnum"], i["ccdnum"]) for i in plan["inputs"] if "_immask" in i["filename"]}

    def omitted(self, expnum: int) -> set[tuple[int, str]]:
        """CCDs of an exposure that the plan of a coadd leaves out, each with the reason."""
        plan = self.ask("submit", "coadd", "--dry-run", "--again")
        return {(o["ccdnum"], o["reason"]) for o in plan["omitted"] if o["expnum"] == expnum}

    def survey(self) -> dict[str, set[int]]:
        """Accepted exposures of each field of the survey table."""
        fields = self.ask("survey")["fields"]
        return {f"{f['hex']}/{f['tiling']}": set(f["exposures"]) for f in fields}

    def fields_done(self) -> set[str]:
        """Fields of the survey table that are done."""
        return {f"{f['hex']}/{f['tiling']}" for f in self.ask("survey")["fields"] if f["done"]}

    def contents(self, coadd: str) -> set[tuple[int, int]]:
        """(exposure, CCD) of the images under the images of a coadd run, by their lineage."""
        found: set[tuple[int, int]] = set()
        for image in self.ask("files", "--attempt", coadd, "--filetype", "coadd", "--limit", "100"):
            for file in self.ask("lineage", image["filename"], "--up")["files"]:
                match = _IMMASK.match(file["filename"])
                if match:
                    found.add((int(match[1]), int(match[2])))
        return found

    def failures(self, release: str) -> str:
        """Texts of the failed checks of the data of a new draft, which is discarded again."""
        self.run("release", "create", release, statuses=(0, 1))
        checks = self.ask("release", "validate", release, statuses=(0, 1, 2))
        self.run("release", "discard", release)
        wrong = [c for c in checks if c["outcome"] == "error" and c["check"] in ("exposures", "marks")]
        return " ".join(f"{c['subject']}: {c['text']}" for c in wrong)

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


#: Kind and name of each file on the shortest way from a product of a tile up to a raw flat, by hand from what the
#: pipelines do: the coadd, and its footprint, are made of standard images; these of First Cut's reduced images, which were
#: divided by the flat of their CCD and band that precal combined from the raw flats of the night.
_CHAIN = (
    ("coadd", re.compile(r"\S+_r\d+p\d+_[ugrizY]_(coadd|footprint)\.fits(\.fz)?")),
    ("standard image", re.compile(r"\S+_r\d+p\d+_D\d{8}_[ugrizY]_c\d\d_nwgint\.fits(\.fz)?")),
    ("reduced image", re.compile(r"D\d{8}_[ugrizY]_c\d\d_r\d+p\d+_immask\.fits(\.fz)?")),
    ("combined flat", re.compile(r"\d{8}\S*_r\d+p\d+_[ugrizY]_c\d\d_dflatcor\.fits(\.fz)?")),
    ("raw flat", re.compile(r"DECam_\d{8}\.fits\.fz")),
)
#: Name of an image that a coadd takes.
_IMMASK = re.compile(r"D(\d{8})_\w+?_c(\d{2})_r\d+p\d+_immask")


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


@dataclass(frozen=True)
class Sky:
    """What the truth says: exposures that are good, the CCDs, and the good exposures of each field."""

    tag: str
    good: frozenset[int]
    ccds: tuple[int, ...]
    fields: dict[str, frozenset[int]]
    goals: dict[str, float]
    flats: tuple[str, ...]

    def images(self, without: set[int] | None = None, spoiled: set[tuple[int, int]] | None = None) -> Any:
        """(exposure, CCD) that a coadd takes but for exposures and CCDs."""
        every = {(e, c) for e in self.good - (without or set()) for c in self.ccds}
        return every - (spoiled or set())

    def survey(self, without: set[int] | None = None) -> dict[str, set[int]]:
        """Accepted exposures of each field but for some."""
        return {name: set(of - (without or set())) for name, of in self.fields.items()}

    def done(self, without: set[int] | None = None) -> set[str]:
        """Fields of which no good exposure is missing; the goals are such that each is needed."""
        return {name for name, of in self.fields.items() if of and not of & (without or set())}


def survey_plan(r: Rehearsal, truth: dict[str, Any], tag: str, ccds: list[int]) -> Sky:
    """Import a plan whose fields are those that the titles name, each done with all of its good exposures only."""
    by_field: dict[str, list[dict[str, Any]]] = {}
    for shot in truth["exposures"]:
        match = re.search(r"hex (\S+) tiling (\d+)", shot["object"]) if shot["kind"] == "object" else None
        if match:
            by_field.setdefault(f"{match[1]}/{match[2]}", []).append(shot)
    good = {name: [e for e in of if e["verdict"] == "True"] for name, of in by_field.items()}
    goals = {
        name: sum(e["t_eff"] for e in of) - 0.5 * min(e["t_eff"] for e in of) if of else 0.5
        for name, of in good.items()
    }
    lines = ["hex,tiling,band,ra,dec,exptime,t_eff_goal"]
    for name, of in by_field.items():
        shot = of[0]
        place = f"{shot['ra']},{shot['dec']},{shot['exptime']}"
        lines.append(f"{name.replace('/', ',')},{shot['band']},{place},{goals[name]}")
    (r.home / "plan.csv").write_text("\n".join(lines) + "\n", "utf-8")
    r.run("survey", "import", str(r.home / "plan.csv"), "--reason", "rehearsal")
    fields = {name: frozenset(e["expnum"] for e in of) for name, of in good.items()}
    flats = tuple(e["filename"] for e in truth["exposures"] if e["kind"] == "dome flat")
    return Sky(tag, frozenset().union(*fields.values()), tuple(ccds), fields, goals, flats)


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
    sky = survey_plan(r, truth, tag, ccds)
    r.state("survey table has the exposures that the truth accepts", r.survey(), sky.survey())
    r.state("fields that are done", r.fields_done(), sky.done())
    true_t_eff = {e["expnum"]: e["t_eff"] for e in truth["exposures"]}
    sums = {f"{f['hex']}/{f['tiling']}": f["t_eff"] for f in r.ask("survey")["fields"]}
    r.state(
        "t_eff of each field is that of the truth within a tenth",
        {
            name
            for name, of in sky.fields.items()
            if abs(sums[name] - sum(true_t_eff[e] for e in of)) > 0.1 * len(of)
        },
        set(),
    )
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
    r.state("survey table loses it", r.survey(), sky.survey({rejected}))
    r.state("its field is owed again", r.fields_done(), sky.done({rejected}))

    r.act = "exclusion"
    r.run("exclude", str(partly), "--ccd", str(ccds[-1]), "--reason", "scattered light")
    usable = {(e, c) for e, c in everything if e != rejected and (e, c) != (partly, ccds[-1])}
    r.state("plan of coadd loses exactly that CCD", r.images(), usable)
    r.state("accepted tag keeps the exposure", r.tagged(tag), good - {rejected})
    r.state("survey table keeps the exposure", r.survey(), sky.survey({rejected}))

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
    r.state("its lineage has exactly what was planned", r.contents(coadd), usable)
    left = r.run("release", "create", "FLAGGED", statuses=(0, 1, 2, 4))
    r.state("a flagged coadd is not released", "nothing to release" in left or coadd not in left, True)
    picked = json.loads((home / "releases" / "FLAGGED" / "docs" / "selection.json").read_text("utf-8"))[
        "files"
    ]
    r.state("it does not hide the older coadd, which is done", {f["run"] for f in picked}, {old_coadd})
    r.run("release", "discard", "FLAGGED", statuses=(0, 1, 2, 4))
    r.run("mark", old_coadd, "junk", "--reason", "contains a rejected exposure")
    r.run("mark", coadd, "active", "--own", "--reason", "the warning is harmless")
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
    r.state("survey table has all again", r.survey(), sky.survey())
    r.state("fields that are done", r.fields_done(), sky.done())

    r.act = "record"
    kinds = {e["kind"] for e in r.ask("events", "--subject", str(rejected))}
    r.state("events of the rejected exposure", "verdict" in kinds, True)
    reasons = [e["reason"] for e in r.ask("events", "--subject", str(partly), "--kind", "exclude")]
    r.state("reasons of exclusion and lift", reasons, ["scattered light", "it was another exposure"])
    marks = [(e["subject"], e["reason"]) for e in r.ask("events", "--kind", "mark")]
    r.state("marks with subject and reason", (coadd, "the warning is harmless") in marks, True)

    defective(r, sky, coadd)
    lifted(r, sky, coadd)
    blocked(r, sky)

    false = [row for row in r.rows if not row[4]]
    print(f"\n{len(r.rows)} statements, {len(false)} false")
    sys.exit(1 if false else 0)


def defective(r: Rehearsal, sky: Sky, coadd: str) -> None:
    """An exposure, a CCD and a calibration are marked defective, and the marks are withdrawn."""
    bad, ccd = sorted(sky.good)[2], sky.ccds[0]
    name, one = f"D{bad:08d}", f"D{bad:08d}_c{ccd:02d}"

    r.act = "exposure"
    (run,) = r.runs_planned(bad)
    r.run("mark", name, "defective", "--reason", "double images")
    r.state("plan of coadd loses exactly it", r.images(), sky.images({bad}))
    reasons = r.omitted(bad)
    r.state("the plan names each of its CCDs", {c for c, _ in reasons}, set(sky.ccds))
    r.state("with the reason", {"double images" in reason for _, reason in reasons}, {True})
    r.state("accepted tag loses it", r.tagged(sky.tag), sky.good - {bad})
    r.state("plan by tag loses it too", r.images("--set", f"image_tag={sky.tag}"), sky.images({bad}))
    r.state("survey table loses it", r.survey(), sky.survey({bad}))
    r.state("its field is owed again", r.fields_done(), sky.done({bad}))
    text = r.failures("HASIT")
    r.state(
        "a release of the coadd that has it is refused with the path",
        all(word in text for word in (name, "double images", " <- ", run)),
        True,
    )
    r.run("mark", name, "withdrawn", "--reason", "it was another exposure")
    r.state("withdrawn: plan of coadd", r.images(), sky.images())
    r.state("withdrawn: accepted tag", r.tagged(sky.tag), set(sky.good))
    r.state("withdrawn: survey table", r.survey(), sky.survey())
    r.state(
        "withdrawn: no release is refused for it",
        name in r.failures("HASNOT"),
        False,
    )

    r.act = "calibration"
    (flat,) = [
        c["filename"]
        for c in r.ask("show", f"{name}_{run}")["calibrations"]
        if c["filetype"] == "cal_dflatcor" and c["ccdnum"] == ccd
    ]
    r.run("mark", flat, "defective", "--reason", "a hot column")
    of_band = next(of for of in sky.fields.values() if bad in of)
    spoiled = {(e, ccd) for e in of_band}
    r.state(
        "plan of coadd loses that CCD of each exposure of the band", r.images(), sky.images(spoiled=spoiled)
    )
    r.state(
        "the plan names the calibration",
        r.omitted(bad),
        {(ccd, f"made from {flat}, which is marked defective by {r.operator()}: a hot column")},
    )
    r.state("accepted tag keeps the exposures", r.tagged(sky.tag), set(sky.good))
    answer = r.run(
        "submit",
        "firstcut",
        "--set",
        f"expnum={bad}",
        "--dry-run",
        "--again",
        "--json",
        statuses=(0, 1, 2, 3, 4),
    )
    r.state("plan of First Cut takes it not, and names it", flat in _inputs(answer), False)
    r.state("and names the mark", "marked defective" in answer and "a hot column" in answer, True)
    text = r.failures("HASFLAT")
    r.state(
        "a release of the coadd that was made with it is refused with the path",
        all(word in text for word in (f"<- {flat}", "a hot column", coadd.rpartition("_r")[0])),
        True,
    )
    r.run("mark", flat, "withdrawn", "--reason", "it is masked")
    r.state("withdrawn: plan of coadd", r.images(), sky.images())

    r.act = "CCD"
    r.run("mark", one, "defective", "--reason", "a ghost", "--code", "ghost")
    r.state("plan of coadd loses exactly it", r.images(), sky.images(spoiled={(bad, ccd)}))
    r.state("the plan names it", {(c, "a ghost" in reason) for c, reason in r.omitted(bad)}, {(ccd, True)})
    r.state("accepted tag keeps the exposure", r.tagged(sky.tag), set(sky.good))
    r.state("survey table keeps the exposure", r.survey(), sky.survey())
    text = r.failures("HASCCD")
    r.state(
        "a release of the coadd that has it is refused", f"D{bad:08d}" in text and "a ghost" in text, True
    )


def lifted(r: Rehearsal, sky: Sky, old: str) -> None:
    """A coadd is made while an exposure is excluded and a CCD is defective, and another when both are lifted."""
    bad, ccd, excluded = sorted(sky.good)[2], sky.ccds[0], sorted(sky.good)[3]

    r.act = "without"
    r.run("exclude", str(excluded), "--reason", "laser")
    usable = sky.images({excluded}, {(bad, ccd)})
    r.state("plan of coadd", r.images(), usable)
    r.state("accepted tag loses the excluded exposure", r.tagged(sky.tag), sky.good - {excluded})
    r.state("survey table loses the excluded exposure", r.survey(), sky.survey({excluded}))
    first = r.ask("submit", "coadd", "--wait", statuses=(0,))["attempt"]
    r.state("coadd has exactly what was planned", r.contents(first), usable)
    r.run("mark", old, "defective", "--reason", "it has the ghost")
    r.run("release", "create", "WITHOUT")
    checks = r.ask("release", "validate", "WITHOUT", statuses=(0, 1, 2))
    r.state("a release of it passes every check", [c for c in checks if c["outcome"] == "error"], [])
    r.run("release", "publish", "WITHOUT")
    inside, _, dropped = _notes(r, "WITHOUT").partition("What was dropped")
    r.state(
        "its notes list every used exposure",
        {e for e in sky.good if f"D{e:08d}" in inside},
        sky.good - {excluded},
    )
    r.state(
        "its notes tell why the other is not in it",
        f"exposure {excluded} " in dropped and "laser" in dropped,
        True,
    )
    r.state(
        "its notes tell the CCD", f"CCD {ccd} of exposure {bad}" in dropped and "a ghost" in dropped, True
    )

    r.act = "lifted"
    r.run("exclude", str(excluded), "--lift", "--reason", "it missed the field")
    r.run("mark", f"D{bad:08d}_c{ccd:02d}", "withdrawn", "--reason", "it is a galaxy")
    r.state("plan of coadd has all again", r.images(), sky.images())
    r.state("accepted tag has all again", r.tagged(sky.tag), set(sky.good))
    r.state("survey table has all again", r.survey(), sky.survey())
    r.state("fields that are done", r.fields_done(), sky.done())
    second = r.ask("submit", "coadd", "--wait", statuses=(0,))["attempt"]
    r.state("it is another run", second != first, True)
    r.state("the new coadd has all", r.contents(second), sky.images())
    again = r.ask("release", "validate", "WITHOUT", statuses=(0, 1, 2))
    r.state(
        "the release without them is as good as before", [c for c in again if c["outcome"] == "error"], []
    )


def blocked(r: Rehearsal, sky: Sky) -> None:
    """A problem of a raw flat, five files above the tile, blocks a release; one degrades it, one is a nuisance."""
    r.act = "block"
    raw = sky.flats[0]
    r.run("release", "create", "FULL", statuses=(2,))
    r.run("release", "create", "WHOLE")
    picked = json.loads((r.home / "releases" / "WHOLE" / "docs" / "selection.json").read_text("utf-8"))[
        "files"
    ]
    (run,) = {f["run"] for f in picked}
    r.state("the newest coadd is taken", r.contents(run), sky.images())
    opened = r.ask("problem", "open", "file", raw, "rows are shifted", "--severity", "block")
    number = str(opened["problem"])
    checks = r.ask("release", "validate", "WHOLE", statuses=(0, 1, 2))
    (refusal,) = [c["subject"] for c in checks if c["outcome"] == "error"]
    path = refusal.partition("path: ")[2].split(" <- ")
    r.state("the release is refused with the path to the raw flat", path[-1], raw)
    kinds = [next((kind for kind, name in _CHAIN if name.fullmatch(step)), step) for step in path]
    r.state("its steps are those of the pipelines", " <- ".join(kinds), " <- ".join(k for k, _ in _CHAIN))
    r.state("each step of it is an edge of the lineage", _is_lineage(r, path), True)
    refused = r.run("release", "publish", "WHOLE", statuses=(1, 2, 4))
    listed = {x["release"] for x in r.ask("release", "list") if x["state"] == "published"}
    r.state("it is not published", "WHOLE" in listed or "published" in refused, False)
    tile = run.rpartition("_r")[0]
    r.run("mark", tile, "blessed", "--own", "--reason", "looks well", statuses=(1, 2, 4))
    r.state("its tile cannot be blessed", r.ask("show", run)["data_state"], "NEW")
    r.run("problem", "open", "nite", sky.tag.rpartition("_")[2], "twilight glow", "--severity", "degrade")
    r.run("problem", "open", "nite", sky.tag.rpartition("_")[2], "a slow disk", "--severity", "nuisance")
    r.run("problem", "fix", number, "--reason", "the controller was restarted")
    checks = r.ask("release", "validate", "WHOLE", statuses=(0, 1, 2))
    r.state(
        "fixed, and still open: still refused",
        [c["check"] for c in checks if c["outcome"] == "error"],
        ["problems"],
    )
    r.run("problem", "close", number, "rows are right", "--evidence", f"run:{run}")
    r.run("mark", tile, "blessed", "--own", "--reason", "looks well")
    r.state("closed with evidence: the tile is blessed", r.ask("show", run)["data_state"], "ACTIVE")
    r.run("release", "publish", "WHOLE")
    r.run("release", "create", "REVIEWED", "--blessed")
    picked = json.loads((r.home / "releases" / "REVIEWED" / "docs" / "selection.json").read_text("utf-8"))
    r.state(
        "a release of blessed data takes what is blessed alone", {f["run"] for f in picked["files"]}, {run}
    )
    r.run("release", "discard", "REVIEWED")
    notes = _notes(r, "WHOLE")
    inside = notes.partition("What was dropped")[0]
    r.state("the notes list every exposure", {e for e in sky.good if f"D{e:08d}" in inside}, set(sky.good))
    known = notes.partition("Known problems")[2]
    r.state(
        "the notes tell what degrades and nothing else",
        [word in known for word in ("twilight glow", "a slow disk", "rows are shifted")],
        [True, False, False],
    )


def _notes(r: Rehearsal, release: str) -> str:
    """The notes of a release."""
    return (r.home / "releases" / release / "docs" / "notes.md").read_text("utf-8")


def _inputs(answer: str) -> set[str]:
    """Names of the inputs in the JSON answer of a plan; none of one that was refused."""
    return {i["filename"] for i in json.loads(answer).get("inputs", ())}


def _is_lineage(r: Rehearsal, path: list[str]) -> bool:
    """Whether each file of a path is among what the one before it was made from."""
    return all(
        parent in {f["filename"] for f in r.ask("lineage", child, "--up")["files"]}
        for child, parent in pairwise(path)
    )


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
