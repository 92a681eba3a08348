"""A quick look at an installation from a notebook: exposures, CCDs, tiles, nights and runs as Python objects; read only.

``from desdm import look`` imports nothing else: what a function needs is imported when it is called.
"""

from __future__ import annotations

from desdm.look.entry import catalog, exposure, lineage, night, run, tile

__all__ = ["catalog", "exposure", "lineage", "night", "run", "tile"]
