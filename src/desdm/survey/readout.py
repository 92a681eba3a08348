"""How the pixels of a raw frame were read out: whether they are unbinned counts, as every step of detrending takes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from desdm.pixels.cards import Value
from desdm.survey.bands import raw_unit_complaint
from desdm.survey.findings import Finding, Severity

__all__ = ["EXTENSION_KEYS", "refusals"]

#: Pixels of the CCD that one of the frame holds: for both axes in one keyword, or a keyword an axis.
_BINNING = ("CCDSUM", "BINNING", "CCDBIN1", "CCDBIN2", "XBINNING", "YBINNING")
#: Keywords that are looked at, in the header of a CCD and where that has none in the primary one.
EXTENSION_KEYS = ("BUNIT", *_BINNING)
_FORM = re.compile(r"(\d{1,4})(?:\.0*)?(?:[\s,xX*]+(\d{1,4})(?:\.0*)?)?")
_FOLLOWS = "the CCD is not processed"


def refusals(own: Callable[[str], Value], primary: Callable[[str], Value]) -> tuple[Finding, ...]:
    """Return what keeps the pixels of a CCD from being processed: another unit than counts, or binned pixels.

    Parameters
    ----------
    own
        A keyword's value in the header of the CCD; None if it has none.
    primary
        The same of the primary header, whose keywords hold where the CCD has none.
    """
    values = {key: _first(own(key), primary(key)) for key in EXTENSION_KEYS}
    return (*_unit(values), *_binning(values))


def _first(own: Value, primary: Value) -> Value:
    """Return the CCD's own value, unless it is blank."""
    return primary if own is None or (isinstance(own, str) and not own.strip()) else own


def _unit(values: Mapping[str, Value]) -> tuple[Finding, ...]:
    """Return the finding on a unit that is not counts."""
    text = raw_unit_complaint(values)
    return (_odd("BUNIT", values["BUNIT"], text),) if text else ()


def _binning(values: Mapping[str, Value]) -> tuple[Finding, ...]:
    """Return the findings on keywords that tell binned pixels, or cannot be read."""
    odd = []
    for key in _BINNING:
        value = values[key]
        if value is None or (isinstance(value, str) and not value.strip()):
            continue
        match = None if isinstance(value, bool) else _FORM.fullmatch(str(value).strip())
        factors = [int(n) for n in match.groups() if n is not None] if match else []
        if not factors or 0 in factors:
            odd.append(_odd(key, value, "it does not tell how many pixels of the CCD one of the frame holds"))
        elif max(factors) > 1:
            odd.append(
                _odd(key, value, "the pixels are binned: scale, noise and sky are not those of a pixel")
            )
    return tuple(odd)


def _odd(key: str, value: Value, text: str) -> Finding:
    """Return a warning on one keyword that keeps the CCD from being processed."""
    return Finding(Severity.WARNING, text, key, repr(value), _FOLLOWS)
