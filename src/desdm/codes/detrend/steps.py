"""The steps of detrending by name, in DESDM's order, and the keywords that say which are done."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from astropy.io import fits

from desdm.errors import UsageError

__all__ = ["STEPS", "Step", "chosen", "done", "record"]


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    Attributes
    ----------
    name
        As the setting ``steps`` names it.
    keyword
        Of the header, set when the step is done: name of the calibration file, or how it was done.
    calibration
        Input that it needs, or empty.
    text
        What it does.
    """

    name: str
    keyword: str
    calibration: str
    text: str


#: In the order of DESDM's pixcorrect.
STEPS: tuple[Step, ...] = (
    Step("crosstalk", "DESXTALK", "crosstalk", "what other amplifiers wrote into this one"),
    Step("overscan", "DESOSCN", "", "level of each row"),
    Step("bias", "DESBIAS", "biascor", "structure of the bias above the overscan"),
    Step("linearity", "DESLINCR", "lintable", "observed to linear ADU, by amplifier"),
    Step("bpm", "DESBPM", "bpm", "known bad pixels marked"),
    Step("saturate", "DESSAT", "", "full pixels marked"),
    Step("gain", "DESGAINC", "", "ADU to electrons"),
    Step("fixcols", "DESFIXC", "bpm", "columns with a constant offset set right"),
    Step("bf", "DESBFC", "bf", "charge that bright pixels pushed away put back"),
    Step("flat", "DESFLAT", "dflatcor", "divided by the dome flat"),
    Step("weight", "DESWGT", "", "inverse variance from read noise, flat and sky"),
    Step("nullweight", "DESNULLW", "", "weight 0 under the bits of null_mask"),
    Step("resaturate", "DESRESAT", "", "full pixels raised above SATURATE"),
    Step("lightbulb", "DESBULB", "", "looks for light that a CCD makes itself"),
    Step("cticheck", "DESCTI", "", "looks for charge left behind in read-out"),
    Step("sky", "DESSKYSB", "skyfit", "fitted sky subtracted"),
    Step("starflat", "DESSTAR", "starflat", "divided by the star flat"),
)
_BY_NAME = {step.name: step for step in STEPS}


def chosen(text: str) -> tuple[str, ...]:
    """Names of a comma list, in the order in which they are done.

    Raises
    ------
    UsageError
        A name is not a step.
    """
    names = [part.strip() for part in text.split(",") if part.strip()]
    for name in names:
        if name not in _BY_NAME:
            raise UsageError(f"steps: {name!r} is not a step of detrending; known: {', '.join(_BY_NAME)}")
    return tuple(step.name for step in STEPS if step.name in names)


def done(header: fits.Header, names: Iterable[str]) -> tuple[str, ...]:
    """Those of the steps that the header records already."""
    return tuple(name for name in names if _BY_NAME[name].keyword in header)


def record(header: fits.Header, name: str, how: str) -> None:
    """Write that a step is done, and by which file or in what way.

    No date is written: the same inputs must give the same bytes.

    Parameters
    ----------
    header
        Header of the image, changed in place.
    name
        Name of the step.
    how
        File of the calibration, or method.
    """
    step = _BY_NAME[name]
    # A card has 80 columns, a value reaches column 30 at least, and the name goes before the comment.
    room = 80 - max(30, 12 + len(how)) - len(" / ")
    header[step.keyword] = (how, step.text[: max(room, 0)].rstrip())
