"""Columns of ``ivoa.obscore`` (ObsCore 1.1) and ``ivoa.obsplan`` (ObsLocTAP 1.0): type, unit, UCD, utype and text."""

from __future__ import annotations

import pyarrow as pa

from desdm.release.model import ReleaseColumn

__all__ = ["ARROW", "COLUMNS", "PLAN_ARROW", "PLAN_COLUMNS", "PLAN_UTYPES", "UTYPES"]

_AXIS = "Char.SpatialAxis.Coverage"
_SPEC = "Char.SpectralAxis.Coverage.Bounds.Limits"

#: name, datatype, unit, UCD, utype, text.
_TABLE: tuple[tuple[str, str, str, str, str, str], ...] = (
    (
        "dataproduct_type",
        "char",
        "",
        "meta.code.class",
        "ObsDataset.dataProductType",
        "Kind of the data: image",
    ),
    (
        "dataproduct_subtype",
        "char",
        "",
        "meta.code.class",
        "ObsDataset.dataProductSubtype",
        "File type in the release",
    ),
    (
        "calib_level",
        "int",
        "",
        "meta.code;obs.calib",
        "ObsDataset.calibLevel",
        "Level of calibration, 0 to 4",
    ),
    ("obs_collection", "char", "", "meta.id", "DataID.Collection", "Release"),
    ("obs_id", "char", "", "meta.id", "DataID.observationID", "Tile and band"),
    ("obs_title", "char", "", "meta.title;obs", "DataID.Title", "Title, one line"),
    ("obs_publisher_did", "char", "", "meta.ref.ivoid", "Curation.PublisherDID", "Identifier of the file"),
    ("access_url", "char", "", "meta.ref.url", "Access.Reference", "Where its links are (DataLink)"),
    ("access_format", "char", "", "meta.code.mime", "Access.Format", "Media type of what access_url gives"),
    ("access_estsize", "long", "kbyte", "phys.size;meta.file", "Access.Size", "Size of the file"),
    ("target_name", "char", "", "meta.id;src", "Target.Name", "Tile"),
    (
        "s_ra",
        "double",
        "deg",
        "pos.eq.ra",
        f"{_AXIS}.Location.Coord.Position2D.Value2.C1",
        "Centre, right ascension (ICRS)",
    ),
    (
        "s_dec",
        "double",
        "deg",
        "pos.eq.dec",
        f"{_AXIS}.Location.Coord.Position2D.Value2.C2",
        "Centre, declination (ICRS)",
    ),
    (
        "s_fov",
        "double",
        "deg",
        "phys.angSize;instr.fov",
        f"{_AXIS}.Bounds.Extent.diameter",
        "Diameter of the circle that holds it",
    ),
    ("s_region", "char", "", "pos.outline;obs.field", f"{_AXIS}.Support.Area", "Outline (STC-S, ICRS)"),
    (
        "s_resolution",
        "double",
        "arcsec",
        "pos.angResolution",
        "Char.SpatialAxis.Resolution.Refval.value",
        "Full width at half maximum of the PSF",
    ),
    ("s_xel1", "long", "", "meta.number", "Char.SpatialAxis.numBins1", "Columns of pixels"),
    ("s_xel2", "long", "", "meta.number", "Char.SpatialAxis.numBins2", "Rows of pixels"),
    (
        "t_min",
        "double",
        "d",
        "time.start;obs.exposure",
        "Char.TimeAxis.Coverage.Bounds.Limits.StartTime",
        "Begin of its first exposure (MJD)",
    ),
    (
        "t_max",
        "double",
        "d",
        "time.end;obs.exposure",
        "Char.TimeAxis.Coverage.Bounds.Limits.StopTime",
        "End of its last exposure (MJD)",
    ),
    (
        "t_exptime",
        "double",
        "s",
        "time.duration;obs.exposure",
        "Char.TimeAxis.Coverage.Support.Extent",
        "Summed exposure time",
    ),
    (
        "t_resolution",
        "double",
        "s",
        "time.resolution",
        "Char.TimeAxis.Resolution.Refval.value",
        "Resolution in time: that of the whole",
    ),
    ("t_xel", "long", "", "meta.number", "Char.TimeAxis.numBins", "Samples in time"),
    ("em_min", "double", "m", "em.wl;stat.min", f"{_SPEC}.LoLimit", "Short end of the band, in vacuum"),
    ("em_max", "double", "m", "em.wl;stat.max", f"{_SPEC}.HiLimit", "Long end of the band, in vacuum"),
    (
        "em_res_power",
        "double",
        "",
        "spect.resolution",
        "Char.SpectralAxis.Resolution.ResolPower.refVal",
        "Centre of the band over its width",
    ),
    ("em_xel", "long", "", "meta.number", "Char.SpectralAxis.numBins", "Samples in wavelength"),
    ("o_ucd", "char", "", "meta.ucd", "Char.ObservableAxis.ucd", "UCD of the pixels"),
    (
        "pol_states",
        "char",
        "",
        "meta.code;phys.polarization",
        "Char.PolarizationAxis.stateList",
        "Polarisation: not measured",
    ),
    ("pol_xel", "long", "", "meta.number", "Char.PolarizationAxis.numBins", "Samples in polarisation"),
    ("facility_name", "char", "", "meta.id;instr.tel", "Provenance.ObsConfig.Facility.name", "Telescope"),
    ("instrument_name", "char", "", "meta.id;instr", "Provenance.ObsConfig.Instrument.name", "Camera"),
)

_MAIN = frozenset(("obs_collection", "obs_id", "access_url", "s_ra", "s_dec", "s_region", "em_min", "em_max"))
_XTYPES = {"s_region": "adql:REGION"}

#: Columns of planned observations that ObsCore does not have, in the same form.
_PLANNED: tuple[tuple[str, str, str, str, str, str], ...] = (
    ("t_planning", "double", "d", "", "", "When it was planned (MJD)"),
    ("category", "char", "", "", "", "Fixed, Coordinated, Window or Other"),
    ("priority", "int", "", "", "", "0, 1 or 2"),
    ("execution_status", "char", "", "", "", "Planned, Scheduled, Performed, Aborted"),
    ("tracking_type", "char", "", "", "", "Sidereal, Solar-system-object or Fixed-az-el"),
    (
        "t_plan_exptime",
        "double",
        "s",
        "time.duration;obs.exposure",
        "Char.TimeAxis.Coverage.Support.Extent",
        "Planned exposure time",
    ),
)
#: Columns of ObsCore that planned observations have too.
_SHARED = frozenset(
    (
        "target_name",
        "obs_id",
        "obs_collection",
        "s_ra",
        "s_dec",
        "s_fov",
        "s_region",
        "s_resolution",
        "t_min",
        "t_max",
        "t_exptime",
        "t_resolution",
        "em_min",
        "em_max",
        "em_res_power",
        "o_ucd",
        "pol_states",
        "pol_xel",
        "facility_name",
        "instrument_name",
    )
)
_PLAN = (_PLANNED[0], *(column for column in _TABLE if column[0] in _SHARED), *_PLANNED[1:])


def _columns(table: tuple[tuple[str, str, str, str, str, str], ...]) -> tuple[ReleaseColumn, ...]:
    """Return the descriptions of columns from their table."""
    return tuple(
        ReleaseColumn(
            name,
            datatype,
            "*" if datatype == "char" else None,
            _XTYPES.get(name),
            unit,
            ucd,
            text,
            principal=name in _MAIN,
        )
        for name, datatype, unit, ucd, _, text in table
    )


COLUMNS: tuple[ReleaseColumn, ...] = _columns(_TABLE)
PLAN_COLUMNS: tuple[ReleaseColumn, ...] = _columns(_PLAN)

#: Column → utype.
UTYPES: dict[str, str] = {name: f"obscore:{utype}" for name, _, _, _, utype, _ in _TABLE}
#: ObsLocTAP writes some parts of the same model in small letters, and none with a prefix.
_PLAN_SPELLINGS = {"Target.Name": "Target.name", "DataID.Collection": "DataID.collection"}
PLAN_UTYPES: dict[str, str] = {
    name: _PLAN_SPELLINGS.get(utype, utype) for name, _, _, _, utype, _ in _PLAN if utype
}

_KINDS = {"char": pa.string(), "int": pa.int32(), "long": pa.int64(), "double": pa.float64()}
ARROW: pa.Schema = pa.schema([(name, _KINDS[datatype]) for name, datatype, *_ in _TABLE])
PLAN_ARROW: pa.Schema = pa.schema([(name, _KINDS[datatype]) for name, datatype, *_ in _PLAN])
