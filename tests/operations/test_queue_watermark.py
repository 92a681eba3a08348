"""The queue looks at new files and decisions only, and misses neither."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event as hooks
from sqlalchemy import insert, update

from desdm.operations.acceptance import exclude_exposure, lift_exclusion
from desdm.operations.queue.enqueue import enqueue
from desdm.operations.queue.policies import add_policy
from desdm.operations.queue.watermark import Arrived, Watermark
from desdm.schema import file_archive_info
from desdm.schema.database import Database
from desdm.schema.events import event
from desdm.schema.states import CopyState
from tests.operations.test_queue_rules import NOW, PRODUCTION, policy, raw


class Looks:
    """Looks of one process, each kept once its nights are in the queue."""

    def __init__(self, database: Database) -> None:
        self.database, self.watermark, self.seconds = database, Watermark(), 1000.0

    def look(self, *, later: float = 1.0, keep: bool = True) -> Arrived:
        self.seconds += later
        with self.database.write() as conn:
            look = self.watermark.look(conn, "MAIN", self.seconds)
            if keep:
                enqueue(conn, PRODUCTION, look.nites, now=NOW)
                self.watermark.keep(look)
        return look


@pytest.fixture
def looks(database: Database) -> Looks:
    with database.write() as conn:
        raw(conn, 10)
        raw(conn, 12, nite="20121121")
    return Looks(database)


def write(looks: Looks, act: Callable[[Any], object]) -> None:
    with looks.database.write() as conn:
        act(conn)


def test_a_night_is_found_once_and_one_that_was_not_queued_again(looks: Looks) -> None:
    assert looks.look(keep=False).nites == ["20121120", "20121121"]
    assert looks.look().nites == ["20121120", "20121121"]
    assert looks.look().nites == []
    write(looks, lambda conn: raw(conn, 20, nite="20121122"))
    assert looks.look(keep=False).nites == ["20121122"]
    assert looks.look().nites == ["20121122"]


def test_a_file_whose_transaction_ended_after_that_of_a_newer_one_is_found(looks: Looks) -> None:
    looks.look()
    write(looks, lambda conn: raw(conn, 30, nite="20121122"))
    assert looks.look(later=200).nites == ["20121122"]
    write(looks, lambda conn: raw(conn, 29, nite="20121123"))
    assert looks.look(later=100).nites == ["20121123"]


def test_an_old_file_that_is_sound_again_is_found_within_ten_minutes(looks: Looks) -> None:
    def copies(state: CopyState) -> Callable[[Any], object]:
        mine = file_archive_info.c.desfile_id == 12
        return lambda conn: conn.execute(update(file_archive_info).where(mine).values(state=state.value))

    write(looks, copies(CopyState.TRASH))
    assert looks.look().nites == ["20121120"]
    write(looks, lambda conn: raw(conn, 13, nite="20121124"))
    for _ in range(3):
        looks.look(later=130)
    write(looks, copies(CopyState.OK))
    assert looks.look().nites == []
    assert looks.look(later=600).nites == ["20121121"]


def test_only_decisions_let_refused_rows_be_judged_again(looks: Looks) -> None:
    assert looks.look().decided, "the first look judges all"
    assert not looks.look().decided
    told = {"event_time": NOW, "reason": "", "text": "x"}
    write(
        looks,
        lambda conn: conn.execute(
            insert(event),
            [{**told, "kind": "attempt", "who": "mary"}, {**told, "kind": "queue", "who": "queue"}],
        ),
    )
    assert not looks.look().decided
    write(looks, lambda conn: exclude_exposure(conn, 10, 0, who="mary", reason="a cloud", scope=PRODUCTION))
    assert looks.look(keep=False).decided and looks.look().decided and not looks.look().decided
    write(looks, lambda conn: lift_exclusion(conn, 10, 0, who="mary", reason="none", scope=PRODUCTION))
    assert looks.look().decided and not looks.look().decided
    write(looks, lambda conn: add_policy(conn, policy(), who="mary", now=NOW))
    assert looks.look().decided and not looks.look(later=300).decided


def test_the_query_names_the_files_from_which_it_looks(looks: Looks) -> None:
    looks.look()
    looks.look(later=200)
    values: list[Any] = []
    hooks.listen(looks.database.engine, "before_cursor_execute", lambda *a: values.append((a[2], a[3])))
    looks.look()
    [bound] = [parameters for text, parameters in values if "ops_auto_queue" in text and "DISTINCT" in text]
    assert 12 in (bound.values() if isinstance(bound, dict) else bound), "newest file of an earlier look"
