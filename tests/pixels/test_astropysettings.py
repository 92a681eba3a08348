"""The settings of astropy.io.fits are kept, and still obey who sets them."""

from __future__ import annotations

from astropy.io import fits

from desdm.pixels.astropysettings import keep_settings


def test_a_setting_that_is_set_holds_at_once() -> None:
    keep_settings()
    keep_settings()
    card = "NAME    = 'a       '".ljust(80)
    assert fits.Header.fromstring(card)["NAME"] == "a"
    with fits.conf.set_temp("strip_header_whitespace", False):
        assert fits.Header.fromstring(card)["NAME"] == "a       "
    assert fits.Header.fromstring(card)["NAME"] == "a"


def test_a_value_of_a_wrong_type_is_still_refused() -> None:
    keep_settings()
    before = fits.conf.strip_header_whitespace
    try:
        fits.conf.strip_header_whitespace = "perhaps"
    except TypeError:
        pass
    else:
        raise AssertionError("a text was taken for a boolean")
    assert fits.conf.strip_header_whitespace is before


def test_a_reload_reads_the_value_anew() -> None:
    keep_settings()
    fits.conf.strip_header_whitespace = False
    fits.conf.reload("strip_header_whitespace")
    assert fits.conf.strip_header_whitespace is True
