"""The command line of scamp, and the header file that it answers with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from astropy.io import fits

from desdm.errors import FileTypeError
from desdm.survey.headers import copy_wcs

__all__ = ["apply_head", "arguments", "read_head"]


def arguments(catalogue: Path, reference: Path, data: Path, settings: Mapping[str, str]) -> list[str]:
    """Arguments to solve one catalogue against a reference catalogue (FITS_LDAC).

    Parameters
    ----------
    catalogue
        FITS_LDAC catalogue of the image.
    reference
        FITS_LDAC catalogue of the reference stars.
    data
        Folder with ``default.scamp``.
    settings
        Keywords of scamp and their values, which override the defaults.

    Returns
    -------
    list of str
        Arguments of the command ``scamp``.
    """
    args = [str(catalogue), "-c", str(data / "default.scamp")]
    args += ["-ASTREF_CATALOG", "FILE", "-ASTREFCAT_NAME", str(reference), "-ASTREF_BAND", "DEFAULT"]
    for key, value in settings.items():
        if isinstance(value, str):
            args += [f"-{key.upper()}", value]
    return args


def read_head(path: Path) -> fits.Header:
    """The cards of a scamp ``.head`` file.

    Its COMMENT and HISTORY cards hold latin-1 bytes that no FITS header may hold; they are left out.

    Raises
    ------
    FileTypeError
        There is no such file, or no solution in it.
    """
    if not path.is_file():
        raise FileTypeError(f"{path.name}: scamp left no header file; look into its log")
    head = fits.Header()
    for line in path.read_bytes().decode("latin-1").splitlines():
        if line.startswith(("COMMENT", "HISTORY")) or not line.strip():
            continue
        if line.startswith("END"):
            break
        card = fits.Card.fromstring(line.ljust(80)[:80])
        if card.keyword:
            head.append(card)
    if "CRVAL1" not in head:
        raise FileTypeError(f"{path.name}: no CRVAL1; it is not a scamp solution")
    return head


def apply_head(header: fits.Header, solution: fits.Header) -> None:
    """Replace a header's world coordinates by a solution's.

    Old PV terms must go first: scamp names only the terms that it uses, and one left over would bend the sky.
    """
    for key in [k for k in header if k.startswith("PV") and "_" in k]:
        del header[key]
    copy_wcs(solution, header)
    # scamp writes its polynomial under TPV or, before 2.7, under TAN; either way the terms are TPV's.
    if str(solution.get("CTYPE1", "")).endswith("TAN") and any(k.startswith("PV1_") for k in solution):
        header["CTYPE1"], header["CTYPE2"] = "RA---TPV", "DEC--TPV"
