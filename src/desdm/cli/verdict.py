"""desdm verdict: the verdicts on exposures, and a person's own on one."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter

import click

from desdm.cli.context import CommandContext, json_option, pass_command_context
from desdm.cli.findings import print_holders
from desdm.cli.names import EXPOSURE

#: Exposures that a line names.
_NAMED = 5
#: Verdicts of which the lineage is looked at in one list.
_MOST = 1000


@click.command()
@click.argument("expnum", type=EXPOSURE, required=False)
@click.option(
    "--set",
    "accepted",
    type=click.Choice(["True", "False", "Unknown"], case_sensitive=False),
    help="A person's verdict; it stands above programs'.",
)
@click.option("--lift", is_flag=True, help="Withdraw the person's verdict: the program's counts again.")
@click.option("--reason", "--comment", "reason", default="", help="Why; needed with --set and --lift.")
@click.option("--cut", type=click.Choice(["firstcut", "finalcut"]), default="firstcut", show_default=True)
@json_option
@pass_command_context
def command(
    context: CommandContext,
    expnum: int | None,
    accepted: str | None,
    lift: bool,
    reason: str,
    cut: str,
    as_json: bool,
) -> None:
    """Show the verdict that counts of each exposure (or of EXPNUM), give a person's, or withdraw it.

    Column STATE says whether a verdict counts: that of a run whose data are JUNK, or of a trial, does not.
    An accepted exposure that is excluded is not used all the same: column EXCLUDED says so, see desdm exclude.
    Nothing is overwritten. The tags of accepted runs, the plans of coadds and the checks of releases follow at once.
    """
    from desdm.archive.unsound import unsound_attempts
    from desdm.cli.tag import notes_of, print_retagged
    from desdm.errors import UsageError
    from desdm.operations.acceptance import TagChange, set_verdict, withdraw_verdict
    from desdm.quality.qa.exclusions import exclusions, summary, with_exclusions
    from desdm.quality.qa.uncounted import listed_verdict, uncounted, why_no_verdict
    from desdm.quality.qa.verdict import verdicts
    from desdm.release.holders import Holder, holders_of_exposure
    from desdm.schema.states import Verdict

    facility = context.facility
    scope, who = facility.production, facility.config.operator
    changed = TagChange()
    affected: list[Holder] = []
    if accepted is not None or lift:
        if expnum is None:
            raise UsageError("say which exposure: desdm verdict EXPNUM --set … --reason TEXT")
        if accepted is not None and lift:
            raise UsageError("--set gives a verdict and --lift withdraws one; use one of them")
        with facility.database.write() as conn:
            if accepted is not None:
                changed = set_verdict(
                    conn, cut, expnum, Verdict(accepted), reason=reason, who=who, scope=scope
                )
            else:
                changed = withdraw_verdict(conn, cut, expnum, reason=reason, who=who, scope=scope)
    elif reason:
        raise UsageError(
            "--reason goes with --set, which gives a verdict, or with --lift, which withdraws one"
        )
    with facility.database.read() as conn:
        counting = verdicts(conn, cut, None if expnum is None else [expnum], scope)
        numbers = {int(row["expnum"]) for row in counting}
        rows = [listed_verdict(row) for row in counting]
        rows += uncounted(conn, cut, numbers, expnum, scope)
        attempts = [row["pfw_attempt_id"] for row in counting if row["pfw_attempt_id"]]
        # The lineage of every image of a survey is not walked to show a list.
        spoiled = unsound_attempts(conn, attempts) if len(attempts) <= _MOST else {}
        for row in rows:
            row["unsound"] = spoiled.get(row["pfw_attempt_id"] or 0, "")
        rows = with_exclusions(conn, sorted(rows, key=lambda row: row["expnum"]))
        why = "" if rows or expnum is None else why_no_verdict(conn, cut, expnum, scope)
        if expnum is not None and accepted == Verdict.REJECTED.value:
            affected = holders_of_exposure(conn, facility.config.releases, expnum, images=True)
        out = [] if expnum is None else exclusions(conn, [expnum])
    columns = (
        "expnum",
        "band",
        "processed",
        "accepted",
        "reason",
        "t_eff",
        "f_eff",
        "b_eff",
        "c_eff",
        "fwhm_asec",
        "analyst",
        "state",
    )

    def human() -> None:
        context.table(
            [*(c.upper() for c in columns), "EXCLUDED"],
            [[*(r.get(c) for c in columns), summary(r["exclusions"])] for r in rows],
            expendable=("ANALYST", "C_EFF", "B_EFF", "F_EFF", "PROCESSED", "FWHM_ASEC"),
            empty=f"no verdict of {cut} on exposure {expnum}{why and ': ' + why}; desdm verdict lists all"
            if expnum is not None
            else f"no verdict of {cut} yet; next: desdm run night YYYYMMDD",
        )
        for entry in out:
            click.echo(entry.text)
        for unsound, those in groupby(
            sorted((r["unsound"], r["exposurename"]) for r in rows), key=itemgetter(0)
        ):
            names = [name for _, name in those]
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            if unsound:
                click.echo(f"{', '.join(names[:_NAMED])}{more}: not used in coadds: the images are {unsound}")
        print_retagged(changed)
        print_holders(affected)

    releases = [holder.release for holder in affected]
    notes = notes_of(changed, affected)
    context.show([{**row, "releases": releases, "notes": notes} for row in rows], human, as_json)
