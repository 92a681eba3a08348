"""What looking up costs: one file by name, ten thousand of an attempt or a type, a planning query, N and 10 N files."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from common import clock, emit, workplace
from desdm.archive import catalog
from desdm.archive.archive import Archive
from desdm.schema import desfile, file_archive_info, image, pfw_attempt, pfw_request, pfw_unit, task
from desdm.schema.database import Database
from desdm.schema.upgrade import upgrade

#: Rubin Butler 30 (measured on a machine of this kind): find_dataset, and query_datasets of all 10,000.
PEER_ONE, PEER_ALL = 5.7, 171.0
_BANDS = "grizY"


def filled(folder: Path, attempts: int, each: int) -> Database:
    """A catalogue of ``attempts`` good attempts of ``each`` images."""
    database = Database(f"sqlite:///{folder}/desdm.sqlite")
    upgrade(database)
    now = datetime.now(UTC).replace(tzinfo=None)
    with database.write() as conn:
        catalog.define(conn, Archive("primary", folder / "archive"))
        conn.execute(
            insert(pfw_request), {"reqnum": 1, "project": "OPS", "campaign": "C", "pipeline": "finalcut"}
        )
        for a in range(attempts):
            unit, number = f"D{a:08d}", a + 1
            conn.execute(insert(task), {"id": number, "name": "run", "info_table": "pfw_attempt"})
            conn.execute(insert(pfw_unit), {"reqnum": 1, "unitname": unit})
            conn.execute(
                insert(pfw_attempt),
                {
                    "id": number, "reqnum": 1, "unitname": unit, "attnum": 1, "task_id": number, "state": "done",
                    "data_state": "NEW", "operator": "bench", "pipeprod": "finalcut", "pipever": "1", "submittime": now,
                    "numexpblk": 1, "numexpjobs": 1, "numexpwrap": 1, "archive_path": unit, "fingerprint": "0" * 64,
                },
            )  # fmt: skip
            rows = [_rows(a * each + i + 1, number, unit) for i in range(each)]
            for table, k in ((desfile, 0), (file_archive_info, 1), (image, 2)):
                conn.execute(insert(table), [row[k] for row in rows])
    return database


def _rows(number: int, attempt: int, unit: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    name = f"{unit}_r_c{number % 62 + 1:02d}_{number:07d}_r1p01_immask.fits"
    return (
        {
            "id": number, "filename": name, "compression": ".fz", "filetype": "red_immask", "filesize": 1100,
            "sha256": f"{number:064x}", "md5sum": f"{number:032x}", "pfw_attempt_id": attempt,
        },
        {"desfile_id": number, "archive_name": "primary", "path": f"OPS/finalcut/{unit}", "state": "ok"},
        {
            "desfile_id": number, "expnum": attempt, "ccdnum": number % 62 + 1, "band": _BANDS[number % 5],
            "nite": "20160101",
            "ra_cent": number % 360, "dec_cent": -30.0, "racmin": number % 360, "racmax": number % 360 + 0.1,
            "deccmin": -30.1, "deccmax": -30.0, "crossra0": "N",
        },
    )  # fmt: skip


def look(attempts: int, each: int, rounds: int = 300) -> None:
    """Every figure on a catalogue of ``attempts`` × ``each`` files."""
    count = attempts * each
    database = filled(workplace(), attempts, each)
    with database.read() as conn:
        names = [f.name for f in catalog.files(conn, attempt=1, limit=rounds)]
        catalog.by_name(conn, names[0])
        with clock() as one:
            for each_name in names:
                assert catalog.by_name(conn, each_name) is not None
    emit("lookup.by_name", one.cpu / len(names) * 1e3, "CPU ms", count, peer=PEER_ONE)
    with clock() as opened:
        for each_name in names:
            with database.read() as conn:
                catalog.by_name(conn, each_name)
    emit("lookup.by_name_with_transaction", opened.cpu / len(names) * 1e3, "CPU ms", count, peer=PEER_ONE)
    with database.read() as conn:
        catalog.files(conn, attempt=1, limit=1)
        with clock() as many:
            found = catalog.files(conn, attempt=1)
        emit(
            "lookup.files",
            many.cpu * 1e3 * 10_000 / len(found),
            "CPU ms/10,000 rows",
            count,
            peer=PEER_ALL,
        )
        with clock() as asked:
            rows = catalog.find(conn, {"filetype": "red_immask", "expnum": "1", "band": "g,r,i,z,Y"})
        assert len(rows) == len(found)
        emit(
            "lookup.find",
            asked.cpu * 1e3 * 10_000 / len(rows),
            "CPU ms/10,000 rows",
            count,
            peer=PEER_ALL,
        )
        catalog.find(conn, {"filetype": "red_immask", "expnum": "1", "ccdnum": "4"})
        with clock() as some:
            rows = catalog.find(conn, {"filetype": "red_immask", "expnum": "1", "ccdnum": "5"})
        emit("lookup.find_ccd", some.cpu * 1e3, "CPU ms", count)
        catalog.find(conn, {"filetype": "red_immask", "region": "20,-30,0.2"})
        with clock() as sky:
            rows = catalog.find(conn, {"filetype": "red_immask", "region": "10,-30,0.2"})
        emit("lookup.region", sky.cpu * 1e3, "CPU ms", count)
    database.close()


def main() -> None:
    """Every figure."""
    look(1, 10_000)
    look(10, 10_000)


if __name__ == "__main__":
    main()
