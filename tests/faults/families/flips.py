"""Bits that flip in the archive and in a published release, at the same size and times."""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlencode

from tests.faults.floods import ask
from tests.faults.outcome import Fault, Outcome, family
from tests.faults.testbed import COADD, RUN, Testbed
from tests.faults.truth import flip, registered, rows
from tests.support.server import served


@family(
    "bit-flip-archive",
    "one bit of one file of each type in the archive; `audit`, marks along the lineage, `fetch`, a run on it",
)
def bit_flip_archive(testbed: Testbed, outcome: Outcome) -> None:
    with testbed.copy(testbed.coadded) as home:
        known = registered(home)
        victims: dict[str, tuple[str, str]] = {}
        for path, name, kind, size, _ in sorted(known):
            if size:
                victims.setdefault(kind, (path, name))
        for path, _ in victims.values():
            flip(home / "archive" / path, testbed.moments)
        damaged = {name for _, name in victims.values()}
        outcome.tried += len(damaged)
        _fetch(testbed, home, outcome, damaged, {name for _, name, *_ in known})
        report = testbed.audit(home)
        for name in sorted(damaged):
            outcome.damage(name in report["corrupt"], f"audit: {name}")
        for kind in ("corrupt", "truncated", "grown", "missing", "misplaced", "orphan"):
            for name in set(report.get(kind, ())) - damaged:
                outcome.broken(Fault.FALSE, f"audit calls {name} {kind}")
        _marks(home, outcome, damaged)
    with testbed.copy(testbed.ingested) as home:
        for path, name, kind, *_ in registered(home):  # noqa: B007 - the name is used below
            if kind == "red_immask":
                flip(home / "archive" / path, testbed.moments)
                break
        done = testbed.desdm(home, *COADD, "--wait")
        outcome.tried += 1
        told = (
            done.out + done.err + "".join(testbed.desdm(home, *w).out for w in (("show", RUN), ("log", RUN)))
        )
        outcome.damage(done.status not in (0, None) and name in told, f"a run took {name}: {done.short}")
        outcome.expect(done.status is not None, Fault.HANG, "a run on a damaged image hung")
        states = rows(home, "SELECT state FROM pfw_attempt")
        outcome.expect(states != [("done",)], Fault.WRONG, "a run on a damaged image is done")


def _fetch(testbed: Testbed, home: Path, outcome: Outcome, damaged: set[str], names: set[str]) -> None:
    """``fetch`` refuses what is damaged by its name, and gives what is whole."""
    with testbed.scratch() as folder:
        for name in sorted(damaged):
            done = testbed.desdm(home, "fetch", name, "--to", folder)
            outcome.damage(
                done.status not in (0, None) and name in done.err + done.out, f"fetch {name}: {done.short}"
            )
            outcome.expect(not (folder / name).exists(), Fault.WRONG, f"fetch left {name}")
        for name in sorted(names - damaged)[:3]:
            done = testbed.desdm(home, "fetch", name, "--to", folder)
            outcome.expect(done.status == 0, Fault.FALSE, f"fetch {name}: {done.short}")


def _marks(home: Path, outcome: Outcome, damaged: set[str]) -> None:
    """Everything that was made from a damaged file is marked, and nothing else."""
    names = dict(rows(home, "SELECT id, filename || compression FROM desfile"))
    edges = rows(home, "SELECT parent_desfile_id, child_desfile_id FROM opm_was_derived_from")
    below = {number for number, name in names.items() if name in damaged}
    todo = set(below)
    while todo:
        todo = {child for parent, child in edges if parent in todo} - below
        below |= todo
    marked = {number for (number,) in rows(home, "SELECT DISTINCT desfile_id FROM file_suspect")}
    derived = {n for n in below if names[n] not in damaged}
    for number in sorted(derived):
        outcome.damage(number in marked, f"{names[number]} is made from a damaged file and not marked")
    for number in marked - below:
        outcome.broken(Fault.FALSE, f"{names[number]} is marked, and nothing that it came from is damaged")


def _kinds(root: Path) -> Iterator[str]:
    """One path of the release for each kind of path."""
    seen = set()
    for path in sorted(p for p in root.rglob("*") if p.is_file() and p.stat().st_size > 0):
        told = path.relative_to(root).as_posix()
        kind = re.sub(r"\d+", "#", told)
        if kind not in seen:
            seen.add(kind)
            yield told


def _requests(path: str) -> list[str]:
    """Addresses whose answers come from the file."""
    out = [f"/files/R1/{quote(path)}"]
    if path.startswith("hips/"):
        out += [f"/hips/R1/{path[5:]}", f"/map/hips/R1/{path[5:]}"]
    if path.startswith("footprint/"):
        out += [
            f"/footprint/R1/{path[10:]}", "/footprint?ra=30&dec=-5&release=R1", "/footprint/R1/moc",
            "/footprint/region?POS=CIRCLE+30+-5+0.1&release=R1",
        ]  # fmt: skip
    if path.startswith("images/"):
        out += [
            "/api/cutouts?ra=30.0&dec=-5.0&size=0.2&RELEASE=R1&FORMAT=tar", "/cutout?release=R1&pos=30.0+-5.0",
            f"/soda/sync?ID={quote(f'ivo://desdm/R1?{path}')}&CIRCLE=30+-5+0.003",
        ]  # fmt: skip
    if path.startswith("tables/objects"):
        query = {"LANG": "ADQL", "FORMAT": "csv", "QUERY": "SELECT * FROM R1.objects"}
        out += [f"/tap/sync?{urlencode(query)}", "/scs/R1.objects?RA=30&DEC=-5&SR=0.05"]
    if path.startswith("docs/"):
        out += ["/releases/R1"]
    return out


def _answer(url: str, path: str) -> tuple[int, bytes]:
    """Status and body, times of the answer left out."""
    status, body, _ = ask(url, path, timeout=60)
    return status, re.sub(rb"\d{4}-\d\d-\d\dT[\d:.]+Z?", b"", body)


def _only_says_so(address: str, body: bytes) -> bool:
    """Whether a packed answer of cutouts, whose status went out before its files were read, holds no image."""
    if "FORMAT=tar" not in address:
        return False
    with tarfile.open(fileobj=io.BytesIO(body)) as packed:
        names = packed.getnames()
    return bool(names) and not any(name.endswith((".fits", ".fz", ".png")) for name in names)


@family(
    "bit-flip-release",
    "one bit of one file of each kind of path of a published release, over every endpoint; `release verify`",
)
def bit_flip_release(testbed: Testbed, outcome: Outcome) -> None:
    with testbed.copy(testbed.released) as home:
        root = home / "releases" / "R1"
        kinds = list(_kinds(root))
        with served(home) as url:
            before = {path: _answer(url, path) for kind in kinds for path in _requests(kind)}
            for path in kinds:
                file = root / path
                good = file.read_bytes()
                flip(file, testbed.moments)
                outcome.tried += 1
                for address in _requests(path):
                    status, body = _answer(url, address)
                    # What is answered from memory may be as before; the file's own bytes may not go out.
                    same = (status, body) == before[address] and not address.startswith("/files")
                    outcome.damage(
                        status >= 400 or same or _only_says_so(address, body),
                        f"{address} answers {status} while {path} is damaged",
                    )
                _restore(file, good)
                for address in _requests(path):
                    again = _answer(url, address)
                    outcome.expect(
                        again == before[address],
                        Fault.FALSE,
                        f"{address}: {again[0]} when {path} is whole again",
                    )
        for path in kinds:
            flip(root / path, testbed.moments)
        report = testbed.desdm(home, "release", "verify", "R1", "--json")
        told = (
            json.dumps(json.loads(report.out))
            if report.out.startswith(("{", "["))
            else report.out + report.err
        )
        for path in kinds:
            if path != "manifest.json":
                outcome.damage(path in told, f"release verify: {path}")
        outcome.expect(report.status not in (0, None), Fault.WRONG, f"release verify: {report.short}")
    with testbed.copy(testbed.released) as home:
        flip(home / "releases" / "R1" / "manifest.json", testbed.moments)
        done = testbed.desdm(home, "release", "verify", "R1")
        outcome.damage(
            done.status not in (0, None) and "manifest" in done.out + done.err, f"manifest: {done.short}"
        )
    done = testbed.desdm(testbed.released, "release", "verify", "R1")
    outcome.expect(done.status == 0, Fault.FALSE, f"release verify of the whole release: {done.short}")


def _restore(file: Path, good: bytes) -> None:
    """Put the whole bytes back."""
    import os

    before = file.stat()
    file.write_bytes(good)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
