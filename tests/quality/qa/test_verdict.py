"""Verdicts are only ever added to: an analyst overrules, the numbers and the first word stay."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from desdm.errors import NotFoundError, UsageError
from desdm.facility import Facility, initialise
from desdm.quality.qa.verdict import overrule, record, verdicts
from desdm.schema import firstcut_eval
from desdm.schema.states import Verdict
from tests.support.postgres import Cluster

TOLD = {
    "exposurename": "D00229686", "expnum": 229686, "nite": "20130820", "band": "r", "accepted": "False",
    "reason": "badT: t_eff 0.12 is not above 0.3", "t_eff": 0.12, "f_eff": 0.9, "b_eff": 1.0, "c_eff": 0.133,
}  # fmt: skip


@pytest.fixture(params=["sqlite", "postgresql"])
def facility(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Facility]:
    url, name = None, ""
    if request.param == "postgresql":
        cluster: Cluster = request.getfixturevalue("postgres")
        name = cluster.database()
        monkeypatch.setenv("DESDM_DB_PASSWORD", cluster.password)
        url = f"postgresql+psycopg://desdm@127.0.0.1:{cluster.port}/{name}"
    initialise(tmp_path / "home", url)
    opened = Facility.open(tmp_path / "home")
    yield opened
    opened.close()
    if name:
        request.getfixturevalue("postgres").drop(name)


def test_an_analyst_overrules_and_the_first_word_stays(facility: Facility) -> None:
    with facility.database.write() as conn:
        record(conn, "firstcut", TOLD)
        overrule(conn, "firstcut", 229686, Verdict.ACCEPTED, "the clouds are a bad catalogue", "mary")
    with facility.database.read() as conn:
        (row,) = verdicts(conn, "firstcut")
        rows = conn.execute(firstcut_eval.select().order_by(firstcut_eval.c.id)).all()
    assert (row["accepted"], row["analyst"], row["t_eff"]) == ("True", "mary", 0.12)
    assert row["reason"] == "overruled: the clouds are a bad catalogue"
    assert [r.accepted for r in rows] == ["False", "True"]


def test_a_verdict_can_be_neither_changed_nor_deleted(facility: Facility) -> None:
    with facility.database.write() as conn:
        record(conn, "firstcut", TOLD)
    for deed in (firstcut_eval.update().values(accepted="True"), firstcut_eval.delete()):
        with pytest.raises(DBAPIError, match="only ever added to"), facility.database.write() as conn:
            conn.execute(deed)


def test_nobody_overrules_without_saying_why_or_what_was_never_judged(facility: Facility) -> None:
    with facility.database.write() as conn:
        with pytest.raises(UsageError, match="why"):
            overrule(conn, "firstcut", 229686, Verdict.ACCEPTED, " ", "mary")
        with pytest.raises(NotFoundError, match="exposure 5 has no verdict"):
            overrule(conn, "firstcut", 5, Verdict.ACCEPTED, "I like it", "mary")
