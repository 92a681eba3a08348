"""Write the page of a report: gather, draw, fill the template; its security policy forbids every request."""

from __future__ import annotations

from pathlib import Path

from desdm.archive.archive import Archive
from desdm.config import Config
from desdm.operations.report import exposures, pictures, plots, science, tables
from desdm.operations.report.gather import Metric, RunFacts, gather
from desdm.operations.report.lineage_graph import lineage_graph
from desdm.operations.report.pageparts import own_markup, render_page, write_page
from desdm.operations.report.timeline import timeline
from desdm.schema.database import Database

__all__ = ["write_report"]

#: A full list longer than this is not for eyes; the page names the command that lists it.
_MOST_FILES = 10_000
_MOST_MESSAGES = 200


def write_report(database: Database, archive: Archive, config: Config, run: str, out: Path) -> Path:
    """Write the page on a run to ``out``; returns its absolute path.

    The page stands alone: style, script, plots and pictures are in it, and its content-security policy lets it
    ask nothing of any machine.

    Parameters
    ----------
    database, archive, config
        The opened installation.
    run
        Name of the run, ``<unit>_r<request>p<attempt>``; of any pipeline and in any state.
    out
        HTML file; its directory is created. An older one is replaced whole or not at all.

    Raises
    ------
    NotFoundError
        If there is no such run.
    DesdmError
        If the page cannot be written there.
    """
    return write_page(render(gather(database, archive, config, run)), out)


def render(facts: RunFacts) -> str:
    """The page on a run as HTML."""
    return render_page("page.html", _content(facts))


def _content(facts: RunFacts) -> dict[str, object]:
    """Return the values of the page's template."""
    unread: list[science.UnreadableFile] = []
    coadds, coadds_left = pictures.coadds(facts, unread)
    singles, singles_left = pictures.singles(facts, unread)
    groups = facts.groups()
    return {
        "f": facts,
        "colour": pictures.colour(facts, unread),
        "coadds": coadds,
        "coadds_left": coadds_left,
        "singles": singles,
        "singles_left": singles_left,
        "singles_title": pictures.singles_title(facts),
        "judged": _judged(facts, unread),
        "planes": pictures.focal_planes(facts, unread),
        "figures": _figures(facts, unread),
        "metric_rows": tables.metric_rows(facts),
        "modules": tables.modules(facts),
        "failures": tables.failures(facts),
        "filetypes": tables.filetypes(facts),
        "commands": tables.commands(facts),
        "timeline": own_markup(timeline(facts)),
        "lineage": own_markup(lineage_graph(facts)),
        "groups": groups[:_MOST_MESSAGES],
        "groups_left": max(0, len(groups) - _MOST_MESSAGES),
        "levels": {
            name: sum(len(g.messages) for g in groups if g.name == name)
            for name in ("error", "warning", "info")
        },
        "files": facts.files[:_MOST_FILES],
        "files_left": max(0, len(facts.files) - _MOST_FILES),
        "total_files": sum(row.files for row in facts.filetypes),
        "total_bytes": sum(row.bytes for row in facts.filetypes),
        "total_deleted": sum(row.deleted for row in facts.filetypes),
        "cpu": sum(float(s["cpu_s"] or 0) for s in facts.software),
        "unread": unread,
    }


def _judged(facts: RunFacts, unread: list[science.UnreadableFile]) -> list[exposures.AssessedExposure]:
    """Verdicts, their drawings marked as ours."""
    return [
        v._replace(figures=tuple(f._replace(svg=own_markup(f.svg)) for f in v.figures))
        for v in exposures.assessed_exposures(facts, unread)
    ]


def _figures(
    facts: RunFacts, unread: list[science.UnreadableFile]
) -> list[tuple[str, list[plots.Figure], bool]]:
    """Return the plots by section of the page, and whether the section is folded."""
    depth = plots.depth_figure(science.depths(facts, unread))
    table = science.objects(facts, unread)
    of_catalogues = [
        *(plots.object_figures(table) if table is not None else ()),
        *([depth] if depth else ()),
        *plots.residual_figures(science.residuals(facts, unread)),
    ]
    zeros = [
        Metric(
            "header",
            {"expnum": str(e.expnum), "ccdnum": str(e.ccdnum)},
            e.band,
            "mag_zero",
            e.zero,
            "mag",
            "zero point that was used",
        )
        for e in facts.exposures
        if e.zero is not None
    ]
    main_figures, other_figures = plots.metric_figures([*facts.metrics, *zeros])
    sections = [
        ("Catalogues", of_catalogues, False),
        ("Image by image", main_figures, False),
        (f"{len(other_figures)} more numbers, image by image", other_figures, bool(main_figures)),
    ]
    return [
        (name, [f._replace(svg=own_markup(f.svg)) for f in figures], folded)
        for name, figures, folded in sections
        if figures
    ]
