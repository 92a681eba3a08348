"""An exposure and its CCDs: what counts of it, and what the run that stands made of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import Connection
from typing_extensions import override

from desdm.archive import catalog
from desdm.archive.catalogfile import CatalogFile
from desdm.archive.filetypes import BY_NAME
from desdm.errors import NotFoundError
from desdm.facility import Facility
from desdm.framework.watch import store as watch
from desdm.look import store
from desdm.look.display import Drawing, Panel, Picture, draw_panels, picture_of
from desdm.look.focalplane import draw_focalplane
from desdm.look.images import Image
from desdm.look.installation import file_record, listed, verified_path
from desdm.look.numbers import named, names_of, outlines
from desdm.look.runs import Run, read_run
from desdm.look.tables import read_table
from desdm.operations.report.exposures import PSF_TITLE, ZEROS_TITLE
from desdm.operations.report.gather import Metric
from desdm.operations.report.plots import residual_figures
from desdm.operations.report.science import Residuals
from desdm.quality.qa.exclusions import Exclusion, exclusions
from desdm.quality.qa.verdict import standings, verdicts
from desdm.release.model import Problem
from desdm.release.problems import problems
from desdm.schema import EVALUATIONS
from desdm.schema.states import Verdict
from desdm.schema.store import exposure_name

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["Ccd", "Exposure", "read_exposure"]

#: File types of the objects of a CCD, in the order of preference.
_CATALOGUES = ("cat_finalcut", "cat_firstcut", "cp_catalog")


@dataclass(frozen=True)
class Ccd(Image):
    """One CCD of an exposure.

    Attributes
    ----------
    expnum, ccdnum
        Exposure and CCD.
    metrics
        Numbers of the CCD, by the names that `Exposure.metric` knows.
    files
        File type → name of the file of the CCD that the same run made.
    """

    expnum: int
    ccdnum: int
    metrics: Mapping[str, float] = field(repr=False)
    files: Mapping[str, str] = field(repr=False)

    @cached_property
    def catalog(self) -> Table:
        """Objects of the CCD."""
        name = next((self.files[kind] for kind in _CATALOGUES if kind in self.files), None)
        if name is None:
            what = f"{exposure_name(self.expnum)}, CCD {self.ccdnum}"
            raise NotFoundError(f"{what} has no catalogue; its files: {listed(self.files.values(), 40)}")
        with self.facility.database.read() as conn:
            record = file_record(conn, name)
        return read_table(verified_path(self.facility, record))

    def astrometry(self) -> Drawing:
        """Draw the offsets of positions on this CCD from reference stars; `NotFoundError` if the run has none."""
        return self._residuals("astrometry", slice(0, 2))

    def photometry(self) -> Drawing:
        """Draw the offsets of magnitudes on this CCD from reference stars; `NotFoundError` if the run has none."""
        return self._residuals("photometry", slice(2, None))

    def _residuals(self, what: str, which: slice) -> Drawing:
        """Draw some of the plots of residuals of the stars that lie on this CCD."""
        title = f"{exposure_name(self.expnum)}, CCD {self.ccdnum}  {self.band}: {what}"
        rows = self._residual_rows()
        columns = [np.asarray(rows[name], np.float64) for name in ("DRA", "DDEC", "MAG", "DMAG")]
        figures = residual_figures([Residuals(self.band, *columns)])[which] if len(rows) else []
        if not figures:
            raise NotFoundError(f"{title}: no reference star lies on the CCD")
        return draw_panels(title, [Panel(one.title, one.text, one.svg, one.bands) for one in figures])

    def _residual_rows(self) -> Table:
        """Rows of the residuals of the run whose stars lie on this CCD."""
        with self.facility.database.read() as conn:
            checks = catalog.find(conn, {"attempt": self.run, "filetype": "astro_check"}) if self.run else []
            records = [file_record(conn, file.filename) for file in checks]
        if not records:
            what = f"{exposure_name(self.expnum)}, CCD {self.ccdnum}"
            raise NotFoundError(f"{what}: run {self.run or 'none'} has no residuals (astro_check)")
        rows = read_table(verified_path(self.facility, records[0]), "RESIDUALS")
        x, y = self.wcs.all_world2pix(rows["RA"], rows["DEC"], 0, quiet=True)
        wide, high = self.header["NAXIS1"], self.header["NAXIS2"]
        return rows[(x > -0.5) & (x < wide - 0.5) & (y > -0.5) & (y < high - 0.5)]


@dataclass(frozen=True)
class Exposure:
    """An exposure.

    Attributes
    ----------
    expnum, name
        Number and name (D00229686).
    nite, band, title
        Night, band, and the title that the observer gave.
    exptime
        Exposure time [s].
    airmass
        Airmass; None: not known.
    verdict, reason
        The verdict that counts, and why.
    t_eff
        Effective over real exposure time, of the latest cut that was judged; None: not known.
    exclusions
        Exclusions in force of the exposure or of CCDs of it.
    problems
        Entries of the problem list about the exposure, its runs and their files; the closed ones too.
    runs
        Runs of the exposure, the newest first.
    """

    expnum: int
    name: str
    nite: str
    band: str
    title: str
    exptime: float | None
    airmass: float | None
    verdict: Verdict
    reason: str
    t_eff: float | None
    exclusions: tuple[Exclusion, ...]
    problems: tuple[Problem, ...]
    runs: tuple[watch.RunRow, ...] = field(repr=False)
    facility: Facility = field(repr=False, compare=False)
    _standing: str = field(repr=False)
    _files: tuple[CatalogFile, ...] = field(repr=False)

    @cached_property
    def run(self) -> Run:
        """The run whose products count.

        Raises
        ------
        NotFoundError
            None stands; the message names the runs that there are.
        """
        if not self._standing:
            known = listed(f"{run.run} ({run.state}, data {run.data_state})" for run in self.runs)
            raise NotFoundError(f"{self.name} has no run that stands; its runs: {known}")
        return read_run(self.facility, self._standing)

    @property
    def ccds(self) -> tuple[int, ...]:
        """Numbers of the CCDs with an image."""
        return tuple(sorted(self._images))

    @property
    def names(self) -> tuple[str, ...]:
        """Names by which `metric` finds numbers of CCDs."""
        return names_of(self._ccd_metrics)

    def metric(self, name: str) -> dict[int, float]:
        """Return a number of each CCD.

        Parameters
        ----------
        name
            Name of the number, see `names`; ``module.name`` where several modules have it.

        Raises
        ------
        NotFoundError
            No number of CCDs has the name; the message lists the names.
        UsageError
            Several modules have it.
        """
        return {int(m.keys["ccdnum"]): m.value for m in named(self._ccd_metrics, name, self.name)}

    def focalplane(self, metric: str) -> Drawing:
        """Draw a number of each CCD over the field, north up and east left; raises as `metric`."""
        values = self.metric(metric)
        one = named(self._ccd_metrics, metric, self.name)[0]
        label = one.name + (f" [{one.unit}]" if one.unit else "")
        return draw_focalplane(f"{self.name}  {self.band}", outlines(self.run.facts), values, label)

    def ccd(self, ccdnum: int) -> Ccd:
        """Return a CCD of the exposure.

        Raises
        ------
        NotFoundError
            It has no image; the message names the CCDs that have one.
        """
        if ccdnum not in self._images:
            raise NotFoundError(
                f"{self.name} has no image of CCD {ccdnum}; it has those of CCD {listed(self.ccds, 70)}"
            )
        file = self._images[ccdnum]
        of_ccd = [m for m in self._ccd_metrics if m.keys["ccdnum"] == str(ccdnum)] if self._standing else []
        numbers = {name: named(of_ccd, name, self.name)[0].value for name in names_of(of_ccd)}
        files = {one.filetype: one.filename for one in self._files if one.ccdnum == ccdnum}
        run = self._standing if file.pfw_attempt_id is not None else ""
        return Ccd(
            file.filename,
            file.filetype,
            file.band or "",
            run,
            self.facility,
            self.expnum,
            ccdnum,
            numbers,
            files,
        )

    def astrometry(self) -> Drawing:
        """Draw the offsets of positions from reference stars; `NotFoundError` if the run has none."""
        figures = self.run.residual_figures()[:2]
        return self.run.draw(f"{self.name}  {self.band}: astrometry", figures, "residuals of positions")

    def photometry(self) -> Drawing:
        """Draw the offsets of magnitudes from reference stars, and the zero points of the CCDs."""
        zeros = [figure for figure in self.run.verdict_figures() if figure.title == ZEROS_TITLE]
        figures = [*self.run.residual_figures()[2:], *zeros]
        return self.run.draw(f"{self.name}  {self.band}: photometry", figures, "residuals of magnitudes")

    def psf(self) -> Drawing:
        """Draw the width and the ellipticity of the PSF over the field; `NotFoundError` if the run has none."""
        figures = [figure for figure in self.run.verdict_figures() if figure.title == PSF_TITLE]
        return self.run.draw(f"{self.name}  {self.band}: PSF", figures, "PSF of CCDs")

    def picture(self, *, size: int = 1100) -> Picture:
        """Return the picture of all CCDs that the run made.

        Parameters
        ----------
        size
            Longer side, pixels.
        """
        name = next((file.name for file in self.run.files if file.filetype == "qa_plot"), None)
        if name is None:
            raise NotFoundError(f"run {self.run.name} has no picture of the exposure (qa_plot)")
        with self.facility.database.read() as conn:
            path = verified_path(self.facility, file_record(conn, name))
        return picture_of(path, mask=False, size=size)

    @cached_property
    def _ccd_metrics(self) -> list[Metric]:
        """Numbers of single CCDs in the run that stands."""
        return [m for m in self.run.metrics if "ccdnum" in m.keys and math.isfinite(m.value)]

    @cached_property
    def _images(self) -> dict[int, CatalogFile]:
        """Image of each CCD: of several the one that comes last in the work; delivered ones where no run has any."""
        order = {kind: i for i, kind in enumerate(BY_NAME)}
        images: dict[int, CatalogFile] = {}
        for file in sorted(self._files, key=lambda file: order.get(file.filetype, -1)):
            if (
                file.table == "image"
                and file.ccdnum is not None
                and file.filetype not in ("cp_mask", "cp_weight")
            ):
                images[file.ccdnum] = file
        return images

    @override
    def __str__(self) -> str:
        """Return the exposure in a few lines."""
        lines = [
            f"{self.name}  {self.band}  night {self.nite}  {self.title}",
            f"{self.verdict.name.lower()}: {self.reason}",
            f"run {self._standing or 'none stands'} of {len(self.runs)}; CCDs {listed(self.ccds, 70)}",
        ]
        lines += [one.text for one in self.exclusions]
        lines += [f"problem {one.id}: {one.text}" for one in self.problems if one.closed_at is None]
        return "\n".join(lines)

    def _repr_pretty_(self, printer: object, cycle: bool) -> None:
        """Show the exposure in a notebook as ``print`` does."""
        write = getattr(printer, "text", print)
        write("…" if cycle else str(self))


def read_exposure(facility: Facility, expnum: int | str) -> Exposure:
    """Return an exposure; see `desdm.look.exposure`."""
    with facility.database.read() as conn:
        number = _number(conn, expnum)
        name, scope = exposure_name(number), facility.production
        frame = store.frames_of(conn, number)[0]
        standing = standings(conn, [number], scope).get(number)
        verdict, reason = (
            (Verdict.UNKNOWN, "it has not been judged") if standing is None else standing.overall
        )
        t_eff = next(
            (
                row["t_eff"]
                for cut in reversed(tuple(EVALUATIONS))
                for row in verdicts(conn, cut, [number], scope)
            ),
            None,
        )
        runs = tuple(watch.runs(conn, {"unitname": name}, None))
        files = catalog.find(conn, {"expnum": str(number)}, scope=scope)
        run = _run_that_stands(runs, files)
        own = tuple(f for f in files if f.pfw_attempt_id == (run.id if run else None))
        return Exposure(
            number,
            name,
            frame.nite or "",
            frame.band or "",
            frame.title or "",
            frame.exptime,
            frame.airmass,
            verdict,
            reason.strip(),
            t_eff,
            tuple(exclusions(conn, [number])),
            _problems(conn, number, runs, own),
            runs,
            facility,
            run.run if run else "",
            own,
        )


def _number(conn: Connection, expnum: int | str) -> int:
    """Return the number of an exposure that the archive knows."""
    digits = str(expnum).strip().upper().removeprefix("D")
    number = int(digits) if digits.isdecimal() and len(digits) < 10 else None
    if number is not None and store.frames_of(conn, number):
        return number
    known = store.exposure_numbers(conn)
    if not known:
        raise NotFoundError(f"no exposure {expnum} in the archive: it has no image of any exposure")
    near = known if number is None else sorted(known, key=lambda one: abs(one - number))
    hint = (
        f"of {len(known)} in the archive the nearest are"
        if number is not None
        else "there are, for instance,"
    )
    raise NotFoundError(f"no exposure {expnum} in the archive; {hint} {listed(sorted(near[:8]))}")


def _run_that_stands(runs: tuple[watch.RunRow, ...], files: list[CatalogFile]) -> watch.RunRow | None:
    """Return the run of the exposure whose products are found: of the latest cut, of that the newest."""
    producers = {file.pfw_attempt_id for file in files}
    cuts = list(EVALUATIONS)
    standing = [run for run in runs if run.id in producers]
    return max(
        standing, key=lambda r: (cuts.index(r.pipeline) if r.pipeline in cuts else -1, r.id), default=None
    )


def _problems(
    conn: Connection, number: int, runs: tuple[watch.RunRow, ...], files: tuple[CatalogFile, ...]
) -> tuple[Problem, ...]:
    """Return the problems of an exposure, of its runs and of the files of the run that stands."""
    subjects = {
        "exposure": {str(number), exposure_name(number).lower()},
        "attempt": {run.run.lower() for run in runs},
        "file": {file.filename.lower() for file in files},
    }
    return tuple(
        one for one in problems(conn) if one.subject.strip().lower() in subjects.get(one.subject_kind, ())
    )
