"""What derives from a proprietary release stays hidden from those who may not see it, unless somebody says otherwise."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from desdm.accounts import people, rights
from desdm.accounts import store as accounts
from desdm.cli.main import desdm
from desdm.errors import UsageError
from desdm.facility import Facility
from desdm.release import store
from desdm.release.addtable import add_table
from desdm.release.announce import message
from desdm.release.create import create_empty, discard
from desdm.release.publish import find, publish
from desdm.release.rights import reader_view
from desdm.schema.states import Role
from tests.support.release import objects
from tests.support.tiles import TAG, demo_release


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SECRET, proprietary and published, which bob may see, and carol one table of it."""
    home = tmp_path_factory.mktemp("derived") / "home"
    demo_release(home, "SECRET", proprietary=True)
    facility = Facility.open(home)
    with facility.database.write() as conn:
        for login in ("bob", "carol"):
            people.add(conn, login, Role.COLLABORATOR, who="me")
        rights.grant(conn, "bob", "SECRET", who="me")
        rights.grant(conn, "carol", "SECRET", "objects", who="me")
    facility.close()
    return home


@pytest.fixture
def facility(home: Path) -> Iterator[Facility]:
    one = Facility.open(home)
    yield one
    one.close()


def granted(facility: Facility, release: str) -> set[tuple[str, str]]:
    with facility.database.read() as conn:
        return {(r.grantee, r.table) for r in accounts.rights(conn) if r.release == release}


def run(home: Path, *words: str) -> tuple[int, str, str]:
    outcome = CliRunner().invoke(desdm, ["--home", str(home), *words])
    return outcome.exit_code, outcome.stdout, outcome.stderr


def test_an_erratum_inherits_that_it_is_proprietary_and_who_may_see_it(
    home: Path, facility: Facility
) -> None:
    status, out, err = run(home, "release", "create", "FIX", "--empty", "--erratum-of", "secret", "--json")
    assert status == 0, err
    assert json.loads(out)["proprietary"] is True
    assert find(facility.database, "FIX").proprietary
    assert granted(facility, "FIX") == {("bob", "*"), ("carol", "objects")}
    root = facility.config.releases / "FIX"
    discard(facility.database, root, "FIX", who="me")
    assert granted(facility, "FIX") == set(), "a later release of that name is not open to them"


def test_a_release_of_the_same_files_inherits_too(home: Path, facility: Facility) -> None:
    status, _, err = run(home, "release", "create", "COPY", "--select", f"tag={TAG}")
    assert status == 0, err
    assert "SECRET is proprietary, therefore COPY is too; data rights taken over: 2" in err
    assert find(facility.database, "COPY").proprietary and granted(facility, "COPY") == granted(
        facility, "SECRET"
    )
    discard(facility.database, facility.config.releases / "COPY", "COPY", who="me")


def test_a_public_erratum_says_what_becomes_visible_and_names_it_nowhere(
    home: Path, facility: Facility
) -> None:
    status, _, err = run(home, "release", "create", "OPENED", "--erratum-of", "SECRET", "--public")
    assert status == 0, err
    with facility.database.read() as conn:
        images = len(store.files(conn, "SECRET", filetype="coadd"))
    assert images and f"OPENED is public: once published, everybody sees its {images} images" in err
    root = facility.config.releases / "OPENED"
    publish(facility.database, root, "OPENED", who="me")
    assert not find(facility.database, "OPENED").proprietary and granted(facility, "OPENED") == set()
    naming = [p for p in root.rglob("*") if p.is_file() and b"SECRET" in p.read_bytes()]
    assert naming == []
    with facility.database.read() as conn:
        record = reader_view(conn, find(facility.database, "OPENED"))
        subject, body = message(record, store.tables(conn, "OPENED"))
    assert "SECRET" not in subject + body


def test_texts_and_tables_of_a_public_release_do_not_bring_a_hidden_one(
    facility: Facility, tmp_path: Path
) -> None:
    database, releases = facility.database, facility.config.releases
    with pytest.raises(UsageError, match="--text names SECRET"):
        create_empty(database, releases / "TOLD", "TOLD", text="As SECRET, but right.", who="me")
    create_empty(database, releases / "MIXED", "MIXED", text="SECRETS of stars", who="me")
    table = releases / "SECRET" / "tables" / "objects"
    with pytest.raises(UsageError, match="comes from SECRET, which is proprietary"):
        add_table(database, releases / "MIXED", "MIXED", "objects", table, ra="ra", dec="dec", who="me")
    rows = iter(objects(20).to_batches())
    add_table(
        database,
        releases / "MIXED",
        "MIXED",
        "o",
        rows,
        ra="ra",
        dec="dec",
        text="Made of SECRET.objects",
        who="me",
    )
    with pytest.raises(UsageError, match="names: table o: it names SECRET"):
        publish(database, releases / "MIXED", "MIXED", who="me")


def test_proprietary_and_public_exclude_each_other(facility: Facility, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not both"):
        create_empty(facility.database, tmp_path / "X", "X", proprietary=True, public=True, who="me")
