"""The footprint of a release: depth maps, MOCs, outlines of tiles and of their images, the table ``footprint``."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.io import fits

from desdm.release.addtable import add_table
from desdm.release.depthmaps import FIELDS, NSIDE, map_rows, merge, write_map
from desdm.release.model import ReleaseColumn
from desdm.release.source import TableSource
from desdm.release.steps import BuildContext, BuiltFile, SelectedFile
from desdm.sky.polygons import Outlines
from desdm.survey.bands import BANDS, band_order

if TYPE_CHECKING:
    from healsparse import HealSparseMap

__all__ = ["COLUMNS", "TABLE", "make"]

#: Name of the table; the functions ``desdm_depth`` … of ADQL read it.
TABLE = "footprint"
COLUMNS = (
    ReleaseColumn(
        "hpix",
        "long",
        ucd="pos.healpix",
        principal=True,
        text="HEALPix cell, order 12 (nside 4096), nested, ICRS",
    ),
    ReleaseColumn("band", "char", "*", ucd="meta.id;instr.bandpass", principal=True, text="Band"),
    ReleaseColumn(
        "depth",
        "float",
        unit="mag",
        ucd="phot.mag",
        principal=True,
        text="AB magnitude of S/N 10 in an aperture of 2 arcsec, at the median noise of the cell's good pixels",
    ),
    ReleaseColumn(
        "nexp",
        "short",
        ucd="meta.number;obs.exposure",
        principal=True,
        text="Exposures that count, mean over the good area, rounded",
    ),
    ReleaseColumn(
        "fraction",
        "float",
        ucd="stat.filling",
        principal=True,
        text="Part of the cell's area under good pixels",
    ),
    ReleaseColumn(
        "ra",
        "double",
        unit="deg",
        ucd="pos.eq.ra;meta.main",
        text="Right ascension of the cell's centre, ICRS",
    ),
    ReleaseColumn(
        "dec", "double", unit="deg", ucd="pos.eq.dec;meta.main", text="Declination of the cell's centre, ICRS"
    ),
)
_SCHEMA = pa.schema(
    [
        ("hpix", pa.int64()),
        ("band", pa.string()),
        ("depth", pa.float32()),
        ("nexp", pa.int16()),
        ("fraction", pa.float32()),
        ("ra", pa.float64()),
        ("dec", pa.float64()),
    ]
)


def make(context: BuildContext) -> list[BuiltFile]:
    """Build the footprint from the selected files of type coadd_footprint; without any, build nothing."""
    parts = context.of_type("coadd_footprint")
    if not parts:
        context.progress(
            "footprint: the selection has no files of type coadd_footprint; the release has none"
        )
        return []
    final = context.root / "footprint"
    context.root.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=".footprint-", dir=context.root))
    try:
        files = _files(context, parts, building)
        shutil.rmtree(final, ignore_errors=True)
        building.rename(final)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return files


def _files(context: BuildContext, parts: Sequence[SelectedFile], out: Path) -> list[BuiltFile]:
    """Write the files of the footprint into a directory, and add the table."""
    heads = [fits.getheader(context.verified_path(p), 0) for p in parts]
    tiles = _tiles(heads)
    outlines = Outlines(np.array([tile.corners for tile in tiles]))
    numbers = {tile.tilename: tile.number for tile in tiles}
    files: dict[str, list[tuple[int, Path]]] = {}
    for part, head in zip(parts, heads, strict=True):
        files.setdefault(str(head["BAND"]), []).append(
            (numbers[head["TILENAME"]], context.verified_path(part))
        )
    bands = sorted(files, key=band_order)
    products: list[BuiltFile] = []
    owners = _Owners()

    def rows() -> Iterator[pa.RecordBatch]:
        # A band's map is merged, written, and handed to the table before the next one takes its memory.
        for band in bands:
            context.progress(f"footprint: {band}, {len(files[band])} tiles")
            whole = merge(sorted(files[band]), outlines)
            write_map(whole, [("BAND", band), ("RELEASE", context.release)], out / f"{band}.hsp")
            products.extend(_moc(whole, band, out))
            owners.add(whole)
            yield from _batches(whole, band)

    add_table(
        context.database,
        context.root,
        context.release,
        TABLE,
        rows(),
        ra="ra",
        dec="dec",
        columns=COLUMNS,
        text="Where the release has seen the sky: a row for each HEALPix cell and band with good pixels",
        who=context.who,
        provenance=TableSource({"made from": sorted(p.record.filename for p in parts)}),
        replace_it=True,
    )
    owners.write(out / "tiles.hsp")
    _outlines(tiles, out)
    _images(context, parts, heads, out / "images.parquet")
    text = "text/plain"
    for name, mime in (
        ("tiles.hsp", "application/fits"),
        ("tiles.json", "application/json"),
        ("tiles.stcs", text),
        ("tiles.reg", text),
        ("images.parquet", "application/vnd.apache.parquet"),
    ):
        products.append(BuiltFile(f"footprint/{name}", "footprint", mime))
    return products


@dataclass(frozen=True, slots=True)
class _Tile:
    """A tile in ``tiles.json``: number, name, bands and corners (degrees)."""

    number: int
    tilename: str
    bands: list[str]
    corners: list[list[float]]


def _tiles(heads: Sequence[fits.Header]) -> list[_Tile]:
    """Return the tiles by name, with the bands of all their files."""
    bands: dict[str, set[str]] = {}
    corners: dict[str, list[list[float]]] = {}
    for head in heads:
        name = str(head["TILENAME"])
        bands.setdefault(name, set()).add(str(head["BAND"]))
        corners.setdefault(name, [[float(head[f"RAC{i}"]), float(head[f"DECC{i}"])] for i in range(1, 5)])
    return [
        _Tile(i, name, sorted(bands[name], key=lambda b: (b not in BANDS, b)), corners[name])
        for i, name in enumerate(sorted(bands))
    ]


def _batches(whole: HealSparseMap, band: str) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a band's map."""
    import hpgeom

    for cells, values in map_rows(whole):
        ra, dec = hpgeom.pixel_to_angle(NSIDE, cells)
        columns = [
            pa.array(cells),
            pa.array([band]).take(pa.array(np.zeros(cells.size, np.int32))),
            *(pa.array(np.ascontiguousarray(values[name])) for name, _ in FIELDS),
            pa.array(ra),
            pa.array(dec),
        ]
        yield pa.record_batch(columns, schema=_SCHEMA)


def _moc(whole: HealSparseMap, band: str, out: Path) -> list[BuiltFile]:
    """Write the cells with good area as MOC (IVOA MOC 2.0), FITS and JSON."""
    from mocpy import MOC

    cells = whole.valid_pixels.astype(np.uint64)
    order = NSIDE.bit_length() - 1
    moc = MOC.from_healpix_cells(cells, np.full(cells.size, order, np.uint8), order)
    # In the numbering that readers of MOC 1.1 know too, with the keyword that it asks for.
    moc.save(str(out / f"{band}.moc.fits"), v1_compatible=True, fits_keywords={"PIXTYPE": "HEALPIX"})
    moc.save(str(out / f"{band}.moc.json"), format="json")
    return [
        BuiltFile(f"footprint/{band}.hsp", "footprint", "application/fits", band=band),
        BuiltFile(f"footprint/{band}.moc.fits", "moc", "application/fits", band=band),
        BuiltFile(f"footprint/{band}.moc.json", "moc", "application/json", band=band),
    ]


class _Owners:
    """The tile of each cell: that of its value in the first band that covers it."""

    def __init__(self) -> None:
        self._cells = np.zeros(0, np.int64)
        self._tiles = np.zeros(0, np.int32)

    def add(self, whole: HealSparseMap) -> None:
        """Add the cells that no earlier map has."""
        cells = whole.valid_pixels
        tiles = (
            np.concatenate([rows["tile"] for _, rows in map_rows(whole)]) if cells.size else self._tiles[:0]
        )
        new = ~np.isin(cells, self._cells, assume_unique=True)
        merged = np.concatenate([self._cells, cells[new]])
        order = np.argsort(merged, kind="stable")
        self._cells = merged[order]
        self._tiles = np.concatenate([self._tiles, tiles[new].astype(np.int32)])[order]

    def write(self, path: Path) -> None:
        """Write the tiles of the cells as a HealSparse map; -1: no tile."""
        from healsparse import HealSparseMap

        covered = np.unique(self._cells >> (2 * (NSIDE // 32).bit_length() - 2))
        whole = HealSparseMap.make_empty(32, NSIDE, np.int32, sentinel=-1, cov_pixels=covered)
        whole.update_values_pix(self._cells, self._tiles)
        whole.write(str(path), clobber=True)


def _outlines(tiles: Sequence[_Tile], out: Path) -> None:
    """Write the tiles' outlines as JSON with names, STC-S (IVOA note 1.33), and DS9 regions, one line a tile."""
    entries = ",\n".join(" " + json.dumps(asdict(tile)) for tile in tiles)
    (out / "tiles.json").write_text(f'{{"tiles": [\n{entries}\n]}}\n', "utf-8")
    stcs, regions = [], ["# Region file format: DS9 version 4.1", "icrs"]
    for tile in tiles:
        corners = [value for corner in tile.corners for value in corner]
        stcs.append("POLYGON ICRS " + " ".join(f"{v:.7f}" for v in corners))
        regions.append(f"polygon({','.join(f'{v:.7f}' for v in corners)}) # text={{{tile.tilename}}}")
    (out / "tiles.stcs").write_text("\n".join(stcs) + "\n", "utf-8")
    (out / "tiles.reg").write_text("\n".join(regions) + "\n", "utf-8")


def _images(
    context: BuildContext, parts: Sequence[SelectedFile], heads: Sequence[fits.Header], path: Path
) -> None:
    """Write which images of which exposures each tile and band contains, with their corners, by tile."""
    order = sorted(range(len(parts)), key=lambda i: (heads[i]["TILENAME"], heads[i]["BAND"]))
    schema = pa.schema(
        [
            ("tilename", pa.string()),
            ("band", pa.string()),
            ("expnum", pa.int64()),
            ("ccdnum", pa.int16()),
            ("mjd_obs", pa.float64()),
            ("exptime", pa.float32()),
            ("filename", pa.string()),
            *((f"{axis}{i}", pa.float64()) for i in range(1, 5) for axis in ("ra", "dec")),
        ]
    )
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for i in order:
            columns = _rows(heads[i], np.asarray(fits.getdata(context.verified_path(parts[i]), "IMAGES")))
            arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _rows(head: fits.Header, rows: npt.NDArray[np.void]) -> list[Sequence[str] | npt.NDArray[np.generic]]:
    """Return the columns of ``images.parquet`` from the table IMAGES of one tile and band."""
    names = ("EXPNUM", "CCDNUM", "MJD_OBS", "EXPTIME", "RAC", "DECC")
    native = {name: rows[name].astype(rows[name].dtype.newbyteorder("=")) for name in names}
    files = [name.decode().strip() for name in rows["FILENAME"].tolist()]
    tile, band = [str(head["TILENAME"])] * len(rows), [str(head["BAND"])] * len(rows)
    corners = [native[axis][:, k] for k in range(4) for axis in ("RAC", "DECC")]
    return [tile, band, *(native[name] for name in names[:4]), files, *corners]
