"""Small products whose contents go into tables when they are registered: verdicts and zero points."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from desdm.quality.qa import store
from desdm.schema import EVALUATIONS

__all__ = ["CONTENTS", "Maker", "evaluation"]

#: What is known of the run that produced the file: id, run, pipeline, operator.
Maker = Mapping[str, Any]

_NUMBERS = (
    "t_eff",
    "f_eff",
    "b_eff",
    "c_eff",
    "fwhm_asec",
    "ellipticity",
    "skybrightness",
    "cloud",
    "n_match",
    "depth",
    "astrom_rms",
    "magzero",
)


def evaluation(values: Mapping[str, Any]) -> dict[str, str | int | float | datetime | None]:
    """A row of an evaluation table from the verdict that a run wrote (``qa_assess``)."""
    row = {key: values.get(key) for key in _NUMBERS}
    return row | {
        "exposurename": values["exposurename"],
        "expnum": int(values["expnum"]),
        "nite": values.get("nite"),
        "band": values.get("band"),
        "camsym": str(values.get("camsym", "D")),
        "processed": str(values.get("processed", "True")),
        "accepted": str(values["accepted"]),
        # DESDM's word first (badF, badT, unkn …), then what it means here.
        "reason": ": ".join(filter(None, (str(values.get("reason") or ""), str(values.get("words") or "")))),
        "program": str(values.get("program", "assess")),
        "analyst": str(values.get("analyst", "assess")),
        "analyst_comment": values.get("analyst_comment"),
        "cloud_catalog": values.get("cloud_catalog"),
        "lastchanged_time": datetime.now(UTC).replace(tzinfo=None),
    }


def _verdict(conn: Connection, path: Path, maker: Maker) -> None:
    """Add the verdict in a JSON file to the table of evaluations of its pipeline."""
    # What is neither cut (a trial pipeline of one's own) is judged as First Cut is.
    table = EVALUATIONS.get(str(maker["pipeline"]), EVALUATIONS["firstcut"])
    values = json.loads(path.read_text("utf-8"))
    store.add_evaluation(conn, table, {**evaluation(values), "pfw_attempt_id": maker["id"]})


def _zeropoints(conn: Connection, path: Path, maker: Maker) -> None:
    """Add the zero points in a FITS table to the database."""
    from astropy.io import fits

    with fits.open(path, memmap=False) as hdus:
        table = next(h for h in hdus if getattr(h, "columns", None) is not None)
        names = {c.lower(): c for c in table.columns.names}
        rows = [
            {
                "imagename": f"{maker['unitname']}_{r[names['band']]}_c{int(r[names['ccdnum']]):02d}",
                "expnum": int(r[names["expnum"]]),
                "ccdnum": int(r[names["ccdnum"]]),
                "band": str(r[names["band"]]).strip(),
                "mag_zero": float(r[names["mag_zero"]]),
                "sigma_mag_zero": _finite(r[names["sigma_mag_zero"]]),
                "nstars": int(r[names["nstars"]]),
                "source": str(r[names["source"]]).strip()[:16],
                "version": str(maker["run"])[:32],
                "flag": int(r[names["flag"]]),
                "pfw_attempt_id": maker["id"],
            }
            for r in table.data
        ]
    store.add_zeropoints(conn, rows)


def _finite(value: float) -> float | None:
    """Return a number as a float; None for NaN and values beyond 1e30."""
    number = float(value)
    return number if number == number and abs(number) < 1e30 else None


#: File type → what takes its contents into the database.
CONTENTS: dict[str, Callable[[Connection, Path, Maker], None]] = {
    "qa_assess": _verdict,
    "zeropoints": _zeropoints,
}
