"""Reads the run's products for plots: astrometric residuals, the object table, depths; what cannot be read is left out."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from desdm.errors import CorruptFile, FileTypeError
from desdm.operations.report.gather import RunFacts
from desdm.survey.bands import band_order

__all__ = ["Depth", "Document", "Objects", "Residuals", "UnreadableFile", "depths", "objects", "residuals"]

Values: TypeAlias = npt.NDArray[np.float64]
_PER_BAND = re.compile(r"(mag_auto|mag_psf|magerr_auto|magerr_psf|spread_model)_(\w+)")


@dataclass(frozen=True, slots=True)
class UnreadableFile:
    """A product that could not be read, and why; the page says so."""

    name: str
    why: str


#: An object of JSON, as a code wrote it: its values are checked where they are read.
Document: TypeAlias = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Residuals:
    """Matched reference stars of one band: offsets in mas, magnitude and its offset."""

    band: str
    dra: Values
    ddec: Values
    mag: Values
    dmag: Values


@dataclass(frozen=True, slots=True)
class Objects:
    """The object tables' columns by band, ``columns[band][name]``, and places in degrees; all of one length."""

    count: int
    ra: Values
    dec: Values
    bands: tuple[str, ...]
    columns: dict[str, dict[str, Values]]

    def column(self, band: str, *names: str) -> Values | None:
        """The first of ``names`` that the band has."""
        return next((self.columns[band][n] for n in names if n in self.columns.get(band, {})), None)


@dataclass(frozen=True, slots=True)
class Depth:
    """Depth of one band, magnitudes; None where it is not known."""

    band: str
    snr10: float | None
    low: float | None
    high: float | None
    sigma01: float | None
    area: float | None
    images: float | None
    exptime: float | None


def residuals(facts: RunFacts, unread: list[UnreadableFile]) -> list[Residuals]:
    """Residuals by band, from the files of type ``astro_check``."""
    gathered: dict[str, list[Residuals]] = {}
    for record in facts.of_type("astro_check"):
        try:
            rows = _residuals_of_file(str(facts.path(record)))
        except (CorruptFile, OSError, ValueError, KeyError) as err:
            unread.append(UnreadableFile(record.name, str(err).strip() or type(err).__name__))
            continue
        if rows.mag.size:
            gathered.setdefault(record.band or rows.band, []).append(rows)
    by_band = []
    for band in sorted(gathered, key=band_order):
        parts = gathered[band]
        by_band.append(
            Residuals(
                band,
                np.concatenate([part.dra for part in parts]),
                np.concatenate([part.ddec for part in parts]),
                np.concatenate([part.mag for part in parts]),
                np.concatenate([part.dmag for part in parts]),
            )
        )
    return by_band


def _residuals_of_file(path: str) -> Residuals:
    """Return the residuals in a file; `ValueError` if a column is missing."""
    import fitsio

    with fitsio.FITS(path) as file:
        header = file[0].read_header()
        rows = file["RESIDUALS"].read()
    if not {"DRA", "DDEC", "MAG", "DMAG"} <= set(rows.dtype.names or ()):
        raise ValueError("its table RESIDUALS lacks DRA, DDEC, MAG or DMAG")
    columns = [np.asarray(rows[name], np.float64) for name in ("DRA", "DDEC", "MAG", "DMAG")]
    return Residuals(str(header.get("BAND", "")).strip(), *columns)


def objects(facts: RunFacts, unread: list[UnreadableFile]) -> Objects | None:
    """Columns of the object tables (Parquet); None if the run has none."""
    parts: list[dict[str, Values]] = []
    count = 0
    for record in facts.of_type("coadd_objects"):
        try:
            rows, columns = _parquet(str(facts.path(record)))
        except (CorruptFile, OSError, ValueError, FileTypeError) as err:
            unread.append(UnreadableFile(record.name, str(err).strip() or type(err).__name__))
            continue
        count += rows
        parts.append(columns)
    if not parts:
        return None
    common = set(parts[0]).intersection(*parts[1:])
    columns_of: dict[str, dict[str, Values]] = {}
    for name in sorted(common):
        match = _PER_BAND.fullmatch(name)
        if match:
            joined = np.concatenate([part[name] for part in parts])
            columns_of.setdefault(match.group(2), {})[match.group(1)] = joined
    nowhere = np.full(count, np.nan)
    ra, dec = (
        np.concatenate([part[name] for part in parts]) if name in common else nowhere
        for name in ("ra", "dec")
    )
    return Objects(count, ra, dec, tuple(sorted(columns_of, key=band_order)), columns_of)


def _parquet(path: str) -> tuple[int, dict[str, Values]]:
    """Return the number of rows of an object table, and its columns of positions and bands."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        columns = [
            name for name in file.schema_arrow.names if _PER_BAND.fullmatch(name) or name in ("ra", "dec")
        ]
        table = file.read(columns=columns)
        rows = file.metadata.num_rows
    return rows, {name: np.asarray(table.column(name).to_numpy(), np.float64) for name in columns}


def depths(facts: RunFacts, unread: list[UnreadableFile]) -> list[Depth]:
    """Depths by band, from the files of type ``coadd_depth``: one band a file, or a list of bands in one."""
    measured = []
    for record in facts.of_type("coadd_depth"):
        try:
            document = json.loads(facts.path(record).read_text("utf-8"))
        except (CorruptFile, OSError, ValueError) as err:
            unread.append(UnreadableFile(record.name, str(err).strip() or type(err).__name__))
            continue
        rows: Sequence[object] = document if isinstance(document, list) else [document]
        for row in rows:
            if isinstance(row, dict):
                measured.append(_depth(row, record.band or ""))
    return sorted(measured, key=lambda d: band_order(d.band))


def _depth(record: Document, band: str) -> Depth:
    """Return the record of a band's depth."""

    def number(*keys: str) -> float | None:
        for key in keys:
            value = record.get(key)
            if isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value):
                return float(value)
        return None

    return Depth(
        str(record.get("band") or band),
        number("snr10"),
        number("snr10_p10"),
        number("snr10_p90"),
        number("mag_at_sigma_0.1"),
        number("area"),
        number("ncombine"),
        number("exptime"),
    )
