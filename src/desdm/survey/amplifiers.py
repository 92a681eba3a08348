"""The amplifiers of a raw CCD, by the sections and numbers of its header: what the reader refuses the archive tells."""

from __future__ import annotations

from dataclasses import dataclass

from desdm.errors import FileTypeError
from desdm.pixels.cards import Header
from desdm.survey.sections import Section, section_of

__all__ = ["Amp", "amps_of"]


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
    """

    name: str
    data: Section
    bias: Section | None
    prescan: Section | None
    trimmed: Section
    gain: float | None
    rdnoise: float | None
    saturate: float | None


def amps_of(header: Header, shape: tuple[int, ...], where: str) -> tuple[tuple[Amp, ...], tuple[int, int]]:
    """The amplifiers of a CCD by its own sections.

    Two forms are known: DECam's (DATASECA, BIASSECA, AMPSECA, GAINA … and so for B), and the plain one of a CCD with
    one amplifier (BIASSEC with TRIMSEC or DATASEC, GAIN, RDNOISE). Every section that stands in the header is checked.

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
        gain, noise = header.number(f"GAIN{name}"), header.number(f"RDNOISE{name}")
        amps.append(
            Amp(
                # A gain of 0 and a negative one are none; so is a negative noise.
                name,
                at,
                bias,
                prescan,
                place,
                gain if gain is not None and gain > 0 else None,
                noise if noise is not None and noise >= 0 else None,
                header.number(f"SATURAT{name or 'E'}"),
            )
        )
    if not _tiled([a.trimmed for a in amps], trimmed):
        raise FileTypeError(f"{where}: the sections of its amplifiers overlap or leave a gap in the image")
    return tuple(sorted(amps, key=lambda a: (a.trimmed.slices[0].start, a.trimmed.slices[1].start))), trimmed


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
