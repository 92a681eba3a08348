"""desdm exclude: exposures and CCDs that calibrations and coadds must not use."""

from __future__ import annotations

import click

from desdm.cli.door import Door, json_option, pass_door


@click.command()
@click.argument("expnum", type=int, required=False)
@click.option("--ccd", "ccdnum", type=int, default=0, help="Only this CCD of it.")
@click.option("--reason", help="Why it must not be used.")
@json_option
@pass_door
def command(door: Door, expnum: int | None, ccdnum: int, reason: str | None, as_json: bool) -> None:
    """Put an exposure on the exclude list; without EXPNUM the list is shown."""
    from desdm.archive import store
    from desdm.errors import UsageError

    facility = door.facility
    if expnum is not None:
        if not reason:
            raise UsageError("say why: --reason TEXT")
        with facility.database.write() as conn:
            store.exclude(conn, expnum, ccdnum, reason, facility.config.operator)
    with facility.database.read() as conn:
        rows = store.excluded(conn)
    shown = [
        (r["expnum"], r["ccdnum"] or "all", r["reason"], r["analyst"], str(r["since"])[:19]) for r in rows
    ]
    door.show(rows, lambda: door.table(("EXPNUM", "CCD", "WHY", "BY", "SINCE"), shown), as_json)
