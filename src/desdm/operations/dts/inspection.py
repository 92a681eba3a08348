"""Looks at the bytes of a delivered file: checksum, structure and keywords, without the database."""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from desdm.archive.content import Content
from desdm.archive.filetypes.keywords import identity
from desdm.archive.identify import metadata_of, recognise
from desdm.errors import CutOffFile, FileTypeError, StorageUnavailable, UsageError, storage_error
from desdm.operations.dts.model import Verdict
from desdm.operations.dts.paths import NotRegularFile, name_refusal, open_regular
from desdm.schema.operationstates import DeliveryReason
from desdm.survey.ccds import ccd_of
from desdm.survey.detectors import SCIENCE_CCDS, absent
from desdm.survey.findings import Severity

__all__ = ["WAIVABLE", "inspect"]

#: Rules that a person may waive: the archive could keep the file all the same.
WAIVABLE = frozenset(
    {DeliveryReason.CHECKSUM, DeliveryReason.STRUCTURE, DeliveryReason.KEYWORD, DeliveryReason.PROPID}
)
_PIECE = 4 << 20
#: Last card of a header, and size of its blocks (FITS 4.0, sections 3.3.1 and 4.4.1).
_END, _BLOCK = b"END" + b" " * 77, 2880
#: Images of a DECam exposure: 62 CCDs, with those of focus and alignment 70 (Flaugher et al. 2015, AJ 150, 150).
_DECAM_IMAGES = (SCIENCE_CCDS, 70)
#: Columns of a raw frame's record that production needs, and the keywords that tell them.
_NEEDS = {
    "expnum": "EXPNUM",
    "nite": "DATE-OBS",
    "obstype": "OBSTYPE",
    "band": "FILTER or BAND",
    "exptime": "EXPTIME",
}
#: Types of exposure that need no band, or no exposure time.
_WITHOUT = {"band": ("zero", "bias", "dark"), "exptime": ("zero", "bias")}


def inspect(
    path: Path,
    name: str,
    md5_announced: str | None,
    waived: Collection[DeliveryReason] = (),
    *,
    sent_as: Path | None = None,
) -> Verdict:
    """Look at a delivered file.

    The reason that tells most comes first: that a file is cut off before that its checksum is wrong, which follows.

    Parameters
    ----------
    path
        Where it lies.
    name
        Name under which it was sent.
    md5_announced
        md5 that the sender announces; None: it announces none.
    waived
        Rules that a person waived; those that are not in `WAIVABLE` are applied all the same.
    sent_as
        Path under which it was sent; None: ``path``.

    Returns
    -------
    Verdict
        Digests, what the headers tell, and why the file is refused if it is.

    Raises
    ------
    TransientError
        It cannot be read now.
    """
    try:
        with open_regular(path) as file:
            modified = os.fstat(file.fileno()).st_mtime_ns
            verdict = replace(_digests(file), modified_ns=modified)
            if refusal := name_refusal(sent_as or path):
                return _refused(verdict, DeliveryReason.REGISTER, refusal)
            if not verdict.filesize:
                return _refused(verdict, DeliveryReason.TRUNCATED, "it is empty")
            # Headers and samples of pixels are looked at, which a map of the file serves like its bytes.
            data: Any = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            return _judged(Content(name, data, verdict.filesize), verdict, md5_announced, waived)
    except NotRegularFile as err:
        return Verdict("", "", 0, reason_code=DeliveryReason.REGISTER, reason=str(err))
    except OSError as err:
        error = storage_error(err, path)
        # A file that is gone may come back: the sender is replacing it, or its disk is not mounted.
        raise (StorageUnavailable(str(error)) if isinstance(error, UsageError) else error) from err


def _digests(file: IO[bytes]) -> Verdict:
    """Read a file once for both digests and its size."""
    md5, sha256, size = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
    while piece := file.read(_PIECE):
        md5.update(piece)
        sha256.update(piece)
        size += len(piece)
    return Verdict(md5.hexdigest(), sha256.hexdigest(), size)


def _refused(verdict: Verdict, code: DeliveryReason, reason: str) -> Verdict:
    """Return a verdict with a refusal."""
    return replace(verdict, reason_code=code, reason=reason)


def _judged(
    content: Content, verdict: Verdict, md5_announced: str | None, waived: Collection[DeliveryReason]
) -> Verdict:
    """Apply the rules in their order."""
    wrong = md5_announced is not None and md5_announced.lower() != verdict.md5
    checksum = f"its md5 is {verdict.md5}, the sender announces {md5_announced}" if wrong else ""
    fits = ".fit" in content.name.lower()
    error: FileTypeError | None = None
    if fits:
        try:
            _ = content.hdus
        except CutOffFile as err:
            # The primary header tells the exposure, unless that is cut off too.
            known = _described(_primary(content), verdict)
            return _refused(known, DeliveryReason.TRUNCATED, "; ".join(filter(None, (str(err), checksum))))
        except FileTypeError as err:
            error = err
    if wrong and DeliveryReason.CHECKSUM not in waived:
        return _refused(_described(content, verdict), DeliveryReason.CHECKSUM, checksum)
    if error is not None:
        return _refused(verdict, DeliveryReason.NOT_FITS, str(error))
    try:
        kind = recognise(content)
    except FileTypeError as err:
        if not fits:
            return _refused(verdict, DeliveryReason.REGISTER, str(err))
        code = DeliveryReason.KEYWORD if content.images() else DeliveryReason.STRUCTURE
        return _refused(_described(content, verdict), code, str(err))
    verdict = replace(_described(content, verdict), filetype=kind.name)
    if kind.name != "raw":
        return verdict
    row = metadata_of(kind, content, {})
    structure, keywords = _structure(content, verdict.nite or ""), _keywords(content, row)
    if structure and DeliveryReason.STRUCTURE not in waived:
        return _refused(verdict, DeliveryReason.STRUCTURE, structure)
    if keywords and DeliveryReason.KEYWORD not in waived:
        return _refused(verdict, DeliveryReason.KEYWORD, keywords)
    return verdict


def _primary(content: Content) -> Content:
    """Return the primary header of a file that is cut off, as a file of its own."""
    data = content.data
    at = data.find(_END)
    size = (at // _BLOCK + 1) * _BLOCK if at >= 0 else 0
    alone = Content(content.name.removesuffix(".gz"), bytes(data[:size]), size)
    with suppress(FileTypeError):
        _ = alone.hdus
    return alone


def _described(content: Content, verdict: Verdict) -> Verdict:
    """Add what the headers tell of the exposure, as far as they can be read."""
    if not content.opened:
        return verdict
    row = identity(content)
    propid = content.keyword("PROPID")
    expnum, nite = row.get("expnum"), row.get("nite")
    return replace(
        verdict,
        expnum=expnum if isinstance(expnum, int) else None,
        nite=nite if isinstance(nite, str) else None,
        propid=None if propid is None else str(propid).strip()[:32] or None,
    )


def _structure(content: Content, nite: str) -> str:
    """Return why a raw frame has not the images that its camera writes; empty: it has."""
    findings = [f.text for f in content.findings if f.severity is Severity.ERROR and f.key == "CCDNUM"]
    if findings:
        return "; ".join(findings)
    count, camera = len(content.images()), str(content.keyword("INSTRUME") or "")
    expected = content.keyword("NEXTEND")
    if not isinstance(expected, int) or isinstance(expected, bool):
        if camera.strip().lower() == "decam" and count not in _DECAM_IMAGES:
            return f"it has {count} images, DECam writes {' or '.join(map(str, _DECAM_IMAGES))}"
        return ""
    known = [ccd_of(hdu.header.get, camera).number for hdu in content.images()]
    if absent([-1 if n is None else n for n in known], expected, camera, nite):
        return f"it has {count} images ({len(content.hdus)} HDUs), its camera writes {expected} (NEXTEND)"
    return ""


def _keywords(content: Content, row: Mapping[str, object]) -> str:
    """Return which keywords that production needs are missing or invalid; empty: none."""
    obstype = str(row.get("obstype") or "").lower()
    lacking = [
        f"{keyword} is missing or invalid"
        for column, keyword in _NEEDS.items()
        if row.get(column) is None and obstype not in _WITHOUT.get(column, ())
    ]
    if lacking:
        return "; ".join(lacking)
    doubted = [str(f) for f in content.findings if f.severity is Severity.ERROR and f.key != "CCDNUM"]
    return "; ".join(doubted)
