"""Make a release: a draft with a name, to which tables and files come."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from desdm.errors import ConflictError, NotFoundError, UsageError
from desdm.release import store
from desdm.release.model import Release
from desdm.schema.database import Database
from desdm.schema.states import ReleaseState

__all__ = ["create_empty"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}\Z")
#: Schemas that mean something else in a query.
_TAKEN = frozenset(
    ("tap_schema", "tap_upload", "ivoa", "mydb", "public", "main", "temp", "information_schema", "system")
)


def create_empty(
    database: Database,
    root: Path,
    name: str,
    *,
    title: str = "",
    text: str = "",
    selection: str = "",
    proprietary: bool = False,
    erratum_of: str | None = None,
    who: str,
) -> Release:
    """Make a draft without data.

    Parameters
    ----------
    root
        Its directory; made.
    erratum_of
        Published release that this one corrects.

    Raises
    ------
    UsageError
        The name cannot be a schema in ADQL.
    ConflictError
        A release of this name stands already.
    NotFoundError
        There is no such release to correct.
    """
    if not _NAME.match(name) or name.lower() in _TAKEN or name.lower().startswith("pg_"):
        raise UsageError(
            f"release {name!r}: at most 32 letters, digits and _, a letter first, and no schema of the services "
            f"({', '.join(sorted(_TAKEN))}): the name is the tables' schema in ADQL"
        )
    made = Release(
        name=name, state=ReleaseState.DRAFT, title=title or name, text=text, selection=selection,
        erratum_of=erratum_of, proprietary=proprietary, created_by=who,
        created_at=datetime.now(UTC).replace(tzinfo=None), frozen_at=None, published_by=None, published_at=None,
        manifest_sha256=None,
    )  # fmt: skip
    with database.write() as conn:
        known = {r.name.lower(): r for r in store.releases(conn)}
        if name.lower() in known:
            raise ConflictError(f"a release {known[name.lower()].name} stands already; take another name")
        if erratum_of is not None:
            corrected = known.get(erratum_of.lower())
            if corrected is None or corrected.state is not ReleaseState.PUBLISHED:
                raise NotFoundError(f"no published release {erratum_of}: an erratum corrects a published one")
        store.insert_release(conn, made)
    root.mkdir(parents=True, exist_ok=True)
    return made
