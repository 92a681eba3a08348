"""Ancestry and lineage: what a file came from, by one query, told as edges and as PROV-JSON."""

from __future__ import annotations

import json
import random
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert

from desdm.archive import provenance
from desdm.archive.prov import prov_json
from desdm.errors import NotFoundError
from desdm.schema import (
    desfile,
    opm_used,
    opm_was_derived_from,
    opm_was_generated_by,
    pfw_block,
    pfw_exec,
    pfw_job,
    pfw_wrapper,
    task,
)
from desdm.schema.database import Database
from tests.archive.test_find import attempt, put


def plain(conn: Any, count: int) -> None:
    conn.execute(insert(desfile), [
        {"id": i, "filename": f"f{i}", "compression": "", "filetype": "misc", "filesize": 1, "sha256": f"{i:064x}",
         "md5sum": f"{i:032x}"}
        for i in range(1, count + 1)
    ])  # fmt: skip


def walked(edges: list[tuple[int, int]], start: int) -> set[int]:
    """What can be reached: the definition, file by file."""
    found: set[int] = set()
    waiting = [start]
    while waiting:
        here = waiting.pop()
        for child, parent in edges:
            if child == here and parent not in found:
                found.add(parent)
                waiting.append(parent)
    return found


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6))
def test_ancestors_are_what_a_walk_finds(database: Database, seed: int) -> None:
    made = random.Random(seed)
    count = made.randint(2, 30)
    edges = sorted(
        {tuple(sorted(made.sample(range(1, count + 1), 2), reverse=True)) for _ in range(made.randint(1, 60))}
    )
    with database.write() as conn:
        conn.execute(delete(opm_was_derived_from))
        conn.execute(delete(desfile))
        plain(conn, count)
        conn.execute(
            insert(opm_was_derived_from), [{"child_desfile_id": c, "parent_desfile_id": p} for c, p in edges]
        )
        for start in range(1, count + 1):
            up = provenance.ancestors(conn, start)
            assert len(up) == len(set(up))
            assert set(up) == walked(edges, start)
            down = provenance.descendants(conn, start)
            assert set(down) == walked([(p, c) for c, p in edges], start)


def test_a_very_deep_history(database: Database) -> None:
    with database.write() as conn:
        plain(conn, 5000)
        rows = [{"child_desfile_id": i, "parent_desfile_id": i - 1} for i in range(2, 5001)]
        conn.execute(insert(opm_was_derived_from), rows)
        assert sorted(provenance.ancestors(conn, 5000)) == list(range(1, 5000))
        assert sorted(provenance.descendants(conn, 1)) == list(range(2, 5001))


@pytest.fixture
def history(database: Database) -> Database:
    """raw → (detrend, 2 programs) → red → (catalog) → cat; red → (coadd) → coadd; detrend used a bias too."""
    with database.write() as conn:
        attempt(conn, 1)
        for number, name, kind in (
            (1, "raw.fits", "raw"), (2, "bias.fits", "raw"), (3, "red.fits", "red_immask"), (4, "cat.fits", "cat_finalcut"),
            (5, "coadd.fits", "coadd"), (6, "unrelated.fits", "raw"),
        ):  # fmt: skip
            put(conn, number, name, 1 if number > 2 else None, filetype=kind)
        tasks = [(10, "block", "pfw_block"), (11, "job", "pfw_job"), (20, "detrend", "pfw_wrapper"),
                 (21, "catalog", "pfw_wrapper"), (22, "coadd", "pfw_wrapper"), (30, "pixcorrect", "pfw_exec"),
                 (31, "sky_fit", "pfw_exec"), (32, "sex", "pfw_exec")]  # fmt: skip
        when = datetime(2026, 1, 2, 3, 4, 5)
        conn.execute(insert(task), [
            {"id": i, "name": n, "info_table": t, "start_time": when, "end_time": when, "status": 0, "exec_host": "node1"}
            for i, n, t in tasks
        ])  # fmt: skip
        conn.execute(
            insert(pfw_block),
            {
                "task_id": 10,
                "pfw_attempt_id": 1,
                "blknum": 1,
                "name": "b",
                "modulelist": "detrend",
                "numexpjobs": 1,
            },
        )
        conn.execute(
            insert(pfw_job),
            {
                "task_id": 11,
                "pfw_attempt_id": 1,
                "pfw_block_task_id": 10,
                "jobnum": 1,
                "jobkeys": "",
                "expect_num_wrap": 3,
                "state": "done",
                "tries": 1,
            },
        )
        conn.execute(insert(pfw_wrapper), [
            {"task_id": i, "pfw_attempt_id": 1, "pfw_job_task_id": 11, "wrapnum": i, "modname": n,
             "name": f"codes.{n}", "wrapkeys": "c01", "state": "done"}
            for i, n, t in tasks if t == "pfw_wrapper"
        ])  # fmt: skip
        usage = dict.fromkeys(
            ("utime", "stime", "maxrss", "minflt", "majflt", "inblock", "oublock", "nvcsw", "nivcsw"), 0
        )
        conn.execute(insert(pfw_exec), [
            {"task_id": i, "pfw_attempt_id": 1, "pfw_wrapper_task_id": w, "execnum": i, "name": n, "version": v,
             "cmdargs": "-x", **usage}
            for i, w, n, v in ((30, 20, "pixcorrect", "3.1"), (31, 20, "sky_fit", "0.5"), (32, 21, "sex", "2.25"))
        ])  # fmt: skip
        conn.execute(
            insert(opm_used),
            [{"task_id": t, "desfile_id": f} for t, f in ((20, 1), (20, 2), (21, 3), (22, 3))],
        )
        conn.execute(
            insert(opm_was_generated_by),
            [{"desfile_id": f, "task_id": t} for f, t in ((3, 20), (4, 21), (5, 22))],
        )
        conn.execute(insert(opm_was_derived_from), [
            {"child_desfile_id": c, "parent_desfile_id": p} for c, p in ((3, 1), (4, 3), (5, 3))
        ])  # fmt: skip
    return database


def test_lineage_upwards_tells_files_tasks_programs_and_what_was_used(history: Database) -> None:
    with history.read() as conn:
        found = provenance.lineage(conn, "cat.fits")
    assert [f.name for f in found.files] == ["cat.fits", "raw.fits", "bias.fits", "red.fits"]
    assert [(t.id, t.name, t.module, t.attempt) for t in found.tasks] == [
        (20, "detrend", "detrend", "D00000001_r1p01"), (21, "catalog", "catalog", "D00000001_r1p01"),
    ]  # fmt: skip
    assert [(e.name, e.version) for e in found.tasks[0].execs] == [("pixcorrect", "3.1"), ("sky_fit", "0.5")]
    assert set(found.edges) == {
        ("was_derived_from", 4, 3), ("was_derived_from", 3, 1), ("was_generated_by", 3, 20), ("was_generated_by", 4, 21),
        ("used", 20, 1), ("used", 20, 2), ("used", 21, 3),
    }  # fmt: skip


def test_lineage_downwards(history: Database) -> None:
    with history.read() as conn:
        found = provenance.lineage(conn, "raw.fits", "down")
        leaf = provenance.lineage(conn, "unrelated.fits", "both")
    assert [f.name for f in found.files] == ["raw.fits", "red.fits", "cat.fits", "coadd.fits"]
    assert {t.id for t in found.tasks} == {20, 21, 22}
    assert ("used", 20, 2) not in found.edges
    assert (leaf.tasks, leaf.edges) == ((), ())
    with history.read() as conn, pytest.raises(NotFoundError):
        provenance.lineage(conn, "nobody.fits")


#: PROV-JSON, section 3: the records and the attributes that name their ends.
ENDS = {
    "used": {"prov:activity": "activity", "prov:entity": "entity"},
    "wasGeneratedBy": {"prov:entity": "entity", "prov:activity": "activity"},
    "wasDerivedFrom": {"prov:generatedEntity": "entity", "prov:usedEntity": "entity"},
    "wasAssociatedWith": {"prov:activity": "activity", "prov:agent": "agent"},
}


def test_prov_json_is_a_sound_document(history: Database) -> None:
    with history.read() as conn:
        document = json.loads(json.dumps(prov_json(provenance.lineage(conn, "cat.fits"))))
    assert set(document) == {"prefix", "entity", "activity", "agent", *ENDS}
    prefixes = {*document["prefix"], "prov", "_"}
    for kind, records in document.items():
        if kind == "prefix":
            continue
        for identifier, attributes in records.items():
            prefix, colon, local = identifier.partition(":")
            assert colon
            assert prefix in prefixes
            assert local.replace(".", "").isalnum()
            for key, value in attributes.items():
                assert key.partition(":")[0] in prefixes
                if isinstance(value, dict):
                    assert set(value) == {"$", "type"}
                    assert isinstance(value["$"], str)
            for end, of in ENDS.get(kind, {}).items():
                assert attributes[end] in document[of], f"{kind} {end} is dangling"
    assert {e["prov:label"] for e in document["entity"].values()} == {
        "cat.fits",
        "red.fits",
        "raw.fits",
        "bias.fits",
    }
    assert {a["prov:label"] for a in document["agent"].values()} == {
        "pixcorrect 3.1",
        "sky_fit 0.5",
        "sex 2.25",
    }
    assert len(document["used"]) == 3
    starts = {datetime.fromisoformat(a["prov:startTime"]) for a in document["activity"].values()}
    assert [s.isoformat() for s in starts] == ["2026-01-02T03:04:05+00:00"]
