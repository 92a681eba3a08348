"""desdm verdict: the verdicts on exposures, and an analyst's own word on one."""

from __future__ import annotations

import click

from desdm.cli.door import Door, json_option, pass_door


@click.command()
@click.argument("expnum", type=int, required=False)
@click.option(
    "--set", "accepted", type=click.Choice(["True", "False", "Unknown"]), help="The analyst's verdict."
)
@click.option("--comment", help="Why; needed with --set.")
@click.option("--cut", type=click.Choice(["firstcut", "finalcut"]), default="firstcut", show_default=True)
@json_option
@pass_door
def command(
    door: Door, expnum: int | None, accepted: str | None, comment: str | None, cut: str, as_json: bool
) -> None:
    """Show the newest verdict of each exposure (or of EXPNUM); an analyst may overrule it, nothing is overwritten."""
    from desdm.quality.qa.verdict import overrule, verdicts

    facility = door.facility
    if accepted is not None:
        with facility.database.write() as conn:
            overrule(conn, cut, expnum, accepted, comment, facility.config.operator)
    with facility.database.read() as conn:
        rows = verdicts(conn, cut, None if expnum is None else [expnum])
    columns = (
        "expnum", "band", "processed", "accepted", "reason", "t_eff", "f_eff", "b_eff", "c_eff", "fwhm_asec",
        "analyst",
    )  # fmt: skip
    door.show(
        rows,
        lambda: door.table([c.upper() for c in columns], [[r[c] for c in columns] for r in rows]),
        as_json,
    )
