"""State of each amplifier during detrending, and its keywords in the header."""

from __future__ import annotations

from dataclasses import dataclass, field

from astropy.io import fits

from desdm.errors import FileTypeError
from desdm.survey.amplifiers import amp_numbers
from desdm.survey.findings import Finding
from desdm.survey.raw import Amp
from desdm.survey.sections import Section, parse_section

__all__ = ["State", "cleaned", "of_image", "of_raw", "write_states"]

_RAW_ONLY = ("DATASEC", "BIASSEC", "PRESEC", "POSTSEC", "TRIMSEC")


@dataclass(slots=True)
class State:
    """One amplifier: its place in the image and, in the unit that the image has reached, what limits its pixels.

    ``gain`` electrons per unit of the image, ``rdnoise`` electrons, ``saturate`` in the image's unit (infinity: not known).
    ``findings`` say why one of them is not known.
    """

    name: str
    place: Section
    gain: float | None
    rdnoise: float | None
    saturate: float
    findings: tuple[Finding, ...] = field(default=())

    def known_gain(self, where: str) -> float:
        """The gain; `FileTypeError` if the header does not tell it."""
        if self.gain is None:
            raise self._unknown(where, f"GAIN{self.name}", "gain and weight need it; correct the header")
        return self.gain

    def known_noise(self, where: str) -> float:
        """The read noise; `FileTypeError` if the header does not tell it."""
        if self.rdnoise is None:
            raise self._unknown(where, f"RDNOISE{self.name}", "the weight needs it; correct the header")
        return self.rdnoise

    def known_saturation(self, where: str) -> float:
        """The saturation, infinity without a keyword of it; `FileTypeError` if what the header has cannot be."""
        key = f"SATURAT{self.name or 'E'}"
        if any(f.key == key and f.value for f in self.findings):
            need = "the step 'saturate' needs it; correct the header, or take the step out of 'steps'"
            raise self._unknown(where, key, need)
        return self.saturate

    def _unknown(self, where: str, key: str, need: str) -> FileTypeError:
        """Return the error on a number that is not known: what the header has instead, and what needs it."""
        odd = next((f for f in self.findings if f.key == key and f.value), None)
        why = f"{key} is {odd.value}: {odd.text}" if odd else f"no {key} in the header"
        return FileTypeError(f"{where}: {why}; {need}")


def of_raw(amps: tuple[Amp, ...]) -> list[State]:
    """States of a CCD as it was read."""
    return [
        State(
            a.name,
            a.trimmed,
            a.gain,
            a.rdnoise,
            float("inf") if a.saturate is None else float(a.saturate),
            a.findings,
        )
        for a in amps
    ]


def of_image(header: fits.Header, shape: tuple[int, int]) -> list[State]:
    """States of an image that is detrended in part, from the keywords that `write_states` left."""
    amplifiers = []
    for name in [n for n in "ABCDEFGH" if f"AMPSEC{n}" in header] or [""]:
        place = parse_section(str(header[f"AMPSEC{name}"])) if name else Section(1, shape[1], 1, shape[0])
        if place is None or not place.fits(shape):
            raise FileTypeError(f"AMPSEC{name} {header[f'AMPSEC{name}']!r} does not fit the image")
        known = amp_numbers(header.get, name)
        full = float("inf") if known.saturate is None else known.saturate
        amplifiers.append(State(name, place, known.gain, known.rdnoise, full, known.findings))
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
    # Unknown values must not be given in the unit or the keywords of the raw frame.
    for state in states:
        for stem, known in (
            ("GAIN", state.gain is not None),
            ("RDNOISE", state.rdnoise is not None),
            ("SATURAT", state.saturate < float("inf")),
        ):
            if not known:
                header.remove(f"{stem}{state.name}", ignore_missing=True)
    if all(s.saturate == float("inf") for s in states):
        header.remove("SATURATE", ignore_missing=True)
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
