"""Wrapper of ``objects``: the tile's object catalogue as Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from astropy.io import fits

from desdm.codes.detection.sextractor import objects as read_objects
from desdm.codes.objects.merge import Column, merge
from desdm.codes.provenance import stamp
from desdm.errors import ProgramFailed
from desdm.framework.wrapper import Task
from desdm.survey.bands import band_order

__all__ = ["objects"]


def objects(task: Task) -> None:
    """Merge ``catalogs`` (coadd_cat, a file a band) into ``objects`` (Parquet, file type coadd_objects)."""
    by_band = {}
    tile = ""
    for path in task.inputs.get("catalogs", ()):
        head = fits.getheader(path, 0)
        by_band[str(head["BAND"])] = path
        tile = str(head.get("TILENAME", tile))
    if not by_band:
        raise ProgramFailed(f"{task.name}: no catalogue to merge")
    bands = sorted(by_band, key=band_order)
    columns = merge({band: read_objects(by_band[band]) for band in bands}, tile)
    card = fits.Header()
    stamp(card, task.keys, task.execs, task.output("objects").name)
    facts = {k: str(v) for k, v in card.items()}
    write_parquet(task.output("objects"), columns, {**facts, "TILENAME": tile, "BANDS": ",".join(bands)})
    task.metric("nobjects", len(columns[0].values), text="objects of the tile")
    for band in bands:
        errors = next(c.values for c in columns if c.name == f"magerr_psf_{band}")
        task.metric(
            "nsnr10", float((errors < 0.1086).sum()), band=band, text="objects with S/N above 10 in the band"
        )
        auto = next(c.values for c in columns if c.name == f"magerr_auto_{band}")
        # 1.0857 mag is one magnitude of a relative error of 1: S/N 3 is an error of 0.362 mag.
        text = "objects seen in the band: S/N above 3 in the Kron aperture"
        task.metric("ndetected", float((auto < 1.0857 / 3).sum()), band=band, text=text)


def write_parquet(path: Path, columns: Sequence[Column], facts: dict[str, str]) -> None:
    """Write columns with text, unit and UCD as field metadata, and ``facts`` as the table's metadata.

    Parameters
    ----------
    path
        File to write.
    columns
        Values with name, text, unit and UCD, all of one length.
    facts
        Key → value, metadata of the table.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    fields, arrays = [], []
    for column in columns:
        values = column.values
        array = pa.array(values.tolist()) if values.dtype.kind in "US" else pa.array(values)
        extra = {"description": column.text, "unit": column.unit, "ucd": column.ucd}
        fields.append(pa.field(column.name, array.type, metadata={k: v for k, v in extra.items() if v}))
        arrays.append(array)
    schema = pa.schema(fields, metadata={**facts, "sorted_by": "hpix29", "hpix_order": "29"})
    pq.write_table(
        pa.Table.from_arrays(arrays, schema=schema),
        path,
        compression="zstd",
        sorting_columns=[pq.SortingColumn(0)],
    )
