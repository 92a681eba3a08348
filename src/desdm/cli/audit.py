"""desdm audit: re-read the archive and report every file that is not as registered."""

from __future__ import annotations

import click

from desdm.cli.door import Door, json_option, pass_door

_CLASSES = {
    "corrupt": "same size, other bytes",
    "truncated": "shorter than registered",
    "grown": "longer than registered",
    "missing": "registered, but not there",
    "orphan": "there, but not registered",
}


@click.command()
@click.option(
    "--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Threads that hash."
)
@json_option
@pass_door
def command(door: Door, workers: int, as_json: bool) -> int:
    """Re-read every byte of the archive and report what is not as registered.

    Exit status 1: something is not.
    """
    from desdm.archive.audit import audit

    facility = door.facility
    with door.progress() as progress:
        bar = progress.add_task("audit", total=None)
        report = audit(
            facility.database,
            facility.archive,
            who=facility.config.operator,
            workers=workers,
            progress=lambda n: progress.advance(bar, n),
        )
    document = {"checked": report.checked, **{name: getattr(report, name) for name in _CLASSES}}

    def human() -> None:
        click.echo(f"{report.checked} files checked, {report.bytes} bytes read")
        for name, text in _CLASSES.items():
            for path in getattr(report, name):
                click.echo(click.style(f"{name}: ", fg="red") + f"{path} ({text})")
        if report.clean:
            click.echo("every file is as registered, and every file is registered")

    door.show(document, human, as_json)
    return 0 if report.clean else 1
