"""What detrending knows of each amplifier of an image on its way, and how the header keeps it true."""

from __future__ import annotations

from dataclasses import dataclass

from astropy.io import fits

from desdm.errors import FileTypeError
from desdm.survey.raw import Amp
from desdm.survey.sections import Section, parse_section

__all__ = ["State", "cleaned", "of_image", "of_raw", "write_states"]

_RAW_ONLY = ("DATASEC", "BIASSEC", "PRESEC", "POSTSEC", "TRIMSEC")


@dataclass(slots=True)
class State:
    """One amplifier: its place in the image and, in the unit that the image has reached, what limits its pixels.

    ``gain`` electrons per unit of the image, ``rdnoise`` electrons, ``saturate`` in the image's unit (infinity: not known).
    """

    name: str
    place: Section
    gain: float | None
    rdnoise: float | None
    saturate: float

    def known_gain(self, where: str) -> float:
        """The gain; `FileTypeError` if the header does not tell it."""
        if self.gain is None or not self.gain > 0:
            raise FileTypeError(f"{where}: no GAIN{self.name} in the header; gain and weight need it")
        return self.gain

    def known_noise(self, where: str) -> float:
        """The read noise; `FileTypeError` if the header does not tell it."""
        if self.rdnoise is None or self.rdnoise < 0:
            raise FileTypeError(f"{where}: no RDNOISE{self.name} in the header; the weight needs it")
        return self.rdnoise


def of_raw(amps: tuple[Amp, ...]) -> list[State]:
    """States of a CCD as it was read."""
    return [
        State(a.name, a.trimmed, a.gain, a.rdnoise, float("inf") if a.saturate is None else float(a.saturate))
        for a in amps
    ]


def of_image(header: fits.Header, shape: tuple[int, int]) -> list[State]:
    """States of an image that is detrended in part, from the keywords that `write_states` left."""

    def number(key: str) -> float | None:
        value = header.get(key)
        return float(value) if isinstance(value, int | float) else None

    amplifiers = []
    for name in [n for n in "ABCDEFGH" if f"AMPSEC{n}" in header] or [""]:
        place = parse_section(str(header[f"AMPSEC{name}"])) if name else Section(1, shape[1], 1, shape[0])
        if place is None or not place.fits(shape):
            raise FileTypeError(f"AMPSEC{name} {header[f'AMPSEC{name}']!r} does not fit the image")
        full = number(f"SATURAT{name or 'E'}")
        amplifiers.append(
            State(
                name,
                place,
                number(f"GAIN{name}"),
                number(f"RDNOISE{name}"),
                float("inf") if full is None else full,
            )
        )
    return amplifiers


def cleaned(header: fits.Header) -> fits.Header:
    """A raw header without what the trimmed image no longer has."""
    out = fits.Header()
    for card in header.cards:
        word = card.keyword
        if word and word not in ("COMMENT", "HISTORY") and not word.startswith(_RAW_ONLY):
            out.append(card, bottom=True)
    return out


def write_states(header: fits.Header, states: list[State], unit: str) -> None:
    """Write GAIN, RDNOISE and SATURATE, of each amplifier and of the whole image.

    The image's SATURATE is the lowest of its amplifiers', for above it one of them is full; its RDNOISE the mean.

    Parameters
    ----------
    header
        Header of the image, changed in place.
    states
        Gain, read noise and saturation of each amplifier.
    unit
        Value of BUNIT.
    """
    header["BUNIT"] = (unit, "unit of the image")
    for state in states:
        if not state.name:
            continue
        header[f"AMPSEC{state.name}"] = (state.place.text, f"amplifier {state.name}")
        if state.gain is not None:
            header[f"GAIN{state.name}"] = (state.gain, f"[electron/{unit}] gain of amplifier {state.name}")
        if state.rdnoise is not None:
            header[f"RDNOISE{state.name}"] = (
                state.rdnoise,
                f"[electron] read noise of amplifier {state.name}",
            )
        if state.saturate < float("inf"):
            header[f"SATURAT{state.name}"] = (
                round(state.saturate, 1),
                f"[{unit}] saturation of amplifier {state.name}",
            )
    gains = [s.gain for s in states if s.gain is not None]
    noises = [s.rdnoise for s in states if s.rdnoise is not None]
    if gains and min(gains) == max(gains):
        header["GAIN"] = (gains[0], f"[electron/{unit}] gain")
    if noises:
        header["RDNOISE"] = (round(sum(noises) / len(noises), 4), "[electron] mean read noise")
    full = min(s.saturate for s in states)
    if full < float("inf"):
        header["SATURATE"] = (round(full, 1), f"[{unit}] lowest saturation of the amplifiers")
