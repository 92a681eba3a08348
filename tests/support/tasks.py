"""Runs wrappers one after another without the framework: builds a Task for each, as a job would."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from astropy.io import fits

import desdm.wcl
from desdm.framework.wrapper import LogTee, Task

__all__ = ["Coadd", "run", "settings_of"]

VERSIONS: dict[str, str] = {}


def settings_of(wrapper: str) -> dict[str, Any]:
    """The settings of ``desdm.codes.psf.wrapper.psfex``: its config.wcl, the module's own section on top."""
    module, _, name = wrapper.rpartition(".")
    folder = Path(importlib.import_module(module).__file__ or "").parent
    tree: dict[str, Any] = dict(desdm.wcl.read(str(folder / "config.wcl")).tree)
    return {**{k: v for k, v in tree.items() if k == "exec" or isinstance(v, str)}, **tree.get(name, {})}


def run(
    wrapper: str,
    work: Path,
    inputs: Mapping[str, Sequence[Path]],
    outputs: Mapping[str, Path],
    keys: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> Task:
    """Run one wrapper in ``work``; its outputs must be there afterwards."""
    work.mkdir(parents=True, exist_ok=True)
    module, _, name = wrapper.rpartition(".")
    function: Callable[[Task], None] = getattr(importlib.import_module(module), name)
    log = LogTee(work / f"{name}.log")
    task = Task(
        name=name,
        keys={"reqnum": "1", "unitname": "DEMO", "attnum": "1", **(keys or {})},
        settings={**settings_of(wrapper), **(more or {})},
        inputs={k: tuple(v) for k, v in inputs.items()},
        outputs=dict(outputs),
        workdir=work,
        log=log,
        versions=VERSIONS,
        archived_outputs=frozenset(outputs),
    )
    try:
        function(task)
    finally:
        log.close()
    for path in outputs.values():
        assert path.is_file(), f"{wrapper} made no {path.name}"
    return task


@dataclass
class Coadd:
    """The pipeline ``coadd`` by hand: give it images, ask for `exposures` and then `tile`."""

    out: Path
    tile: dict[str, str]
    refcat: Sequence[Path] = ()
    zeropoints: Sequence[Path] = ()
    tasks: list[Task] = field(default_factory=list)
    nwgint: dict[str, list[Path]] = field(default_factory=dict)
    psf: dict[str, list[Path]] = field(default_factory=dict)
    catalog: dict[str, list[Path]] = field(default_factory=dict)
    check: dict[str, list[Path]] = field(default_factory=dict)
    coadd: dict[str, Path] = field(default_factory=dict)
    coaddpsf: dict[str, Path] = field(default_factory=dict)
    coaddcat: dict[str, Path] = field(default_factory=dict)
    footprint: dict[str, Path] = field(default_factory=dict)

    def _run(self, wrapper: str, inputs: Mapping[str, Sequence[Path]], outputs: Mapping[str, Path]) -> Task:
        work = self.out / f"w{len(self.tasks):03d}"
        task = run(
            f"desdm.codes.{wrapper}", work, inputs, outputs, {"tilename": self.tile["tilename"]}, self.tile
        )
        self.tasks.append(task)
        return task

    def exposure(
        self, image: Path, mask: Path | None = None, weight: Path | None = None, psfs: Sequence[Path] = ()
    ) -> None:
        """The block ``exposure`` for one image."""
        stem = image.name.replace(".fits", "")
        names = {k: self.out / f"{stem}_{k}.fits" for k in ("nwgint", "psfcat", "psf", "cat", "check")}
        self._run(
            "nullweight.wrapper.nwgint",
            {
                "image": [image],
                "mask": [mask] if mask else [],
                "weight": [weight] if weight else [],
                "zeropoints": self.zeropoints,
            },
            {"nwgint": names["nwgint"]},
        )
        this = [names["nwgint"]]
        self._run("psf.wrapper.psfcat", {"image": this}, {"catalog": names["psfcat"]})
        self._run(
            "psf.wrapper.psfex",
            {"image": this, "catalog": [names["psfcat"]], "delivered_psf": psfs},
            {"psf": names["psf"]},
        )
        self._run(
            "detection.wrapper.catalog", {"image": this, "psf": [names["psf"]]}, {"catalog": names["cat"]}
        )
        self._run(
            "astrometry.wrapper.check",
            {"image": this, "catalog": [names["cat"]], "refcat": self.refcat},
            {"check": names["check"]},
        )
        band = str(fits.getheader(names["nwgint"], 0)["BAND"])
        for box, key in (
            (self.nwgint, "nwgint"),
            (self.psf, "psf"),
            (self.catalog, "cat"),
            (self.check, "check"),
        ):
            box.setdefault(band, []).append(names[key])

    def finish(self) -> None:
        """The block ``tile``."""
        for band, images in self.nwgint.items():
            self.coadd[band] = self.out / f"coadd_{band}.fits"
            self._run(
                "coadd.wrapper.swarp",
                {"nwgints": images, "catalogs": self.catalog[band]},
                {"coadd": self.coadd[band]},
            )
        coadds = list(self.coadd.values())
        det = self.out / "det.fits"
        self._run("coadd.wrapper.detection", {"coadds": coadds}, {"detection": det})
        for band, image in self.coadd.items():
            self.coaddpsf[band] = self.out / f"coaddpsf_{band}.fits"
            self.coaddcat[band] = self.out / f"coaddcat_{band}.fits"
            self._run(
                "psf.wrapper.coaddpsf",
                {"image": [image], "nwgints": self.nwgint[band], "psfs": self.psf[band]},
                {"psf": self.coaddpsf[band]},
            )
            self._run(
                "detection.wrapper.coaddcat",
                {"image": [image], "detection": [det], "psf": [self.coaddpsf[band]]},
                {"catalog": self.coaddcat[band]},
            )
        self._run(
            "objects.wrapper.objects",
            {"catalogs": list(self.coaddcat.values())},
            {"objects": self.out / "objects.parquet"},
        )
        self._run("coadd.wrapper.color", {"coadds": coadds}, {"color": self.out / "color.png"})
        for band, image in self.coadd.items():
            self._run(
                "coadd.wrapper.depth",
                {"image": [image], "catalog": [self.coaddcat[band]]},
                {"depth": self.out / f"depth_{band}.json"},
            )
            self.footprint[band] = self.out / f"footprint_{band}.fits"
            self._run(
                "footprint.wrapper.footprint",
                {
                    "image": [image],
                    "depth": [self.out / f"depth_{band}.json"],
                    "nwgints": self.nwgint[band],
                },
                {"footprint": self.footprint[band]},
            )
