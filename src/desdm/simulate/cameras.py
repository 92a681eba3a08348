"""The cameras by name."""

from __future__ import annotations

from pathlib import Path

from desdm.errors import UsageError
from desdm.simulate.instrument import Camera, decam, mini

__all__ = ["camera_of"]


def camera_of(name: str, instrument: Path | None = None) -> Camera:
    """Return a camera: 'mini', or 'decam' with built-in constants or those of a folder of DECam's instrument files.

    Raises
    ------
    UsageError
        No such camera, or an instrument folder for a camera that takes none.
    """
    if name == "mini":
        if instrument is not None:
            raise UsageError("the mini camera takes no instrument folder; leave --instrument away")
        return mini()
    if name == "decam":
        if instrument is None:
            return decam()
        from desdm.simulate.decamdata import real_decam

        return real_decam(instrument)
    raise UsageError(f"no camera {name!r}; there are mini and decam")
