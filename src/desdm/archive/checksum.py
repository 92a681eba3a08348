"""Verifies FITS checksums where a file carries them (FITS 4.0, section 4.4.2.7 and appendix J)."""

from __future__ import annotations

from collections.abc import Iterator

from desdm.archive.content import Content
from desdm.survey.findings import Finding, Severity

__all__ = ["stale"]

#: Beyond this the digests have cost enough; a stale checksum is a finding, never a refusal (bytes).
_MOST = 64 << 20


def stale(content: Content) -> Iterator[Finding]:
    """Findings on checksums that do not fit their HDU.

    Real files have them: a cutout keeps the CHECKSUM of its parent. Files that no rule required to open as FITS are
    left alone.
    """
    if not content.opened or content.size > _MOST:
        return
    for number, hdu in enumerate(content.hdus):
        stored = hdu.header.get("DATASUM")
        if stored is None and "CHECKSUM" not in hdu.header:
            continue
        data = content.data
        datasum = _sum(data[hdu.data_start : min(hdu.end, content.size)])
        if stored is not None and (not str(stored).strip().isdigit() or int(str(stored)) != datasum):
            yield Finding(Severity.WARNING, f"HDU {number}: DATASUM is stale", "DATASUM", str(stored).strip())
        if "CHECKSUM" in hdu.header:
            total = _sum(data[hdu.start : hdu.data_start]) + datasum
            while total >> 32:
                total = (total & 0xFFFFFFFF) + (total >> 32)
            # A sound HDU sums to all ones (minus zero).
            if total not in (0xFFFFFFFF, 0):
                yield Finding(Severity.WARNING, f"HDU {number}: CHECKSUM is stale", "CHECKSUM")


def _sum(data: bytes) -> int:
    """Ones' complement sum of big-endian 32-bit words."""
    import numpy as np

    whole = len(data) // 4 * 4
    total = int(np.frombuffer(data[:whole], ">u4").sum(dtype=np.uint64))
    if whole < len(data):
        total += int.from_bytes(data[whole:].ljust(4, b"\0"), "big")
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total
