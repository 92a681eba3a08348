"""Debian packages of the external programs of the codes."""

from __future__ import annotations

__all__ = ["package_of"]

#: Program → its package (Debian 12 and 13), where the two have different names.
_PACKAGES = {"SWarp": "swarp", "fpack": "libcfitsio-bin", "funpack": "libcfitsio-bin"}


def package_of(program: str) -> str:
    """Return the Debian package that has a program."""
    return _PACKAGES.get(program, program)
