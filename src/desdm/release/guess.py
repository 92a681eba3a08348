"""Guess unit, UCD and text of a column from its name."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Guess", "guess"]


class Guess(NamedTuple):
    """Unit, UCD and text that a name suggests."""

    unit: str
    ucd: str
    text: str


#: Pattern on the lower-case name → unit, UCD, text; the first that fits.
_RULES: tuple[tuple[str, str, str, str], ...] = (
    (r"hpix\d*|healpix.*|_healpix_\d+", "", "pos.healpix", "HEALPix number"),
    (r"(ra|raj2000|alpha\w*|ra_\w+|\w+_ra)", "deg", "pos.eq.ra", "right ascension"),
    (
        r"(de|dec|decj2000|dej2000|delta_?j2000|deltawin\w*|dec_\w+|\w+_dec)",
        "deg",
        "pos.eq.dec",
        "declination",
    ),
    (r"(gal_?)?l(on)?|glon", "deg", "pos.galactic.lon", "Galactic longitude"),
    (r"(gal_?)?b|glat", "deg", "pos.galactic.lat", "Galactic latitude"),
    (r"(e_|err_?|sigma_?)mag\w*|(\w+_)?mag_?err\w*", "mag", "stat.error;phot.mag", "error of a magnitude"),
    (r"mag\w*|\w+_mag|[ugrizy]mag", "mag", "phot.mag", "magnitude"),
    (r"(e_|err_?)?flux_?err\w*|\w+_flux_?err\w*", "", "stat.error;phot.flux", "error of a flux"),
    (r"flux\w*|\w+_flux", "", "phot.flux", "flux"),
    (r"parallax", "mas", "pos.parallax", "parallax"),
    (r"pm_?ra\w*", "mas/yr", "pos.pm;pos.eq.ra", "proper motion in right ascension"),
    (r"pm_?de\w*", "mas/yr", "pos.pm;pos.eq.dec", "proper motion in declination"),
    (r"z|zphot|photoz\w*|z_\w+|redshift\w*|zspec", "", "src.redshift", "redshift"),
    (r"\w*mjd\w*", "d", "time.epoch", "modified Julian date"),
    (r"(date|time|epoch)\w*", "", "time.epoch", "time"),
    (r"exptime\w*", "s", "time.duration;obs.exposure", "exposure time"),
    (r"\w*(flag|flags|mask)\w*", "", "meta.code", "flag"),
    (r"tilename|tile", "", "meta.id;obs.field", "tile"),
    (r"band|filter", "", "instr.bandpass", "band"),
    (r"(\w*_)?(id|objid|object_id|number|source_id)", "", "meta.id", "identifier"),
    (r"n_?\w*obs|n_?exp\w*|nepochs?\w*|count|n", "", "meta.number", "number"),
    (r"name|\w+_name|designation", "", "meta.id", "name"),
    (r"class\w*|type", "", "src.class", "class"),
    (r"spread_model\w*", "", "src.class.starGalaxy", "how much it is more extended than the PSF"),
    (r"ebv\w*|ebmv", "mag", "phot.color.excess", "reddening"),
    (r"\w*err\w*|e_\w+|sigma_\w+", "", "stat.error", "error"),
)


def guess(name: str, datatype: str) -> Guess:
    """Return unit, UCD and text that a column's name suggests; the text names it as a guess.

    Examples
    --------
    >>> guess("mag_auto_g", "float")
    Guess(unit='mag', ucd='phot.mag', text='magnitude (guessed from the name mag_auto_g)')
    """
    lower = name.lower()
    number = datatype not in ("char", "unicodeChar", "boolean")
    for pattern, unit, ucd, text in _RULES:
        if re.fullmatch(pattern, lower) and (number or not unit):
            return Guess(unit, ucd, f"{text} (guessed from the name {name})")
    return Guess("", "meta.note" if not number else "stat.value", f"{name} (without description)")
