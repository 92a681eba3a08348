"""Header updates of outputs: the sections ``hdrupd_*`` of a file in a submit WCL.

Each key of a section is a keyword with its value; ``headers`` names the HDUs, by number or EXTNAME, instead of the first
HDU that holds data. Checksums in a header that is updated are computed again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from desdm.errors import ProgramFailed, WCLError
from desdm.framework.sections import Settings

__all__ = ["PREFIX", "header_updates", "update_headers"]

PREFIX = "hdrupd_"
_HDUS = "headers"
_KEYWORD = re.compile(r"[A-Z0-9_-]{1,8}")


def header_updates(name: str, spec: Settings, where: str) -> dict[str, dict[str, str]]:
    """Return the header updates of a ``<file F>`` section, by the name of their section.

    Parameters
    ----------
    name
        Name of the file.
    spec
        Its section.
    where
        File and module, for errors.

    Raises
    ------
    WCLError
        A keyword is none of FITS, or says how the data are stored.
    """
    from desdm.pixels.fitsbytes import is_structure

    updates: dict[str, dict[str, str]] = {}
    for key, body in spec.items():
        if not key.startswith(PREFIX) or not isinstance(body, Mapping):
            continue
        for keyword in (k.upper() for k in body if k != _HDUS):
            if not _KEYWORD.fullmatch(keyword):
                raise WCLError(
                    f"file {name}: {key}.{keyword}: a FITS keyword has at most 8 letters, digits, _ and -",
                    where,
                )
            # FZALGOR, FZQVALUE … tell fpack what to do later; they say nothing of this file.
            if is_structure(keyword) and not keyword.startswith("FZ"):
                raise WCLError(
                    f"file {name}: {key}.{keyword} says how the data are stored; it cannot be updated", where
                )
        updates[key] = {k: str(v) for k, v in body.items()}
    return updates


def update_headers(path: Path, updates: Mapping[str, Mapping[str, str]]) -> None:
    """Write header updates into a FITS file; `ProgramFailed` if it is none or lacks an HDU."""
    import fitsio

    try:
        with fitsio.FITS(str(path), "rw") as file:
            for section, body in updates.items():
                hdus = [n.strip() for n in body.get(_HDUS, "").split(",") if n.strip()] or [
                    _first_with_data(file)
                ]
                for name in hdus:
                    hdu = file[int(name) if name.isdecimal() else name]
                    for keyword, text in body.items():
                        if keyword != _HDUS:
                            hdu.write_key(keyword.upper(), _keyword_value(text), f"by {section}")
                    if "CHECKSUM" in hdu.read_header():
                        hdu.write_checksum()
    except (OSError, ValueError, IndexError) as err:
        # An HDU that is not there is an OSError of fitsio too.
        raise ProgramFailed(
            f"{path.name}: its header cannot be updated ({', '.join(updates)}): {err}"
        ) from err


class _Hdu(Protocol):
    """What `_first` needs of an HDU of fitsio."""

    def has_data(self) -> bool:
        """Return whether the HDU has data."""


def _first_with_data(file: Iterable[_Hdu]) -> str:
    """Number of the first HDU that holds data; the primary one if none does."""
    return next((str(n) for n, hdu in enumerate(file) if hdu.has_data()), "0")


def _keyword_value(text: str) -> bool | int | float | str:
    """The value of a keyword: T and F are logical, numbers are numbers, all else is text."""
    if text in ("T", "F"):
        return text == "T"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
