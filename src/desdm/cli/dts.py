"""desdm dts: deliveries of the telescope."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from desdm.cli.clockoption import Clock, clock_option
from desdm.cli.context import CommandContext, CommandGroup, json_option, pass_command_context
from desdm.schema.operationstates import DeliveryState

if TYPE_CHECKING:
    from desdm.operations.dts import ArrivalStatus, Delivery, Receiver
    from desdm.operations.dts.model import ExpectedFile

#: Deliveries that are printed one by one.
_MOST = 40

source_option = click.option(
    "--source", default="observatory", show_default=True, metavar="NAME", help="Who sends."
)
manifest_option = click.option(
    "--manifest",
    type=click.Path(path_type=Path, dir_okay=False),
    help="CSV with the columns file and md5; else md5 from FILE.md5.",
)
acks_option = click.option(
    "--acks",
    type=click.Path(path_type=Path, file_okay=False),
    help="Acknowledge into this directory; else FILE.ack beside the file.",
)
reason_option = click.option("--reason", default="", help="Why; needed.")
dry_option = click.option("--dry-run", is_flag=True, help="Say what would be done; write nothing.")


@click.group("dts", cls=CommandGroup)
def command() -> None:
    """Deliveries of the telescope: each has a row before it is judged, and ends in one state."""


def _receiver(context: CommandContext, clock: Clock, acks: Path | None) -> Receiver:
    """Return the receiver of the installation."""
    from desdm.operations.dts import Receiver
    from desdm.operations.dts.places import Places

    facility = context.facility
    return Receiver(facility.database, facility.archive, Places(facility.config.home, acks), clock)


def _document(delivery: Delivery) -> dict[str, object]:
    """Return a delivery as it is written in JSON."""
    return asdict(delivery) | {"waived": sorted(rule.value for rule in delivery.waived)}


@command.command()
@click.argument("files", metavar="FILE…", type=click.Path(path_type=Path), nargs=-1, required=True)
@source_option
@click.option("--md5", metavar="HEX", help="md5 that the sender announces, of one FILE.")
@manifest_option
@acks_option
@clock_option
@json_option
@pass_command_context
def accept(
    context: CommandContext,
    files: tuple[Path, ...],
    source: str,
    md5: str | None,
    manifest: Path | None,
    acks: Path | None,
    clock: Clock,
    as_json: bool,
) -> None:
    """Accept deliveries: enter them, judge them, and take the good ones into the archive.

    Exit status 0: every FILE has a row, whatever it is like; the output says where it stands.
    """
    from desdm.operations.dts.places import SIDECARS
    from desdm.operations.dts.watch import Announced

    if md5 is not None and (len(files) > 1 or len(md5) != 32):
        raise click.BadParameter("32 hexadecimal digits, with one FILE", param_hint="--md5")
    announced = Announced.read(manifest)
    # What a shell's * names beside deliveries: announcements and acknowledgements.
    pairs = [(path, md5 or announced.md5_of(path)) for path in files if not path.name.endswith(SIDECARS)]
    deliveries = _receiver(context, clock, acks).accept(pairs, source)
    context.show([_document(d) for d in deliveries], lambda: _print_deliveries(context, deliveries), as_json)


@command.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, exists=True, file_okay=False))
@source_option
@manifest_option
@acks_option
@click.option("--until-idle", is_flag=True, help="End when every file is judged.")
@click.option(
    "--interval",
    type=click.FloatRange(0.1, 3600),
    default=5.0,
    show_default=True,
    help="Seconds between looks.",
)
@clock_option
@json_option
@pass_command_context
def watch(
    context: CommandContext,
    folder: Path,
    source: str,
    manifest: Path | None,
    acks: Path | None,
    until_idle: bool,
    interval: float,
    clock: Clock,
    as_json: bool,
) -> None:
    """Watch DIR and below: accept what has arrived completely, and go on with what was not judged.

    A file is complete when FILE.done or FILE.md5 stands beside it, or when it did not change between two looks. One
    watcher a directory runs at a time; it may be killed and started again at any moment. With --json one line a delivery.
    """
    import json

    from desdm.operations.dts.watch import Announced
    from desdm.operations.dts.watch import watch as watch_folder

    def tell(delivery: Delivery) -> None:
        """Write a delivery that ended."""
        if as_json:
            sys.stdout.write(json.dumps(_document(delivery), default=str, ensure_ascii=False) + "\n")
            sys.stdout.flush()
        else:
            click.echo(_line(delivery))

    count = watch_folder(
        _receiver(context, clock, acks),
        folder,
        source,
        interval=interval,
        until_idle=until_idle,
        announced=Announced.read(manifest),
        told=tell,
    )
    if not as_json:
        click.echo(f"{count} {'delivery' if count == 1 else 'deliveries'} judged")


@command.command()
@click.argument(
    "lists", metavar="LIST…", type=click.Path(path_type=Path, dir_okay=False), nargs=-1, required=True
)
@source_option
@clock_option
@json_option
@pass_command_context
def expect(
    context: CommandContext,
    lists: tuple[Path, ...],
    source: str,
    clock: Clock,
    as_json: bool,
) -> None:
    """Enter lists of the observatory: which files it has taken, and when they are expected.

    CSV with the columns filename, nite, expnum, expected_at and delivered, JSON with these keys, or the manifest of a
    supernova field (JSON with field, nite and exposures).
    """
    from desdm.operations.dts import import_list

    facility = context.facility
    counts = [
        {
            "list": str(path),
            "files": len(
                import_list(facility.database, path, source=source, who=facility.config.operator, now=clock())
            ),
        }
        for path in lists
    ]

    def human() -> None:
        for one in counts:
            click.echo(f"{one['list']}: {one['files']} files expected")

    context.show(counts, human, as_json)


@command.command()
@click.option("--nite", default="", metavar="YYYYMMDD", help="One night; else the 48 newest.")
@click.option("--all", "everything", is_flag=True, help="All nights.")
@click.option(
    "--allowance",
    type=click.FloatRange(0),
    default=12.0,
    show_default=True,
    help="Hours after the expected time before a file is late.",
)
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=10_000,
    show_default=True,
    help="Deliveries in the JSON document at most.",
)
@click.option("--after", type=click.IntRange(0), default=0, help="Only deliveries after this number.")
@clock_option
@json_option
@pass_command_context
def status(
    context: CommandContext,
    nite: str,
    everything: bool,
    allowance: float,
    limit: int,
    after: int,
    clock: Clock,
    as_json: bool,
) -> None:
    """Show what was expected, delivered and ingested by night, and what is late, missing or quarantined.

    With --json the deliveries come in order of arrival, --limit at once: "next" is the --after of the next ones, null at
    the end. The counts by night are of all deliveries.
    """
    from desdm.operations.dts import arrival_status
    from desdm.operations.dts.status import NITES

    found = arrival_status(
        context.facility.database,
        now=clock(),
        nite=nite,
        most=None if everything else NITES,
        allowance_h=allowance,
    )
    page = [d for d in found.deliveries if d.id > after]
    more = len(page) > limit
    page = page[:limit]
    document = {
        "clock": found.clock.isoformat(),
        "nights": [asdict(night) for night in found.nights],
        "deliveries": [_document(d) for d in page],
        "next": page[-1].id if more else None,
        "expected": [_expected_document(e) for e in found.expected],
    }
    context.show(document, lambda: _print_status(context, found), as_json)


@command.command()
@click.argument("number", type=int)
@reason_option
@acks_option
@dry_option
@clock_option
@json_option
@pass_command_context
def release(
    context: CommandContext,
    number: int,
    reason: str,
    acks: Path | None,
    dry_run: bool,
    clock: Clock,
    as_json: bool,
) -> None:
    """Judge delivery NUMBER, which is quarantined, again: without the rule that refused it, where a person may waive that.

    Checksum, number of images, keywords and proposal may be waived.
    """
    from desdm.operations import dts

    facility = context.facility
    before = dts.release(
        facility.database, number, reason=reason, who=facility.config.operator, dry_run=dry_run
    )
    delivery = before if dry_run else _receiver(context, clock, acks).judge(number)
    _show_decision(context, delivery, "would be judged again: " if dry_run else "", as_json)


@command.command()
@click.argument("number", type=int)
@reason_option
@dry_option
@clock_option
@json_option
@pass_command_context
def dismiss(
    context: CommandContext,
    number: int,
    reason: str,
    dry_run: bool,
    clock: Clock,
    as_json: bool,
) -> None:
    """Decide that delivery NUMBER, which is quarantined, is not needed; its file stays in the quarantine."""
    from desdm.operations import dts
    from desdm.operations.dts import store

    facility = context.facility
    delivery = dts.dismiss(
        facility.database,
        number,
        reason=reason,
        who=facility.config.operator,
        now=clock(),
        dry_run=dry_run,
    )
    if not dry_run:
        with facility.database.read() as conn:
            delivery = store.find_delivery(conn, number) or delivery
    _show_decision(context, delivery, "would be dismissed: " if dry_run else "", as_json)


@command.command()
@click.option(
    "--days", type=click.FloatRange(0), default=90.0, show_default=True, help="Days since the dismissal."
)
@click.option("--go", is_flag=True, help="Remove the files; without it the command says which.")
@reason_option
@clock_option
@json_option
@pass_command_context
def clean(context: CommandContext, days: float, go: bool, reason: str, clock: Clock, as_json: bool) -> None:
    """Remove files from the quarantine whose deliveries were dismissed long ago; the rows of these stay."""
    from desdm.operations.dts.clean import clean_quarantine
    from desdm.operations.dts.paths import printable
    from desdm.operations.dts.places import Places

    facility = context.facility
    found = clean_quarantine(
        facility.database,
        Places(facility.config.home),
        days=days,
        reason=reason,
        who=facility.config.operator,
        now=clock(),
        go=go,
    )
    document = {
        "removed": go,
        "files": [{"delivery": f.delivery.id, "path": str(f.path), "size": f.size} for f in found],
    }

    def human() -> None:
        rows = [(f.delivery.id, printable(f.delivery.filename), f.delivery.checked_at, f.size) for f in found]
        context.table(("DELIVERY", "FILE", "DISMISSED", "BYTES"), rows, empty="no file is that old")
        if found:
            click.echo(f"{len(found)} removed" if go else f"{len(found)} would be removed; to do it add --go")

    context.show(document, human, as_json)


@command.command()
@click.argument("propid", required=False)
@click.option(
    "--programme", default="", help="Programme that PROPID belongs to: survey, supernova, standards …"
)
@click.option("--project", default="", help="Project of its attempts; else that of the installation.")
@click.option("--refuse", is_flag=True, help="Its exposures are not taken: they are quarantined.")
@reason_option
@clock_option
@json_option
@pass_command_context
def propid(
    context: CommandContext,
    propid: str | None,
    programme: str,
    project: str,
    refuse: bool,
    reason: str,
    clock: Clock,
    as_json: bool,
) -> None:
    """Show which proposals are taken, or enter PROPID with its programme.

    As long as none is entered, the exposures of all are taken; from the first on, those of others are quarantined.
    """
    from desdm.operations.dts import Programme, programmes, set_programme

    facility = context.facility
    if propid is not None:
        now = clock()
        entry = Programme(
            propid, programme, project or facility.config.project, not refuse, facility.config.operator, now
        )
        set_programme(facility.database, entry, reason=reason, now=now)
    entries = programmes(facility.database)

    def human() -> None:
        titles = ("PROPID", "PROGRAMME", "PROJECT", "TAKEN", "BY", "SINCE")
        rows = [
            (e.propid, e.programme, e.project, "yes" if e.accept else "no", e.who, f"{e.since:%Y-%m-%d}")
            for e in entries
        ]
        context.table(titles, rows, empty="no proposal is entered: exposures of all are taken")

    context.show([asdict(e) for e in entries], human, as_json)


def _show_decision(context: CommandContext, delivery: Delivery, before: str, as_json: bool) -> None:
    """Show a delivery after a decision."""
    context.show(_document(delivery), lambda: click.echo(before + _line(delivery)), as_json)


def _line(delivery: Delivery) -> str:
    """Return a delivery in one line."""
    from desdm.operations.dts.paths import printable

    code = "" if delivery.reason_code is None else f", {delivery.reason_code.value}: {delivery.reason}"
    return printable(f"delivery {delivery.id}, {delivery.filename}: {delivery.state.value}{code}")


def _print_deliveries(context: CommandContext, deliveries: Sequence[Delivery]) -> None:
    """Print deliveries, those that were not ingested first."""
    counts = Counter(d.state.value for d in deliveries)
    ordered = sorted(deliveries, key=lambda d: d.state is DeliveryState.INGESTED)
    for delivery in ordered[:_MOST]:
        click.echo(_line(delivery))
    if len(ordered) > _MOST:
        click.echo(f"… and {len(ordered) - _MOST} more; see --json")
    click.echo(", ".join(f"{count} {state}" for state, count in sorted(counts.items())))


def _expected_document(expected: ExpectedFile) -> dict[str, object]:
    """Return a file of a list as it is written in JSON."""
    document = asdict(expected)
    listed: dict[str, object] = document.pop("listed")
    return listed | document


def _print_status(context: CommandContext, status: ArrivalStatus) -> None:
    """Print counts by night, and what needs a person."""
    from desdm.operations.dts.paths import printable

    titles = (
        "NITE",
        "EXPECTED",
        "DELIVERED",
        "INGESTED",
        "DUPLICATE",
        "QUARANTINED",
        "DISMISSED",
        "PENDING",
        "LATE",
        "MISSING",
        "EXTRA",
    )
    rows = [tuple(asdict(night).values()) for night in status.nights]
    context.table(
        titles, rows, empty="nothing has arrived; see: desdm dts accept --help, desdm dts watch --help"
    )
    open_ones = [d for d in status.deliveries if d.state is DeliveryState.QUARANTINED or d.open]
    for delivery in open_ones[:_MOST]:
        click.echo(_line(delivery))
    for one in [e for e in status.expected if e.missing][:_MOST]:
        late = ", late" if one.late else ""
        click.echo(
            f"missing{late}: {printable(one.listed.filename)} of night {one.listed.nite}, {one.state.value}"
        )
