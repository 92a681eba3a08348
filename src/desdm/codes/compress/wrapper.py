"""Wrappers of ``fpack`` (a Rice-compressed copy of an image) and ``finish`` (the reduced image as the archive keeps it)."""

from __future__ import annotations

from pathlib import Path

from desdm.codes.compress.finish import complete, zero_of
from desdm.codes.provenance import stamp
from desdm.codes.psf.model import read_model
from desdm.errors import ProgramFailed
from desdm.framework.wrapper import Task
from desdm.survey.imageio import write_planes
from desdm.survey.images import Planes, read_planes

__all__ = ["finish", "fpack"]


def fpack(task: Task) -> None:
    """Compress ``image`` to ``packed`` (the same file type, name with .fz)."""
    out = task.output("packed")
    out.unlink(missing_ok=True)
    flags = task.text("fpack_flags", "-q 4").split()
    task.run("fpack", [*flags, "-O", out, task.input("image")])
    if not out.is_file():
        raise ProgramFailed(f"{task.name}: fpack did not write {out.name}")
    task.metric(
        "compression", task.input("image").stat().st_size / out.stat().st_size, text="size before over after"
    )


def finish(task: Task) -> None:
    """Write the reduced image: ``image`` with its zero point (``zeropoints``) and seeing (``psf``), both optional.

    Output ``image`` (red_immask), tile-compressed, quantised at a quarter of the noise that its weights tell.
    """
    planes = task.read_input("image", read_planes)
    table, psf = task.optional("zeropoints"), task.optional("psf")
    zero = zero_of(table, int(planes.header.get("CCDNUM", 0))) if table else None
    fwhm = None
    if psf is not None:
        ny, nx = planes.shape
        fwhm = read_model(psf).moments(nx / 2, ny / 2)[0]
    complete(planes, zero, fwhm)
    stamp(planes.header, task.keys, task.execs, task.output("image").name)
    threads = int(task.number("threads", 1))

    def write(path: Path, value: Planes) -> None:
        write_planes(path, value, threads=threads, as_stored=True)

    task.write_output("image", planes, write)
    size = task.output("image").stat().st_size
    task.metric("goodfrac", float(planes.header["GOODFRAC"]), text="fraction of pixels with weight")
    task.metric(
        "bits_per_pixel", 8.0 * size / planes.sci.size, "bit", text="size of the three planes on disk"
    )
