"""The survey table: fields by band with what is accepted and owed, tiles with their depth, a map, and both as files."""

from __future__ import annotations

import math
import tempfile
import threading
from bisect import bisect_right
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from desdm.errors import DesdmError, NotFoundError, UsageError
from desdm.operations.surveytable.current import CurrentTable, current_table
from desdm.operations.surveytable.export import write_table
from desdm.operations.surveytable.model import Coverage, Field, FieldStatus
from desdm.operations.surveytable.sky import SkyCoverage, counting_exposures, write_moc
from desdm.operations.surveytable.summary import PROGRAMMES, Sums, places_of, programme_of, sums_of
from desdm.services.context import Services
from desdm.services.responses import run_blocking
from desdm.survey.bands import BANDS, band_order
from desdm.web.aladin import ALADIN
from desdm.web.desk import desk_routes
from desdm.web.pages.deskforms import filters, query_of
from desdm.web.pages.qa.parts import production
from desdm.web.pages.skymap import places_svg
from desdm.web.qaendpoints import SURVEY, SURVEY_TABLE
from desdm.web.render import page

if TYPE_CHECKING:
    from mocpy import MOC

__all__ = ["routes"]

_LINES = 100
#: Views that are kept with a table.
_VIEWS = 50
#: File → suffix of the writer, and media type.
_FILES = {
    "table.csv": (".csv", "text/csv; charset=utf-8"),
    "table.fits": (".fits", "application/fits"),
    "coverage.moc.fits": (".moc", "application/fits"),
}


@dataclass(frozen=True, slots=True)
class _Filter:
    """Which fields are shown; empty texts: all."""

    band: str
    season: str
    programme: str
    shown: str

    def fits(self, status: FieldStatus) -> bool:
        """Whether a field passes."""
        f = status.field
        return (
            self.band in ("", f.band)
            and self.season in ("", f.season)
            and (not self.programme or programme_of(f) == self.programme)
            and (not self.shown or status.done is (self.shown == "done"))
        )


@dataclass(frozen=True, slots=True)
class _View:
    """The fields that a filter lets pass, sums of the same fields whether done or not, the picture, and its place."""

    fields: Sequence[FieldStatus]
    sums: Sequence[Sums]
    sky: Markup | None
    centre: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class _Table:
    """The survey table as of a time, and views of it."""

    made: CurrentTable
    sky: Callable[[frozenset[int], str], MOC]
    views: dict[_Filter, _View] = field(default_factory=dict)
    files: dict[tuple[str, str], bytes] = field(default_factory=dict)
    writing: threading.Lock = field(default_factory=threading.Lock)

    @property
    def table(self) -> Coverage:
        """The table itself."""
        return self.made.table

    def file(self, suffix: str, band: str) -> bytes:
        """Return the table, or the map of coverage, as a file of a band (empty: all), which is written once."""
        with self.writing:
            if (suffix, band) not in self.files:
                with tempfile.TemporaryDirectory(prefix="desdm-survey-") as folder:
                    path = Path(folder) / f"table{suffix}"
                    if suffix == ".moc":
                        write_moc(path, self.sky(counting_exposures(self.table, band), band))
                    else:
                        write_table(path, [s for s in self.table.fields if band in ("", s.field.band)])
                    self.files[suffix, band] = path.read_bytes()
            return self.files[suffix, band]

    def view(self, chosen: _Filter) -> _View:
        """Return the view of a filter, which is computed once."""
        known = self.views.get(chosen)
        if known is None:
            fields = [s for s in self.table.fields if chosen.fits(s)]
            every = replace(chosen, shown="")
            known = _View(
                fields,
                sums_of(s for s in self.table.fields if every.fits(s)),
                places_svg(places_of(fields)),
                _centre([s.field for s in fields]),
            )
            if len(self.views) < _VIEWS:
                self.views[chosen] = known
        return known


class _Tables:
    """Keeps views and files of the survey table, as long as that is the table of now."""

    def __init__(self, services: Services) -> None:
        self._services, self._scope = services, production(services)
        self._lock = threading.Lock()
        self._last: _Table | None = None
        self._drawing = threading.Lock()
        self._maps: dict[str, SkyCoverage] = {}

    def current(self) -> _Table:
        """Return the survey table of now."""
        made = current_table(self._services.database, self._scope)
        with self._lock:
            if self._last is None or self._last.made is not made:
                self._last = _Table(made, self._sky)
            return self._last

    def _sky(self, exposures: frozenset[int], band: str) -> MOC:
        """Return what exposures of a band (empty: all) cover; a map that grows is not drawn anew."""
        with self._drawing, self._services.database.read() as conn:
            return self._maps.setdefault(band, SkyCoverage()).of(conn, exposures)


def routes(services: Services) -> list[BaseRoute]:
    """Routes of the page and its files."""
    tables = _Tables(services)

    def warm() -> None:
        """Compute the table before anybody asks for it."""
        with suppress(DesdmError):
            tables.current().view(_Filter("", "", "", ""))

    services.pool.submit(warm)

    async def survey(request: Request) -> Response:
        values = filters(request, SURVEY)
        band, season = values.text("BAND").strip(), values.text("SEASON").strip()
        programme, shown = values.text("PROGRAMME"), values.text("SHOW")
        picked = _Filter(band, season, programme, shown)
        after, tile = values.text("AFTER").strip(), values.text("TILE").strip().upper()

        def make() -> Response:
            current = tables.current()
            table = current.table
            view = current.view(picked)
            fields = view.fields
            start = _after(fields, table.fields, after)
            lines = fields[start : start + _LINES]
            names = [one.tilename for one in table.tiles]
            first = bisect_right(names, tile) if tile else 0
            chosen = {"band": band, "season": season, "programme": programme, "show": shown}
            more = len(fields) > start + _LINES
            return page(
                request,
                "survey.html",
                as_of=current.made.as_of,
                total=len(fields),
                planned=len(table.fields),
                sums=view.sums,
                lines=lines,
                more=query_of({**chosen, "after": lines[-1].field.name}) if more else "",
                start=start,
                tiles=table.tiles[first : first + _LINES],
                tile_count=len(table.tiles),
                more_tiles=query_of({**chosen, "tile": table.tiles[first + _LINES - 1].tilename})
                if len(table.tiles) > first + _LINES
                else "",
                elsewhere=len(table.elsewhere),
                elsewhere_accepted=sum(e.counts for e in table.elsewhere),
                chosen=chosen,
                query=query_of(chosen),
                bands=sorted({s.field.band for s in table.fields}, key=band_order),
                seasons=sorted({s.field.season for s in table.fields} - {""}),
                programmes=list(PROGRAMMES)[::-1],
                sky=view.sky,
                aladin=(ALADIN / "aladin.js").is_file(),
                view=view.centre,
            )

        return await run_blocking(services, make)

    async def table(request: Request) -> Response:
        name = str(request.path_params["name"])
        if name not in _FILES:
            raise NotFoundError(f"there is nothing at {request.url.path}; there are {', '.join(_FILES)}")
        band = filters(request, SURVEY_TABLE).text("BAND").strip()
        if band and band not in BANDS:
            raise UsageError(f"band {band[:8]} is none of {', '.join(BANDS)}")
        suffix, media_type = _FILES[name]

        def make() -> Response:
            content = tables.current().file(suffix, band)
            shown = f"{'coverage' if suffix == '.moc' else 'survey'}{f'_{band}' if band else ''}"
            ending = name.partition(".")[2]
            headers = {
                "Content-Disposition": f'attachment; filename="{shown}.{ending}"',
                "Cache-Control": "no-cache",
            }
            return Response(content, media_type=media_type, headers=headers)

        # Not among the threads of pages: a map of coverage takes seconds.
        return await services.threads.run(make)

    return desk_routes([(SURVEY, survey), (SURVEY_TABLE, table)])


def _after(fields: Sequence[FieldStatus], every: Sequence[FieldStatus], name: str) -> int:
    """Return the place in a list after a field, which may be in another list only: it was done meanwhile."""
    if not name:
        return 0
    known = next((s.field for s in every if s.field.name == name), None)
    if known is None:
        return 0
    key: Callable[[FieldStatus], tuple[int, str, int, str]] = lambda s: _order(s.field)  # noqa: E731
    return bisect_right(fields, _order(known), key=key)


def _order(field: Field) -> tuple[int, str, int, str]:
    """Return the order of the plan."""
    return field.priority, field.hex, field.tiling, field.band


def _centre(fields: Sequence[Field]) -> tuple[float, float, float]:
    """Return right ascension, declination and width of a map of some fields, degrees."""
    if not fields:
        return 0.0, 0.0, 180.0
    x = y = z = 0.0
    for f in fields:
        ra, dec = math.radians(f.ra), math.radians(f.dec)
        x, y, z = (
            x + math.cos(dec) * math.cos(ra),
            y + math.cos(dec) * math.sin(ra),
            z + math.sin(dec),
        )
    length = math.sqrt(x * x + y * y + z * z) or 1.0
    ra0, dec0 = math.degrees(math.atan2(y, x)) % 360, math.degrees(math.asin(z / length))
    # Far from each other the mean is short: then the whole sky is shown.
    spread = 2 * math.degrees(math.acos(min(1.0, length / len(fields)))) + 4.0
    return ra0, dec0, min(180.0, 2.2 * spread)
