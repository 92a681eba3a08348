"""What a question of ancestry costs: the tip of a history 1,000 and 10,000 files deep, of 10,000 and 100,000 files."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import insert

from common import clock, emit, workplace
from desdm.archive import catalog, provenance
from desdm.archive.archive import Archive
from desdm.schema import desfile, opm_was_derived_from
from desdm.schema.database import Database
from desdm.schema.upgrade import upgrade

WIDTH = 10


def history(folder: Path, depth: int, lattice: bool) -> Database:
    """``depth`` generations of ten files.

    In a chain one file of each generation is the parent of the next generation's ten; in a lattice every file has
    two parents, so that nearly all files are ancestors of the tip.
    """
    database = Database(f"sqlite:///{folder}/desdm.sqlite")
    upgrade(database)
    count = depth * WIDTH
    edges = []
    for level in range(1, depth):
        for k in range(WIDTH):
            child, before = level * WIDTH + k + 1, (level - 1) * WIDTH + 1
            parents = (before + k, before + (k + 1) % WIDTH) if lattice else (before,)
            edges += [{"child_desfile_id": child, "parent_desfile_id": parent} for parent in parents]
    with database.write() as conn:
        catalog.define(conn, Archive("primary", folder / "archive"))
        conn.execute(
            insert(desfile),
            [
                {"id": i, "filename": f"f{i:07d}.fits", "compression": "", "filetype": "misc", "filesize": 1,
                 "sha256": f"{i:064x}", "md5sum": f"{i:032x}"}
                for i in range(1, count + 1)
            ],
        )  # fmt: skip
        conn.execute(insert(opm_was_derived_from), edges)
    return database


def ask(depth: int, lattice: bool) -> None:
    """Ancestors of the tip, descendants of the root."""
    count = depth * WIDTH
    kind = "lattice" if lattice else "chain"
    database = history(workplace(), depth, lattice)
    with database.read() as conn:
        provenance.ancestors(conn, 1)
        best = {}
        for what, question, start in (
            ("ancestors", provenance.ancestors, count),
            ("descendants", provenance.descendants, 1),
        ):
            for _ in range(5):
                with clock() as spent:
                    found = question(conn, start)
                best[what] = min(best.get(what, spent.cpu), spent.cpu)
            emit(f"lineage.{what}.{kind}.{len(found)}", best[what] * 1e3, "CPU ms", count)
        with clock() as whole:
            provenance.lineage(conn, f"f{count:07d}.fits")
        emit(f"lineage.whole.{kind}", whole.cpu * 1e3, "CPU ms", count)
    database.close()


def main() -> None:
    """Every figure."""
    for depth in (1000, 10_000):
        ask(depth, lattice=False)
    ask(1000, lattice=True)


if __name__ == "__main__":
    main()
