"""What the main job costs on a simulated patch: seconds a megapixel and an object, ours and the programs' share."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from common import emit
from desdm.simulate.patch import make
from tests.support.tasks import Coadd

TILE = {
    "tilename": "DES0200-0500",
    "tile_ra": "30.0",
    "tile_dec": "-5.0",
    "tile_naxis": "1100",
    "tile_pixscale": "0.263",
}


def _cpu(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Simulate nine exposures in three bands and run every wrapper on them, one after another."""
    with tempfile.TemporaryDirectory() as folder:
        start, own = time.perf_counter(), _cpu(resource.RUSAGE_SELF)
        truth = make(Path(folder) / "sky", seed=1)
        pixels = len(truth.images) * 1024**2 / 1e6
        emit("coadd.simulate", (_cpu(resource.RUSAGE_SELF) - own) / pixels, "cpu s/Mpix", len(truth.images))
        out = Path(folder) / "run"
        out.mkdir()
        work = Coadd(out, TILE, refcat=[truth.refcat])
        start, own = time.perf_counter(), _cpu(resource.RUSAGE_SELF)
        for image in truth.images:
            work.exposure(image)
        work.finish()
        wall, own = time.perf_counter() - start, _cpu(resource.RUSAGE_SELF) - own
        programs = sum(e.utime + e.stime for t in work.tasks for e in t.execs)
        # The floor is what the programs themselves take: all above it is our reading, writing and checking.
        emit("coadd.mainjob", own + programs, "cpu s", len(truth.images), floor=programs, wall=wall)
        count = next(
            m.value for t in work.tasks if t.name == "objects" for m in t.metrics if m.name == "nobjects"
        )
        emit("coadd.perobject", (own + programs) / count, "cpu s/object", int(count))


if __name__ == "__main__":
    main()
