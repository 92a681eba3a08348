"""desdm exclude: exposures and CCDs that calibrations and coadds must not use."""

from __future__ import annotations

import click

from desdm.cli.context import CommandContext, json_option, pass_command_context
from desdm.cli.findings import print_holders
from desdm.cli.names import EXPOSURE


@click.command()
@click.argument("expnum", type=EXPOSURE, required=False)
@click.option("--ccd", "ccdnum", type=click.IntRange(min=1), help="Only this CCD of it.")
@click.option(
    "--lift", "lifting", is_flag=True, help="Lift the exclusion; without --ccd all that are in force."
)
@click.option("--reason", default="", help="Why.")
@click.option(
    "--effect", is_flag=True, help="List the runs, tags and releases that it concerns; write nothing."
)
@click.option("--all", "everything", is_flag=True, help="List lifted exclusions too.")
@json_option
@pass_command_context
def command(
    context: CommandContext,
    expnum: int | None,
    ccdnum: int | None,
    lifting: bool,
    reason: str,
    effect: bool,
    everything: bool,
    as_json: bool,
) -> None:
    """Exclude EXPNUM (or one CCD of it) from calibrations and coadds; without EXPNUM list all."""
    from desdm.archive import store
    from desdm.cli.tag import notes_of, print_retagged
    from desdm.errors import UsageError
    from desdm.operations.acceptance import TagChange, exclude_exposure, lift_exclusion
    from desdm.release.holders import Holder, holders_of_exposure

    if effect:
        if expnum is None or lifting or reason:
            raise UsageError("--effect only lists: desdm exclude EXPNUM [--ccd C] --effect")
        _show_effect(context, expnum, ccdnum or 0, as_json)
        return
    facility = context.facility
    scope, who = facility.production, facility.config.operator
    changed = TagChange()
    affected: list[Holder] = []
    if expnum is None and (lifting or reason or ccdnum is not None):
        raise UsageError("say which exposure: desdm exclude EXPNUM [--ccd C] [--lift] --reason TEXT")
    if expnum is not None:
        with facility.database.write() as conn:
            if lifting:
                changed = lift_exclusion(conn, expnum, ccdnum, reason=reason, who=who, scope=scope)
            else:
                changed = exclude_exposure(conn, expnum, ccdnum or 0, reason=reason, who=who, scope=scope)
    with facility.database.read() as conn:
        rows = store.excluded(conn, lifted=everything or lifting)
        if expnum is not None and not lifting:
            affected = holders_of_exposure(conn, facility.config.releases, expnum, ccdnum or 0)
    cells = [
        (
            r["expnum"],
            r["ccdnum"] or "all",
            r["reason"],
            r["analyst"],
            r["since"],
            f"{r['lifted_by']}: {r['lift_reason']}" if r["lifted_at"] else "",
        )
        for r in rows
    ]

    def human() -> None:
        context.table(
            ("EXPNUM", "CCD", "WHY", "BY", "SINCE", "LIFTED BY"), cells, empty="no exposure is excluded"
        )
        print_retagged(changed)
        print_holders(affected)

    releases = [holder.release for holder in affected]
    notes = notes_of(changed, affected)
    document = [
        {**row, "releases": releases, "notes": notes}
        if row["expnum"] == expnum
        else {**row, "releases": [], "notes": []}
        for row in rows
    ]
    context.show(document, human, as_json)


def _show_effect(context: CommandContext, expnum: int, ccdnum: int, as_json: bool) -> None:
    """Print the runs, tags and releases that an exclusion of an exposure concerns."""
    from desdm.operations.effect import effect_of_exposure

    facility = context.facility
    with facility.database.read() as conn:
        effect = effect_of_exposure(conn, facility.config.releases, expnum, ccdnum)
    document = {
        "expnum": expnum,
        "attempts": [
            {
                "attempt": a.run,
                "pipeline": a.pipeline,
                "state": a.state,
                "data_state": a.data_state,
                "used": a.used,
                "outdated": a.outdated,
                "tags": list(a.tags),
            }
            for a in effect.attempts
        ],
        "tags": sorted({tag for a in effect.attempts for tag in a.tags}),
        "releases": [{"release": h.release, "state": h.state.value} for h in effect.releases],
    }
    plans = {None: "unknown", True: "before a change", False: "as it is now"}
    rows = [
        (a.run, a.pipeline, a.state, "yes" if a.used else "no", plans[a.outdated], ", ".join(a.tags))
        for a in effect.attempts
    ]

    def human() -> None:
        heads = ("RUN", "PIPELINE", "STATE", "USED IT", "PLANNED", "TAGS")
        context.table(heads, rows, empty="no run used it or was planned with it")
        print_holders(list(effect.releases))

    context.show(document, human, as_json)
