"""Publication: one switch, whole or not at all also when it is killed; what is published never changes."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from desdm.errors import ConflictError, DesdmError, FatalError, NotFoundError
from desdm.facility import Facility, initialise
from desdm.release import manifest, store
from desdm.release.addtable import add_table
from desdm.release.create import create, create_empty, discard
from desdm.release.publish import find, freeze, publish, thaw
from desdm.schema.database import Database
from desdm.services.published import Published
from tests.support.release import objects, small_release
from tests.support.tiles import QUICK, demo_release, deposit_tiles


def filled(database: Database, root: Path, name: str = "Y1", rows: int = 200) -> Path:
    create_empty(database, root / name, name, who="me")
    table = objects(rows)
    add_table(
        database,
        root / name,
        name,
        "objects",
        iter(table.to_batches()),
        ra="ra",
        dec="dec",
        text="objects",
        who="me",
    )
    return root / name


def test_a_published_release_is_seen_by_the_services_and_a_draft_is_not(
    database: Database, tmp_path: Path
) -> None:
    published = Published(database, every=0.0)
    root = filled(database, tmp_path)
    assert published.current().releases == ()
    made = publish(database, root, "y1", who="me")
    holdings = published.current()
    assert [r.name for r in holdings.releases] == ["Y1"]
    assert set(holdings.tables) == {("Y1", "objects")}
    assert {f.filetype for f in holdings.files["Y1"]} == {"table", "document", "manifest"}
    assert made.manifest_sha256 == next(f.sha256 for f in holdings.files["Y1"] if f.path == "manifest.json")


def test_every_file_stands_in_the_manifest_and_sha256sum_agrees(sqlite: Database, tmp_path: Path) -> None:
    root = filled(sqlite, tmp_path)
    publish(sqlite, root, "Y1", who="me")
    said = subprocess.run(["sha256sum", "-c", "MANIFEST.sha256"], cwd=root, capture_output=True, text=True)
    assert said.returncode == 0, said.stdout
    there = {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()}
    assert len(said.stdout.splitlines()) == len(there) - 1, "all but the list itself"
    document = json.loads((root / "manifest.json").read_text())
    assert {f["path"] for f in document["files"]} == there - {"manifest.json", "MANIFEST.sha256"}
    assert all((root / f["path"]).stat().st_size == f["size"] for f in document["files"])


def test_two_releases_published_in_one_instant_are_told_apart(sqlite: Database, tmp_path: Path) -> None:
    for name in ("Y1", "Y2", "Y3"):
        publish(sqlite, filled(sqlite, tmp_path, name, 20), name, who="me")
    with sqlite.read() as conn:
        times = [r.published_at for r in store.releases(conn)]
    assert len(set(times)) == 3


def test_what_is_published_cannot_be_published_thawed_or_taken_away(
    database: Database, tmp_path: Path
) -> None:
    root = filled(database, tmp_path)
    publish(database, root, "Y1", who="me")
    before = {p: p.read_bytes() for p in root.rglob("*") if p.is_file()}
    with pytest.raises(ConflictError, match="published already and never changes"):
        publish(database, root, "Y1", who="me")
    with pytest.raises(ConflictError, match="Y1 is published, not frozen"):
        thaw(database, "Y1", who="me")
    with pytest.raises(ConflictError, match="published and never changes"):
        discard(database, root, "Y1", who="me")
    assert {p: p.read_bytes() for p in root.rglob("*") if p.is_file()} == before
    assert find(database, "Y1").state == "published"


def test_an_engine_that_cannot_be_made_ready_keeps_the_release_from_being_seen(
    database: Database, tmp_path: Path
) -> None:
    root = filled(database, tmp_path)
    published = Published(database, every=0.0)

    def broken(name: str) -> None:
        assert published.current().releases == ()
        raise FatalError(f"no room for {name}")

    with pytest.raises(FatalError, match="no room for Y1"):
        publish(database, root, "Y1", who="me", prepare=broken)
    assert published.current().releases == ()
    assert find(database, "Y1").state == "frozen"
    with pytest.raises(ConflictError, match=r"Y1 is frozen; .*desdm release thaw Y1"):
        add_table(database, root, "Y1", "more", iter(()), ra=None, dec=None, who="me")
    asked: list[str] = []
    publish(database, root, "Y1", who="me", prepare=asked.append)
    assert asked == ["Y1"] and len(published.current().releases) == 1


def test_a_thawed_release_can_be_filled_again(database: Database, tmp_path: Path) -> None:
    root = filled(database, tmp_path)
    freeze(database, root, "Y1", who="me")
    assert thaw(database, "Y1", who="me").manifest_sha256 is None
    more = objects(10)
    add_table(database, root, "Y1", "more", iter(more.to_batches()), ra="ra", dec="dec", who="me")
    publish(database, root, "Y1", who="me")
    with database.read() as conn:
        assert manifest.verify(root, store.files(conn, "Y1")) == []


def test_a_table_that_comes_while_it_is_frozen_is_never_lost_unseen(
    database: Database, tmp_path: Path
) -> None:
    """A builder that began on the draft ends after the freeze: it is turned away, and nothing of it stays."""
    root = filled(database, tmp_path)

    def slow() -> Any:
        table = objects(50)
        yield table.to_batches()[0]
        freeze(database, root, "Y1", who="me")

    with pytest.raises(ConflictError, match="frozen meanwhile"):
        add_table(database, root, "Y1", "late", slow(), ra="ra", dec="dec", who="me")
    publish(database, root, "Y1", who="me")
    with database.read() as conn:
        assert [t.name for t in store.tables(conn, "Y1")] == ["objects"]
        assert manifest.verify(root, store.files(conn, "Y1")) == []


def test_model_queries_are_run_and_an_engine_of_another_mind_stops_it(
    sqlite: Database, tmp_path: Path
) -> None:
    root = filled(sqlite, tmp_path)
    asked: list[str] = []

    def ask(adql: str) -> pa.Table:
        asked.append(adql)
        return pa.table({"n": [200 if len(asked) < 100 else 1]})

    publish(sqlite, root, "Y1", who="me", ask=ask)
    queries = json.loads((root / "docs" / "queries.json").read_text())["queries"]
    assert [q["adql"] for q in queries] == asked and len(asked) == 4
    assert all(q["rows"] == 1 for q in queries)
    other = filled(sqlite, tmp_path, "Y2", 20)
    with pytest.raises(FatalError, match=r"gave 200, and the table has 20 rows"):
        publish(sqlite, other, "Y2", who="me", ask=ask)
    assert find(sqlite, "Y2").state == "draft"


def test_a_point_release_corrects_and_leaves_the_first_as_it_was(database: Database, tmp_path: Path) -> None:
    root = filled(database, tmp_path)
    publish(database, root, "Y1", who="me")
    create_empty(database, tmp_path / "Y1_1", "Y1_1", erratum_of="Y1", text="Magnitudes mended.", who="me")
    add_table(
        database,
        tmp_path / "Y1_1",
        "Y1_1",
        "objects",
        root / "tables" / "objects",
        ra="ra",
        dec="dec",
        who="me",
    )
    made = publish(database, tmp_path / "Y1_1", "Y1_1", who="me")
    assert made.erratum_of == "Y1"
    notes = (tmp_path / "Y1_1" / "docs" / "notes.md").read_text()
    assert "corrects Y1; Y1 stays as it was published" in notes and "Magnitudes mended." in notes
    with database.read() as conn:
        assert manifest.verify(root, store.files(conn, "Y1")) == []


def test_published_twice_from_the_same_inputs_it_has_the_same_bytes(tmp_path: Path) -> None:
    for home in ("one", "two"):
        demo_release(tmp_path / home)
        time.sleep(0.01)
    one, two = (tmp_path / home / "releases" for home in ("one", "two"))
    first = {str(p.relative_to(one)): p.read_bytes() for p in one.rglob("*") if p.is_file()}
    assert first == {str(p.relative_to(two)): p.read_bytes() for p in two.rglob("*") if p.is_file()}
    text = b"".join(
        data for name, data in first.items() if name.endswith((".md", ".html", ".json", "properties"))
    )
    for word in (str(tmp_path), "2026-", Path.home().name + "@"):
        assert word.encode() not in text, f"{word} must not stand in a built file"


def test_verify_tells_what_was_changed_after_publication(tmp_path: Path) -> None:
    home = small_release(tmp_path / "home")
    facility = Facility.open(home)
    root = facility.config.releases / "T1"
    with facility.database.read() as conn:
        files = store.files(conn, "T1")
    assert manifest.verify(root, files) == []
    (root / "docs" / "notes.md").write_text("other")
    (root / "docs" / "data.md").unlink()
    (root / "docs" / "new.md").write_text("new")
    faults = {f.path: f.text for f in manifest.verify(root, files)}
    assert set(faults) == {"docs/notes.md", "docs/data.md", "docs/new.md"}
    assert faults["docs/data.md"] == "is gone"
    facility.close()


#: Forks a victim for each home that it is told, so that Python and the compiled code are loaded once.
_NURSERY = """
import os, sys
from pathlib import Path
from desdm.facility import Facility
from desdm.release.create import create
from desdm.release.publish import publish
from tests.support.tiles import QUICK
import astropy.wcs, astropy.io.votable.ucd

def work(home, name="D1"):
    facility = Facility.open(home)
    root = facility.config.releases / name
    create(facility.database, facility.archive, root, name, {"tag": "BLESSED"}, who="me", steps=QUICK)
    publish(facility.database, root, name, who="me")

work(sys.argv[1], "WARM")
for line in sys.stdin:
    victim = os.fork()
    if victim == 0:
        work(line.strip())
        os._exit(0)
    print(victim, flush=True)
    os.waitpid(victim, 0)
    print("ended", flush=True)
"""


def test_killed_at_any_moment_a_release_is_published_whole_or_not_at_all(tmp_path: Path) -> None:
    """Seven SIGKILLs over building and publishing; after each the release is whole, or not seen and made anew."""
    template = tmp_path / "template"
    initialise(template)
    facility = Facility.open(template)
    deposit_tiles(facility.database, facility.archive, template / "incoming")
    facility.close()
    homes = [tmp_path / f"home{turn}" for turn in range(8)]
    for home in homes:
        shutil.copytree(template, home, ignore=shutil.ignore_patterns("incoming"))
    dice, seen = random.Random(4), set()
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _NURSERY, str(template)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True, cwd=Path(__file__).parents[2],
    ) as nursery:  # fmt: skip
        assert nursery.stdin and nursery.stdout
        longest = 0.0
        for home in homes:
            nursery.stdin.write(f"{home}\n")
            nursery.stdin.flush()
            victim, begun = int(nursery.stdout.readline()), time.monotonic()
            if longest:
                time.sleep(dice.uniform(0, longest))
                with suppress(ProcessLookupError):
                    os.kill(victim, signal.SIGKILL)
            assert nursery.stdout.readline() == "ended\n"
            # The first is left alive, and tells how long it takes.
            longest = longest or time.monotonic() - begun
            seen.add(_as_it_stands(home))
        nursery.stdin.close()
    assert "published" in seen and len(seen) > 1, f"the kills must fall into different times: {seen}"


def _as_it_stands(home: Path) -> str:
    facility = Facility.open(home)
    root = facility.config.releases / "D1"
    try:
        try:
            state = str(find(facility.database, "D1").state)
        except NotFoundError:
            state = "none"
        visible = [r.name for r in Published(facility.database, every=0.0).current().releases]
        assert visible == (["D1"] if state == "published" else [])
        if state != "published":
            _go_on(facility, root, state)
        with facility.database.read() as conn:
            assert manifest.verify(root, store.files(conn, "D1")) == []
            assert [t.row_count for t in store.tables(conn, "D1")] == [160]
            assert len(store.files(conn, "D1", filetype="coadd")) == 4
        assert find(facility.database, "D1").state == "published"
    finally:
        facility.close()
    return state


def _go_on(facility: Facility, root: Path, state: str) -> None:
    # What an operator does: publish it; what was not built whole is refused, taken away and made again.
    try:
        publish(facility.database, root, "D1", who="me")
    except DesdmError as err:
        assert state in ("none", "draft"), err
        if state == "draft":
            discard(facility.database, root, "D1", who="me")
        create(facility.database, facility.archive, root, "D1", {"tag": "BLESSED"}, who="me", steps=QUICK)
        publish(facility.database, root, "D1", who="me")


_HOLD = """
import sys, time
from pathlib import Path
from desdm.release.exclusive import exclusive
with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_one_process_at_a_time_is_at_work_on_a_release(tmp_path: Path) -> None:
    """Two that publish at once would each freeze half of the other's documents; the lock goes with its process."""
    initialise(tmp_path / "home")
    facility = Facility.open(tmp_path / "home")
    root = facility.config.releases / "E1"
    create_empty(facility.database, root, "E1", who="test")
    other = subprocess.Popen([sys.executable, "-c", _HOLD, str(root)], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        for act in (publish, discard):
            with pytest.raises(ConflictError, match="another process builds, publishes or discards E1"):
                act(facility.database, root, "E1", who="test")
    finally:
        other.kill()
        other.communicate()
    discard(facility.database, root, "E1", who="test")
    assert not root.exists()
    facility.close()
