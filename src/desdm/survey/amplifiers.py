"""The amplifiers of a raw CCD, by the sections and numbers of its header: what the reader refuses the archive tells."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from desdm.errors import FileTypeError
from desdm.pixels.cards import Header
from desdm.survey.findings import Finding, Severity
from desdm.survey.sections import Section, section_of

__all__ = ["LIMITS", "Amp", "AmpNumbers", "amp_numbers", "amps_of"]

#: The least and most that a number of an amplifier can be, by the stem of its keyword: electrons a count, electrons, and
#: counts. No converter of a CCD has more than 18 bits; a frame may be the sum of some.
LIMITS: dict[str, tuple[float, float]] = {
    "GAIN": (0.05, 100.0),
    "RDNOISE": (1e-3, 1e4),
    "SATURAT": (1.0, 2.0**20),
}
#: What follows for a CCD where a header does not tell the saturation at all, as those of some cameras.
_UNMARKED = "saturated pixels are not marked"
#: What follows for a CCD where such a number is not known.
_FOLLOWS = {
    "GAIN": "the CCD has no weight and cannot be calibrated",
    "RDNOISE": "the CCD has no weight and is not processed",
    "SATURAT": "saturated pixels cannot be marked and the CCD is not processed",
}


@dataclass(frozen=True, slots=True)
class Amp:
    """One amplifier of a CCD.

    Attributes
    ----------
    name
        Letter of its keywords (A, B), or empty if the CCD has one amplifier and plain keywords.
    data, bias
        Data and overscan in the raw array; ``bias`` is None if the frame has no overscan.
    prescan
        Rows read before the data; None if there are none.
    trimmed
        Its place in the trimmed image.
    gain
        Electrons per ADU; None if the header does not tell.
    rdnoise
        Electrons, as measured in the overscan (digitisation included); None if the header does not tell.
    saturate
        ADU above the overscan; None if the header does not tell.
    findings
        Why gain, read noise or saturation is None, each with its keyword.
    """

    name: str
    data: Section
    bias: Section | None
    prescan: Section | None
    trimmed: Section
    gain: float | None
    rdnoise: float | None
    saturate: float | None
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class AmpNumbers:
    """Gain, read noise and saturation of an amplifier (None: not known), and why one is not known."""

    gain: float | None
    rdnoise: float | None
    saturate: float | None
    findings: tuple[Finding, ...]


def amp_numbers(get: Callable[[str], object], name: str) -> AmpNumbers:
    """Read the numbers of an amplifier: one that is missing, no number, or not possible is not known.

    ``get`` gives a keyword's value, or None; ``name`` is the amplifier's letter, empty for plain keywords.
    """
    numbers = [_number(get, stem, name) for stem in LIMITS]
    gain, noise, full = (None if isinstance(n, Finding) else n for n in numbers)
    return AmpNumbers(gain, noise, full, tuple(n for n in numbers if isinstance(n, Finding)))


def _number(get: Callable[[str], object], stem: str, name: str) -> float | Finding:
    """Return one number of an amplifier, or the finding that says why it is not known."""
    key = f"{stem}{name or ('E' if stem == 'SATURAT' else '')}"
    value = get(key)
    least, most = LIMITS[stem]
    if value is None:
        text = "the keyword is missing"
    elif isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        text = "it is not a number"
    elif not least <= value <= most:
        text = "it is not possible"
    else:
        return float(value)
    if value is None:
        follows = _UNMARKED if stem == "SATURAT" else _FOLLOWS[stem]
        return Finding(Severity.WARNING, text, key, "", follows)
    return Finding(Severity.WARNING, text, key, repr(value), _FOLLOWS[stem])


def amps_of(header: Header, shape: tuple[int, ...], where: str) -> tuple[tuple[Amp, ...], tuple[int, int]]:
    """The amplifiers of a CCD by its own sections.

    Two forms are known: DECam's (DATASECA, BIASSECA, AMPSECA, GAINA … and so for B), and the plain one of a CCD with
    one amplifier (BIASSEC with TRIMSEC or DATASEC, GAIN, RDNOISE). Every section in the header is checked.

    Parameters
    ----------
    header
        Of the CCD's HDU.
    shape
        (rows, columns) of the raw array.
    where
        File and CCD, for messages.

    Returns
    -------
    tuple of Amp, (ny, nx)
        Amplifiers in the order of their place, and the trimmed shape.

    Raises
    ------
    FileTypeError
        A section does not fit, overscan and data overlap, the amplifiers overlap or leave a gap.
    """

    def section(keyword: str, within: tuple[int, ...] = shape) -> Section | None:
        return section_of(header.get, keyword, within, where)

    whole = {key: section(key) for key in ("DATASEC", "BIASSEC", "TRIMSEC", "PRESEC")}
    names = [n for n in "ABCDEFGH" if f"DATASEC{n}" in header] or [""]
    _complete(header, names, where)
    data = {n: section(f"DATASEC{n}") for n in names}
    if names == [""]:
        data[""] = whole["TRIMSEC"] or whole["DATASEC"] or Section(1, shape[1], 1, shape[0])
        # Without a section of data the whole frame is used, overscan and all.
        stated = [("", s) for s in (whole["TRIMSEC"], whole["DATASEC"]) if s is not None]
    known = [(n, s) for n, s in data.items() if s is not None]
    if names != [""]:
        stated = known
    x0 = min(min(s.x1, s.x2) for _, s in known)
    y0 = min(min(s.y1, s.y2) for _, s in known)
    trimmed = (
        max(max(s.y1, s.y2) for _, s in known) - y0 + 1,
        max(max(s.x1, s.x2) for _, s in known) - x0 + 1,
    )
    amps = []
    for name, at in known:
        place = section(f"AMPSEC{name}", trimmed) if name else None
        if place is None:
            left, low = min(at.x1, at.x2) - x0 + 1, min(at.y1, at.y2) - y0 + 1
            place = Section(left, left + at.shape[1] - 1, low, low + at.shape[0] - 1)
        if place.shape != at.shape:
            raise FileTypeError(
                f"{where}: AMPSEC{name} {place.text} and DATASEC{name} {at.text} differ in size"
            )
        bias = section(f"BIASSEC{name}") if name else whole["BIASSEC"]
        if bias is not None and bias.slices[0] != at.slices[0] and bias.shape[0] != shape[0]:
            raise FileTypeError(
                f"{where}: BIASSEC{name} {bias.text} has other rows than its data {at.text}; the overscan of a row "
                "must lie beside it"
            )
        prescan = section(f"PRESEC{name}") if name else None
        _apart(where, name, (bias, prescan), stated)
        numbers = amp_numbers(header.get, name)
        amps.append(
            Amp(
                name,
                at,
                bias,
                prescan,
                place,
                numbers.gain,
                numbers.rdnoise,
                numbers.saturate,
                numbers.findings,
            )
        )
    _own_overscan(where, amps)
    if not _tiled([a.trimmed for a in amps], trimmed):
        raise FileTypeError(f"{where}: the sections of its amplifiers overlap or leave a gap in the image")
    return tuple(sorted(amps, key=lambda a: (a.trimmed.slices[0].start, a.trimmed.slices[1].start))), trimmed


def _complete(header: Header, names: list[str], where: str) -> None:
    """`FileTypeError` if an amplifier beside one with data has sections and no data: half a CCD would be read."""
    if names == [""]:
        return
    for name in "ABCDEFGH":
        there = next((k for k in (f"BIASSEC{name}", f"AMPSEC{name}") if k in header), None)
        if name not in names and there is not None:
            raise FileTypeError(
                f"{where}: DATASEC{name} is missing, where {there} is there; correct the header"
            )


def _own_overscan(where: str, amps: list[Amp]) -> None:
    """`FileTypeError` if two amplifiers of the same rows have one overscan: each has a level of its own."""
    for i, one in enumerate(amps):
        for other in amps[:i]:
            if one.bias is None or other.bias is None or one.data.slices[0] != other.data.slices[0]:
                continue
            if _overlap(one.bias, other.bias):
                raise FileTypeError(
                    f"{where}: BIASSEC{one.name} {one.bias.text} overlaps BIASSEC{other.name} {other.bias.text}; each "
                    "amplifier has an overscan of its own; correct the header"
                )


def _tiled(sections: list[Section], shape: tuple[int, int]) -> bool:
    """Whether the sections cover an array of this shape, each pixel once."""
    if any(_overlap(one, other) for i, one in enumerate(sections) for other in sections[:i]):
        return False
    return sum(s.shape[0] * s.shape[1] for s in sections) == shape[0] * shape[1]


def _apart(
    where: str, name: str, outside: tuple[Section | None, Section | None], data: list[tuple[str, Section]]
) -> None:
    """`FileTypeError` if overscan or prescan of an amplifier lies among the data of one."""
    for word, section in zip(("BIASSEC", "PRESEC"), outside, strict=True):
        for other, at in data:
            if section is not None and _overlap(section, at):
                whose = f" of amplifier {other}" if other else ""
                raise FileTypeError(
                    f"{where}: {word}{name} {section.text} overlaps the data {at.text}{whose}; correct the header"
                )


def _overlap(one: Section, other: Section) -> bool:
    """Whether two sections have a pixel in common."""
    pairs = zip(one.slices, other.slices, strict=True)
    return all(bool(a.start < b.stop and b.start < a.stop) for a, b in pairs)
