"""Compares an installation that has been through a simulated month with the month's truth, by its JSON documents alone."""

from __future__ import annotations

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tests.faults.truth import content
from tests.month.driver import Drive, Installation

__all__ = ["Judgement", "Line", "contents", "differences", "judge"]

#: Minutes from arrival to verdict, at the 95th percentile.
VERDICT_MINUTES = 10.0
#: Hour of the next day, UTC, by which the data of a night must be judged: dusk at the telescope.
_DUSK = 23
#: Types of files that carry times and folders of a try; SCAMP writes them into its own.
_OF_A_TRY = ("log", "wcl", "junktar", "cat_scamp", "scamp_xml")
_ENDED_WELL = ("done", "flagged")


@dataclass(frozen=True, slots=True)
class Line:
    """A trouble: what was expected of it, what was found, and whether they agree."""

    number: int
    kind: str
    where: str
    expected: str
    found: str
    good: bool


@dataclass(slots=True)
class Judgement:
    """What the month came to.

    Attributes
    ----------
    lines
        The troubles.
    deliveries
        Deliveries, and how many of them ended otherwise than the truth says.
    false
        Problems, quarantines, entries of the review queue and verdicts about healthy data.
    twice
        Units with two good attempts, exposures with two verdicts, deliveries with two rows, exposures with two files.
    lost
        Units that must have been processed and were not, and rows of the queue that did not end.
    minutes
        Minutes from arrival to verdict of each exposure that was processed, ascending, in the moved clock.
    after_dusk
        Exposures judged after dusk of the day after they arrived.
    """

    lines: list[Line] = field(default_factory=list)
    deliveries: int = 0
    wrong_ends: list[str] = field(default_factory=list)
    false: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    minutes: list[float] = field(default_factory=list)
    after_dusk: list[str] = field(default_factory=list)

    @property
    def found(self) -> int:
        """Troubles that were found with the right code."""
        return sum(line.good for line in self.lines)

    @property
    def p95(self) -> float:
        """Minutes from arrival to verdict at the 95th percentile."""
        return self.minutes[int(0.95 * (len(self.minutes) - 1))] if self.minutes else 0.0

    @property
    def faults(self) -> list[str]:
        """What is not as it must be, a sentence each."""
        return [
            *(f"{x.kind} {x.where}: {x.found}; expected: {x.expected}" for x in self.lines if not x.good),
            *(f"wrong end: {text}" for text in self.wrong_ends),
            *(f"false: {text}" for text in self.false),
            *(f"twice: {text}" for text in self.twice),
            *(f"lost: {text}" for text in self.lost),
            *(f"after dusk: {text}" for text in self.after_dusk),
            *(
                [f"verdicts {self.p95:.1f} minutes after arrival at the 95th percentile"]
                if self.p95 > VERDICT_MINUTES
                else []
            ),
        ]


def judge(month: Path, installation: Installation, drive: Drive) -> Judgement:
    """Compare an installation with the truth of the month that was played into it.

    Parameters
    ----------
    month
        Directory of the month.
    installation
        The installation.
    drive
        What was done to it, and what it told meanwhile.

    Returns
    -------
    Judgement
        What the month came to.
    """
    return _Judge(month, installation, drive).judge()


@dataclass(frozen=True, slots=True)
class _Documents:
    """The JSON documents of an installation."""

    status: dict[str, Any]
    queue: list[dict[str, Any]]
    attempts: list[dict[str, Any]]
    verdicts: list[dict[str, Any]]
    problems: list[dict[str, Any]]
    reviews: list[dict[str, Any]]
    raw: list[dict[str, Any]]


class _Judge:
    """Judges one month."""

    def __init__(self, month: Path, installation: Installation, drive: Drive) -> None:
        self.month, self.installation, self.drive = month, installation, drive
        self.troubles: list[dict[str, Any]] = json.loads(
            (month / "truth" / "troubles.json").read_text("utf-8")
        )
        night = json.loads((month / "truth" / "night.json").read_text("utf-8"))
        self.exposures = {e["expnum"]: e for e in night["exposures"] if e["kind"] == "object"}
        self.of_exposure = {t["expnum"]: t for t in self.troubles if t["expnum"] is not None}
        with (month / "truth" / "deliveries.csv").open(encoding="utf-8", newline="") as lines:
            self.ends = {r["file"]: (r["end_state"], r["reason_code"] or None) for r in csv.DictReader(lines)}
        with (month / "manifest.csv").open(encoding="utf-8", newline="") as lines:
            self.manifest = {r["file"]: r for r in csv.DictReader(lines)}
        last = max(datetime.fromisoformat(r["arrival"]) for r in self.manifest.values())
        ask = installation.ask
        self.got = _Documents(
            ask("dts", "status", "--all", "--clock", (last + timedelta(days=2)).isoformat()),
            ask("queue")["rows"],
            ask("status", "--all"),
            ask("verdict"),
            ask("problem", "list", "--all"),
            ask("review", "list", "--all", "--limit", "10000"),
            ask("files", "--filetype", "raw", "--limit", "1000000"),
        )
        self.out = Judgement()
        #: Problems and entries of the review queue that belong to a trouble.
        self.known_problems: set[int] = set()
        self.known_reviews: set[int] = set()

    def judge(self) -> Judgement:
        """Judge all."""
        self._deliveries()
        for trouble in self.troubles:
            expected, found, good = getattr(self, f"_{trouble['kind']}")(trouble)
            where = trouble["filename"] or " ".join(filter(None, (trouble["nite"], trouble["band"])))
            self.out.lines.append(
                Line(trouble["number"], trouble["kind"], where, expected, found, good and self._unit(trouble))
            )
        self._units()
        self._false()
        self._times()
        return self.out

    # -- deliveries

    def _deliveries(self) -> None:
        """Compare the end of each delivery."""
        rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        drop = self.installation.home / "drop"
        for row in self.got.status["deliveries"]:
            rows[Path(row["path"]).relative_to(drop).as_posix()].append(row)
        self.out.deliveries = len(self.ends)
        for file, end in self.ends.items():
            got = rows.pop(file, [])
            if len(got) > 1:
                self.out.twice.append(f"{file} has {len(got)} deliveries")
            if not got:
                self.out.lost.append(f"{file} has no delivery")
            elif (got[0]["state"], got[0]["reason_code"]) != end:
                self.out.wrong_ends.append(
                    f"{file}: {got[0]['state']} {got[0]['reason_code'] or ''}, expected {end}"
                )
        self.out.false += [f"a delivery of {file}, which was not sent" for file in rows]
        late = {e["expnum"] for e in self.got.status["expected"] if e["late"]}
        missing = {e["expnum"] for e in self.got.status["expected"] if e["missing"]}
        for name, got_numbers in (("late", late), ("missing", missing)):
            due = {t["expnum"] for t in self.troubles if t[name]}
            self.out.false += [f"exposure {n} is {name}" for n in sorted(got_numbers - due)]
            self.out.lost += [f"exposure {n} is not told as {name}" for n in sorted(due - got_numbers)]
        for night in self.got.status["nights"]:
            if night["extra"] or night["pending"]:
                self.out.false.append(
                    f"night {night['nite']}: {night['extra']} extra, {night['pending']} pending"
                )

    def _end(self, trouble: Mapping[str, Any]) -> tuple[str, str, bool]:
        """Compare the end of the delivery of a trouble, and its problem where it is quarantined."""
        expected = " ".join(filter(None, (trouble["end_state"], trouble["reason_code"])))
        path = str(self.installation.home / "drop" / trouble["file"])
        row = next((d for d in self.got.status["deliveries"] if d["path"] == path), None)
        found = "no delivery" if row is None else " ".join(filter(None, (row["state"], row["reason_code"])))
        good = found == expected
        if trouble["end_state"] == "quarantined":
            word = f": {trouble['reason_code']}:"
            mine = [
                p
                for p in self.got.problems
                if row is not None
                and (p["subject_kind"], p["subject"]) == ("delivery", str(row["id"]))
                and p["opened_by"] == "dts"
                and word in p["text"]
            ]
            self.known_problems |= {p["id"] for p in mine}
            expected, found = f"{expected}, a problem", f"{found}, {len(mine)} problem"
            good &= len(mine) == 1
        return expected, found, good

    _wrong_md5 = _truncated = _wrong_hdus = _keyword_missing = _foreign_propid = _end
    _duplicate_same = _duplicate_other = _end

    def _nights_late(self, trouble: Mapping[str, Any]) -> tuple[str, str, bool]:
        """Compare a delivery that came nights later: late and missing before it came, processed then."""
        told = self.drive.before_arrival.get(trouble["expnum"], (False, False))
        expected, found, good = self._end(trouble)
        words = ", ".join(w for w, is_so in zip(("late", "missing"), told, strict=True) if is_so)
        return f"late, missing; then {expected}", f"{words}; then {found}", good and all(told)

    def _never_sent(self, trouble: Mapping[str, Any]) -> tuple[str, str, bool]:
        """Compare what is told of a file that never came."""
        mine = [e for e in self.got.status["expected"] if e["expnum"] == trouble["expnum"]]
        found = ", ".join(w for w in ("late", "missing") if mine and mine[0][w]) or "nothing"
        return "late, missing", found, found == "late, missing"

    # -- exposures

    def _verdict(self, expnum: int) -> str:
        """Return the verdicts on an exposure, in words."""
        return ", ".join(
            f"{v['accepted']} {v['reason']}".strip() for v in self.got.verdicts if v["expnum"] == expnum
        )

    def _row(self, expnum: int) -> dict[str, Any]:
        """Return the row of an exposure in the queue."""
        return next((r for r in self.got.queue if r["expnum"] == expnum), {"state": "no row", "why": ""})

    def _junk_title(self, trouble: Mapping[str, Any]) -> tuple[str, str, bool]:
        """Compare an exposure whose title says junk: ingested, and not processed."""
        row = self._row(trouble["expnum"])
        found = f"{self._end(trouble)[1]}, {row['state']}: {row['why']}; {self._verdict(trouble['expnum'])}"
        good = found.startswith("ingested, dismissed: ") and "its title says junk" in row["why"]
        return "ingested, dismissed by its title, verdict False", found, good

    def _clouds(self, trouble: Mapping[str, Any]) -> tuple[str, str, bool]:
        """Compare an exposure through clouds: processed, and rejected."""
        found = self._verdict(trouble["expnum"])
        self._claim(trouble["expnum"])
        return "verdict False, clouds", found, found.startswith("False badT") and "clouds" in found

    def _dead_amplifier(self, trouble: Mapping[str, Any]) -> tuple[str, str, bool]:
        """Compare a CCD with a dead amplifier: up for review, with a problem that forbids to bless it."""
        name = f"D{trouble['expnum']:08d}_c{trouble['ccdnum']:02d}"
        reviews = [r for r in self.got.reviews if r["subject"] == name and "amp_balance" in r["text"]]
        problems = [p for p in self.got.problems if p["subject"] == name and "amp_balance" in p["text"]]
        self._claim(trouble["expnum"])
        self.known_problems |= {p["id"] for p in problems}
        found = f"{name}: {len(reviews)} for review, {len(problems)} problem"
        return f"{name}: 1 for review, 1 problem", found, len(reviews) == len(problems) == 1

    def _claim(self, expnum: int) -> None:
        """Note that what is put up of an exposure that has a trouble is no false alarm."""
        name = f"D{expnum:08d}"
        self.known_reviews |= {r["id"] for r in self.got.reviews if r["subject"].startswith(name)}

    # -- nights

    def _bad_calibration(self, trouble: Mapping[str, Any]) -> tuple[str, str, bool]:
        """Compare dome flats without light: nothing is made of them, another night serves, a problem says so."""
        nite, band = trouble["nite"], trouble["band"]
        made = [
            f for f in self.installation.ask("files", "--filetype", "cal_dflatcor", "--band", band, "--limit", 100000)
            if f["filename"].startswith(nite)
        ]  # fmt: skip
        problems = [
            p for p in self.got.problems
            if p["subject"] == nite and f"dome flats of band {band}" in p["text"] and p["opened_by"] == "queue"
        ]  # fmt: skip
        self.known_problems |= {p["id"] for p in problems}
        self.known_reviews |= {r["id"] for r in self.got.reviews if r["subject"].startswith(f"{nite}_")}
        used = set()
        for row in self.got.queue:
            if row["nite"] == nite and row["band"] == band and row["attempt"]:
                shown = self.installation.ask("show", row["attempt"])["calibrations"]
                used |= {c["filename"][:8] for c in shown if c["filetype"] == "cal_dflatcor"}
        found = f"{len(made)} flats made, those of {', '.join(sorted(used)) or 'no night'} used, {len(problems)} problem"
        good = not made and bool(used) and nite not in used and len(problems) == 1
        return "no flat made, those of another night used, 1 problem", found, good

    def _worker_killed(self, trouble: Mapping[str, Any]) -> tuple[str, str, bool]:
        """Compare a night in which a worker was killed: its job was run again, and the night is complete."""
        runs = [
            r["attempt"]
            for r in self.got.queue
            if r["nite"] == trouble["nite"] and r["expnum"] and r["attempt"]
        ]
        again = [
            run for run in runs if any(j["tries"] > 1 for j in self.installation.ask("show", run)["jobs"])
        ]
        killed = self.drive.workers_killed.get(trouble["number"], 0)
        found = f"{killed} killed, {len(again)} runs went on after that"
        return "1 killed, a job of the night repeated", found, killed == 1 and bool(again)

    def _database_cut(self, trouble: Mapping[str, Any]) -> tuple[str, str, bool]:
        """Compare a night in which the database was away: both programs waited and went on."""
        seconds = self.drive.cuts.get(trouble["number"], 0.0)
        found = (
            f"cut off for {seconds:.0f} s, {'; '.join(self.drive.remarks) or 'watcher and runner went on'}"
        )
        return (
            "watcher and runner go on; nothing lost or twice",
            found,
            seconds > 0 and not self.drive.remarks,
        )

    def _unit(self, trouble: Mapping[str, Any]) -> bool:
        """Return whether the exposure of a trouble is processed or not, as the truth says."""
        if trouble["expnum"] is None:
            return True
        good = [a for a in self._good_attempts("firstcut") if a == f"D{trouble['expnum']:08d}"]
        return len(good) == int(trouble["processed"])

    # -- the whole

    def _good_attempts(self, pipeline: str) -> list[str]:
        """Return the units of the good attempts of production of a pipeline, one for each attempt."""
        return [
            a["attempt"].rsplit("_", 1)[0]
            for a in self.got.attempts
            if a["pipeline"] == pipeline and a["state"] in _ENDED_WELL and a["run_class"] == "survey"
        ]

    def _units(self) -> None:
        """Look for units that were processed twice, or not at all."""
        due = {
            f"D{n:08d}"
            for n, e in self.exposures.items()
            if n not in self.of_exposure or self.of_exposure[n]["processed"]
        }
        nites = {e["nite"] for e in self.exposures.values()}
        for pipeline, units in (("firstcut", due), ("precal", nites)):
            counts = Counter(self._good_attempts(pipeline))
            self.out.twice += [
                f"{pipeline} {unit}: {count} attempts" for unit, count in counts.items() if count > 1
            ]
            self.out.lost += [f"{pipeline} {unit} has no attempt" for unit in sorted(units - counts.keys())]
            self.out.false += [f"{pipeline} {unit} was processed" for unit in sorted(counts.keys() - units)]
        bad = [a for a in self.got.attempts if a["state"] not in _ENDED_WELL]
        self.out.lost += [f"{a['attempt']} is {a['state']}" for a in bad]
        rows = Counter((r["unit"], r["pipeline"]) for r in self.got.queue)
        self.out.twice += [f"{name} has {count} rows" for (name, _), count in rows.items() if count > 1]
        self.out.lost += [
            f"{r['unit']} is {r['state']}: {r['why']}"
            for r in self.got.queue
            if r["state"] not in ("done", "dismissed")
        ]
        self.out.twice += [
            f"exposure {n} has {count} raw files"
            for n, count in Counter(f["filename"] for f in self.got.raw).items()
            if count > 1
        ]
        verdicts = Counter(v["expnum"] for v in self.got.verdicts)
        self.out.twice += [f"exposure {n} has {count} verdicts" for n, count in verdicts.items() if count > 1]
        self.out.lost += [f"{unit} has no verdict" for unit in sorted(due) if int(unit[1:]) not in verdicts]

    def _false(self) -> None:
        """Look for what is said against healthy data."""
        self.out.false += [
            f"problem {p['id']} of {p['subject']}: {p['text']}"
            for p in self.got.problems
            if p["id"] not in self.known_problems
        ]
        self.out.false += [
            f"review of {r['subject']} ({r['cause']}): {r['text']}"
            for r in self.got.reviews
            if r["id"] not in self.known_reviews
        ]
        for verdict in self.got.verdicts:
            trouble = self.of_exposure.get(verdict["expnum"])
            if verdict["accepted"] != "True" and (
                trouble is None or trouble["kind"] not in ("clouds", "junk_title")
            ):
                self.out.false.append(
                    f"verdict {verdict['accepted']} on {verdict['expnum']}: {verdict['reason']}"
                )

    def _times(self) -> None:
        """Measure the time from the arrival of each exposure to its verdict; the clock is that of the watcher and queue."""
        arrivals = {
            int(row["expnum"]): datetime.fromisoformat(row["arrival"])
            for file, row in self.manifest.items()
            if self.ends[file][0] == "ingested"
        }
        minutes = []
        for row in self.got.queue:
            if row["expnum"] is None or row["state"] != "done":
                continue
            arrival, end = arrivals[row["expnum"]], datetime.fromisoformat(row["updated_at"])
            minutes.append((end - arrival).total_seconds() / 60)
            dusk = arrival.replace(hour=_DUSK, minute=0, second=0)
            if end > dusk + timedelta(days=arrival > dusk):
                self.out.after_dusk.append(f"exposure {row['expnum']}, at {end}")
        self.out.minutes = sorted(minutes)


# -- the same end with and without kills


def contents(installation: Installation) -> dict[str, object]:
    """Return what an installation came to, without times, names of tries and what carries them; files by their content.

    Parameters
    ----------
    installation
        The installation.
    """
    ask = installation.ask
    home = str(installation.home)
    rows = sorted(ask("queue")["rows"], key=lambda r: (r["pipeline"], r["unit"]))
    files = [f for f in ask("files", "--limit", "1000000") if f["filetype"] not in _OF_A_TRY]
    return {
        "deliveries": sorted(
            (d["path"].removeprefix(home), d["state"], d["reason_code"])
            for d in ask("dts", "status", "--all")["deliveries"]
        ),
        "queue": [(r["pipeline"], r["unit"], r["state"], r["attempt"], r["tries"]) for r in rows],
        "verdicts": [
            (v["expnum"], v["accepted"], v["reason"], v["t_eff"], v["fwhm_asec"], v["magzero"])
            for v in ask("verdict")
        ],
        "problems": sorted((p["subject"], p["state"], p["text"]) for p in ask("problem", "list", "--all")),
        "reviews": sorted(
            (r["subject"], r["cause"], r["text"]) for r in ask("review", "list", "--all", "--limit", "10000")
        ),
        "survey": _without(ask("survey"), "as_of"),
        "files": sorted((f["filetype"], f["filename"], content(Path(f["path"]))) for f in files),
    }


def differences(one: Mapping[str, object], other: Mapping[str, object]) -> list[str]:
    """Return where two contents differ, a sentence each.

    Parameters
    ----------
    one, other
        Contents of installations.
    """
    found = []
    for name in one:
        if one[name] == other[name]:
            continue
        left, right = _items(one[name]), _items(other[name])
        found += [f"{name}: only without kills: {item}" for item in sorted(left - right)[:10]]
        found += [f"{name}: only with kills: {item}" for item in sorted(right - left)[:10]]
    return found


def _items(value: object) -> set[str]:
    """Return the entries of a part of contents as texts."""
    if isinstance(value, Mapping):
        return {f"{key}={item}" for key, entry in value.items() for item in _items(entry)}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return {str(item) for item in value}
    return {str(value)}


def _without(document: Mapping[str, object], *keys: str) -> dict[str, object]:
    """Return a document without some keys."""
    return {key: value for key, value in document.items() if key not in keys}
