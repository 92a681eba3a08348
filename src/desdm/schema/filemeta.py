"""Metadata tables by class of file type: image, catalog, calibration and miscfile."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Index, Integer, String, Table

from desdm.schema.columns import col, metadata

__all__ = ["METADATA_TABLES", "calibration", "catalog", "image", "miscfile"]


def _identity() -> list[Column[Any]]:
    """Return the columns by which files are selected, in every metadata table."""
    # The keys by which the field picks files; every class has them, so that one query reads all.
    return [
        col("desfile_id", Integer, ForeignKey("desfile.id"), primary_key=True, text="File"),
        col("expnum", Integer, nullable=True, text="Exposure number", ucd="meta.id;obs.exposure"),
        col("ccdnum", Integer, nullable=True, text="CCD number", ucd="meta.id;instr.det"),
        col("band", String(8), nullable=True, text="Band: u g r i z Y VR", ucd="instr.bandpass"),
        col("nite", String(8), nullable=True, text="Night of observation, YYYYMMDD", ucd="time.epoch;obs"),
        col("tilename", String(24), nullable=True, text="Coadd tile"),
    ]


def _region() -> list[Column[Any]]:
    """Return the columns of centre and corners on the sky."""
    return [
        col("ra_cent", Float, nullable=True, text="Right ascension of the centre, ICRS", unit="deg", ucd="pos.eq.ra"),
        col("dec_cent", Float, nullable=True, text="Declination of the centre, ICRS", unit="deg", ucd="pos.eq.dec"),
        col("racmin", Float, nullable=True, text="Least right ascension of the corners", unit="deg", ucd="pos.eq.ra;stat.min"),
        col("racmax", Float, nullable=True, text="Largest right ascension of the corners", unit="deg", ucd="pos.eq.ra;stat.max"),
        col("deccmin", Float, nullable=True, text="Least declination of the corners", unit="deg", ucd="pos.eq.dec;stat.min"),
        col("deccmax", Float, nullable=True, text="Largest declination of the corners", unit="deg", ucd="pos.eq.dec;stat.max"),
        col("crossra0", String(1), nullable=True, text="Y if it lies across RA 0: then racmin > racmax"),
    ]  # fmt: skip


image = Table(
    "image",
    metadata,
    *_identity(),
    *_region(),
    col("obstype", String(16), nullable=True, text="Type of observation"),
    col("object", String(80), nullable=True, text="Title of the observation"),
    col("propid", String(24), nullable=True, text="Proposal", ucd="meta.id.PI"),
    col("instrument", String(24), nullable=True, text="Instrument", ucd="meta.id;instr"),
    col("exptime", Float, nullable=True, text="Exposure time", unit="s", ucd="time.duration;obs.exposure"),
    col("mjd_obs", Float, nullable=True, text="Begin of the exposure", unit="d", ucd="time.start;obs.exposure"),
    col("airmass", Float, nullable=True, text="Airmass", ucd="obs.airMass"),
    col("naxis1", Integer, nullable=True, text="Columns", unit="pixel"),
    col("naxis2", Integer, nullable=True, text="Rows", unit="pixel"),
    col("pixscale", Float, nullable=True, text="Pixel scale", unit="arcsec/pixel", ucd="instr.pixel"),
    col("gain", Float, nullable=True, text="Gain", unit="electron/adu", ucd="instr.param"),
    col("saturate", Float, nullable=True, text="Saturation level", unit="adu", ucd="instr.saturation"),
    col("mag_zero", Float, nullable=True, text="Zero point", unit="mag", ucd="phot.mag;arith.zp"),
    col("fwhm", Float, nullable=True, text="Full width at half maximum of the PSF", unit="pixel", ucd="instr.obsty.seeing"),
    col("skybrite", Float, nullable=True, text="Sky level", unit="adu", ucd="instr.skyLevel"),
    col("ccds", String(240), nullable=True, text="CCDs that a mosaic exposure should have, as ranges: 1:62", ucd="meta.id;instr.det"),
    col("data_digest", String(64), nullable=True, text="Digest of the pixels of a raw frame, whatever its header and name", ucd="meta.checksum"),
    Index("ix_image_expnum", "expnum", "ccdnum"),
    Index("ix_image_data_digest", "data_digest"),
    Index("ix_image_nite", "nite"),
    comment="Metadata of images: raw, reduced, masks, weights, coadds",
)  # fmt: skip

catalog = Table(
    "catalog",
    metadata,
    *_identity(),
    *_region(),
    col("objects", BigInteger, nullable=True, text="Rows of the catalogue", ucd="meta.number"),
    Index("ix_catalog_expnum", "expnum", "ccdnum"),
    comment="Metadata of catalogues",
)

calibration = Table(
    "calibration",
    metadata,
    *_identity(),
    *_region(),
    col("version", String(32), nullable=True, text="Version of the calibration or reference catalogue", ucd="meta.version"),
    Index("ix_calibration_expnum", "expnum", "ccdnum"),
    comment="Metadata of calibrations, PSF models and reference catalogues",
)  # fmt: skip

miscfile = Table(
    "miscfile",
    metadata,
    *_identity(),
    comment="Metadata of all other files: logs, WCL, plots, lists",
)

METADATA_TABLES: dict[str, Table] = {t.name: t for t in (image, catalog, calibration, miscfile)}
