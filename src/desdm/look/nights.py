"""A night: its exposures with their verdicts, and how seeing, sky and clouds went."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from astropy.table import MaskedColumn, Table
from sqlalchemy import Connection
from typing_extensions import override

from desdm.errors import NotFoundError
from desdm.facility import Facility
from desdm.framework.watch import store as watch
from desdm.look import store
from desdm.look.display import Drawing, Panel, draw_panels
from desdm.look.installation import listed
from desdm.operations.report.plots import band_style
from desdm.operations.report.svg import Plot, number_text
from desdm.quality.qa.exclusions import Exclusion, exclusions
from desdm.quality.qa.verdict import Standing, standings, verdicts
from desdm.schema import EVALUATIONS
from desdm.schema.evaluation import EvaluationRow
from desdm.schema.states import Verdict
from desdm.schema.store import exposure_name
from desdm.survey.bands import band_order

__all__ = ["Night", "read_night"]

#: Numbers that `Night.trends` can draw: title and unit.
_TRENDS = {
    "t_eff": ("Effective over real exposure time", ""),
    "fwhm_asec": ("Seeing", "arcsec"),
    "skybrightness": ("Sky", "electron / (s pix)"),
    "cloud": ("Clouds", "mag"),
    "airmass": ("Airmass", ""),
    "ellipticity": ("Ellipticity of the PSF", ""),
    "depth": ("Depth (error 0.1)", "mag"),
    "astrom_rms": ("Astrometric scatter", "mas"),
    "magzero": ("Zero point", "mag"),
}
_USUAL = ("t_eff", "fwhm_asec", "skybrightness", "cloud")
#: Types of observation that are judged.
_SKY = ("object", "standard")
#: UT hour at which no night is under way at the telescope's site.
_NOON = 16.0


@dataclass(frozen=True)
class Night:
    """A night.

    Attributes
    ----------
    nite
        YYYYMMDD.
    exposures
        Exposures of the sky: expnum, UT hour, band, title, exptime, airmass, the verdict that counts with its reason, the
        numbers of the latest cut, what is excluded, and the newest run. Numbers that are not known are masked.
    calibrations
        The other frames: expnum, type of observation, band, exposure time.
    """

    nite: str
    exposures: Table = field(repr=False, compare=False)
    calibrations: Table = field(repr=False, compare=False)

    def trends(self, *names: str) -> Drawing:
        """Draw numbers of the exposures over the night; open markers are exposures that are not accepted.

        Parameters
        ----------
        *names
            Columns of `exposures`; none: t_eff, seeing, sky and clouds.

        Raises
        ------
        NotFoundError
            There is no such number, or no exposure has any; the message names those that exist.
        """
        known = [name for name in _TRENDS if not all(self.exposures[name].mask)]
        for name in names:
            if name not in known:
                raise NotFoundError(
                    f"night {self.nite} has no number {name!r}; its numbers: {listed(known, 20)}"
                )
        panels = [_panel(self.exposures, name) for name in names or _USUAL if name in known]
        if not panels:
            raise NotFoundError(
                f"no exposure of night {self.nite} has been assessed; its numbers: {listed(known, 20)}"
            )
        return draw_panels(f"Night {self.nite}", panels)

    @override
    def __str__(self) -> str:
        """Return the night in one line."""
        counts = [
            f"{sum(self.exposures['verdict'] == verdict.name.lower())} {verdict.name.lower()}"
            for verdict in Verdict
        ]
        return f"{self.nite}: {len(self.exposures)} exposures ({', '.join(counts)}), {len(self.calibrations)} calibrations"


def read_night(facility: Facility, nite: str) -> Night:
    """Return a night; see `desdm.look.night`."""
    nite = nite.strip().replace("-", "")
    with facility.database.read() as conn:
        frames = {frame.expnum: frame for frame in reversed(store.frames_of_nite(conn, nite))}
        if not frames:
            known = store.nites(conn)
            near = sorted(known, key=lambda one: abs(int(one) - int(nite)) if nite.isdecimal() else 0)[:8]
            raise NotFoundError(
                f"no frame of night {nite} in the archive; the nearest nights: {listed(sorted(near))}"
            )
        ordered = sorted(frames.values(), key=lambda frame: frame.expnum)
        # Images that were delivered without raw frames do not say what they are of: the sky.
        sky = [frame for frame in ordered if (frame.obstype or "object").lower() in _SKY]
        others = [frame for frame in ordered if frame not in sky]
        return Night(nite, _exposures(conn, facility, sky), _calibrations(others))


def _calibrations(frames: Sequence[store.Frame]) -> Table:
    """Return the table of frames that are not of the sky."""
    rows = [(f.expnum, f.obstype or "", f.band or "", f.exptime or 0.0) for f in frames]
    return Table(
        rows=rows or None, names=("expnum", "obstype", "band", "exptime"), dtype=(int, str, str, float)
    )


def _exposures(conn: Connection, facility: Facility, frames: Sequence[store.Frame]) -> Table:
    """Return the table of exposures of the sky."""
    numbers, scope = [frame.expnum for frame in frames], facility.production
    judged = standings(conn, numbers, scope)
    rows: dict[int, EvaluationRow] = {}
    for cut in EVALUATIONS:
        rows.update({row["expnum"]: row for row in verdicts(conn, cut, numbers, scope)})
    excluded: dict[int, list[Exclusion]] = {}
    for one in exclusions(conn, numbers):
        excluded.setdefault(one.expnum, []).append(one)
    names = ",".join(exposure_name(number) for number in numbers)
    newest: dict[str, str] = {}
    for run in watch.runs(conn, {"unitname": names}, None) if names else ():
        newest.setdefault(run.run.rpartition("_r")[0], run.run)
    table = Table(
        {
            "expnum": numbers,
            "ut": _numbers([None if f.mjd_obs is None else f.mjd_obs % 1 * 24 for f in frames], "h"),
            "band": [f.band or "" for f in frames],
            "title": [f.title or "" for f in frames],
            "exptime": _numbers([f.exptime for f in frames], "s"),
            "airmass": _numbers([f.airmass for f in frames], ""),
            "verdict": [_verdict(judged.get(n)).name.lower() for n in numbers],
            "reason": [judged[n].overall[1].strip() if n in judged else "" for n in numbers],
            "excluded": [
                ", ".join(f"CCD {o.ccdnum}" if o.ccdnum else "yes" for o in excluded.get(n, ()))
                for n in numbers
            ],
            "run": [newest.get(exposure_name(n), "") for n in numbers],
        }
    )
    for name, (_, unit) in _TRENDS.items():
        if name != "airmass":
            values = [_number(rows[n], name) if n in rows else None for n in numbers]
            table.add_column(_numbers(values, unit), name=name, index=table.colnames.index("excluded"))
    return table


def _verdict(standing: Standing | None) -> Verdict:
    """Return the verdict that counts."""
    return Verdict.UNKNOWN if standing is None else standing.overall[0]


def _number(row: EvaluationRow, name: str) -> float | None:
    """Return a number of an evaluation."""
    value = row.get(name)
    return float(value) if isinstance(value, int | float) else None


def _numbers(values: Sequence[float | None], unit: str) -> MaskedColumn:
    """Return a column of numbers, masked where there is none."""
    missing = [value is None or not math.isfinite(value) for value in values]
    return MaskedColumn(
        [value or 0.0 for value in values], mask=missing, dtype=float, unit=unit or None, format=".4g"
    )


def _panel(exposures: Table, name: str) -> Panel:
    """Draw a number over the UT hours of a night, in the colours of the bands."""
    title, unit = _TRENDS[name]
    known = exposures[~exposures[name].mask & ~exposures["ut"].mask]
    plot = Plot(title, "UT [h]", f"{name}{f' [{unit}]' if unit else ''}", height=240)
    # A night of Chile lies within one day of UT but for its first evening hours, which stand before 0 h.
    hours = [float(hour) - 24 * (hour > _NOON) for hour in known["ut"]]
    plot.scale_x(hours, pad=0.04)
    plot.scale_y([float(row[name]) for row in known], pad=0.12)
    for row, hour in zip(known, hours, strict=True):
        style = band_style(row["band"])
        accepted = row["verdict"] == Verdict.ACCEPTED.name.lower()
        words = f"{exposure_name(row['expnum'])} {row['band']}: {number_text(float(row[name]))} {unit}, {row['verdict']}"
        plot.marker(
            hour,
            float(row[name]),
            style if accepted else f"open {style}",
            words,
            5.0 if len(known) < 60 else 3.2,
        )
    bands = tuple(sorted({str(row["band"]) for row in known if row["band"]}, key=band_order))
    text = f"{len(known)} of {len(exposures)} exposures; open: not accepted"
    return Panel(title, text, plot.render(), bands)
