"""What a single-exposure pipeline must know before it is planned: the exposure's band, night and CCDs, or the night's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from desdm.archive.catalogfile import CatalogFile
from desdm.errors import PlanError
from desdm.framework.model import FindFiles, number
from desdm.framework.sections import Settings, numbers_setting
from desdm.survey.detectors import dead

__all__ = ["SETTINGS", "exposure", "working_ccds"]

#: What an operator may set of the exposure.
SETTINGS: Mapping[str, str] = {"expnum": "number of the exposure", "ccdnum": "CCDs, numbers or ranges"}


def exposure(find: FindFiles, settings: Settings) -> dict[str, str]:
    """The exposure's own values: the submission's ``inclfunc`` of firstcut and finalcut.

    Parameters
    ----------
    find
        Looks up files in the archive: query → files.
    settings
        ``expnum`` names the exposure; ``ccdnum`` (numbers or ranges) restricts it to some of its CCDs.

    Returns
    -------
    dict
        expnum, unitname, band, nite, ccdnum, and region (ra,dec,size in degrees), within which reference
        stars are wanted; dead_ccds says which CCDs are left out because they do not work, and why.

    Raises
    ------
    PlanError
        No such exposure, two files of it, a file that does not say its band or night, or no CCD that works.
    """
    text = str(settings.get("expnum", "")).strip().removeprefix("D")
    if not text:
        raise PlanError("say which exposure: --set expnum=NUMBER")
    if not (text.isascii() and text.isdecimal()):
        raise PlanError(f"expnum={text}: the number of an exposure is needed")
    files = find({"filetype": "raw", "expnum": str(int(text))})
    if len(files) != 1:
        names = ", ".join(file.filename for file in files) or "none"
        raise PlanError(f"exposure {int(text)}: one raw file is needed in the archive, found: {names}")
    file = files[0]
    for key, value in (("band", file.band), ("nite", file.nite)):
        if not value:
            raise PlanError(f"{file.filename} does not say its {key}; its header lacks it")
    ccds = str(settings.get("ccdnum") or file.metadata.ccds or file.ccdnum or "")
    if not ccds:
        raise PlanError(f"{file.filename} does not say of which CCDs it is; set ccdnum=…")
    working = working_ccds(ccds, files)
    if not working["ccdnum"]:
        raise PlanError(f"{file.filename}: {working['dead_ccds']}; no other CCD is asked for")
    values = {
        "expnum": str(int(text)),
        "unitname": str(settings.get("unitname") or f"D{int(text):08d}"),
        "band": str(file.band),
        "nite": str(file.nite),
        **working,
    }
    if file.metadata.ra_cent is not None:
        # Pointing errs by arcseconds and proper motions move stars: a tenth of a degree of margin takes both.
        size = number(file, "deccmax") - number(file, "deccmin") + 0.2
        values["region"] = f"{file.metadata.ra_cent:.6f},{number(file, 'dec_cent'):.6f},{size:.4f}"
    return values


def working_ccds(ccds: str, files: Sequence[CatalogFile]) -> dict[str, str]:
    """Leave out the CCDs that were dead whenever they are wanted.

    Parameters
    ----------
    ccds
        Numbers or ranges.
    files
        Raw files that the CCDs are wanted of.

    Returns
    -------
    dict of str
        Settings that are recorded with the attempt: ``ccdnum``, the CCDs that worked in at least one of the files, as they
        were written if that is all; else also ``dead_ccdnum``, the others, and ``dead_ccds``, why, for people.
    """
    numbers = numbers_setting(ccds, "ccdnum")
    out = [dead(file.metadata.instrument or "", file.nite or "") for file in files]
    lost = [n for n in numbers if out and all(n in dead_by_file for dead_by_file in out)]
    if not lost:
        return {"ccdnum": ccds}
    return {
        "ccdnum": ",".join(str(n) for n in numbers if n not in lost),
        "dead_ccdnum": ",".join(str(n) for n in lost),
        "dead_ccds": "; ".join(out[-1][n].text for n in lost),
    }
