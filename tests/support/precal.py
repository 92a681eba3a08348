"""Runs precal's wrappers by hand over a simulated night, as a job would, one folder for all files."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from desdm.framework.wrapper import Finding, LogTee, Metric, Task
from desdm.survey.raw import open_raw
from tests.support.tasks import settings_of

__all__ = ["Precal", "wrap"]


def wrap(
    wrapper: str,
    work: Path,
    inputs: Mapping[str, Sequence[Path]],
    outputs: Mapping[str, Path],
    keys: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
    excluded: Mapping[str, frozenset[int]] | None = None,
) -> Task:
    """Run a wrapper of ``codes/calibrate``; what it gives is written, what it leaves out is not there."""
    work.mkdir(parents=True, exist_ok=True)
    module, _, name = f"desdm.codes.calibrate.{wrapper}".rpartition(".")
    settings = settings_of(f"{module}.{name}")
    for key, value in (more or {}).items():
        settings[key] = {**settings.get(key, {}), **value} if isinstance(value, Mapping) else value
    task = Task(
        name=name,
        keys={"reqnum": "1", "unitname": "NITE", "attnum": "1", **(keys or {})},
        settings=settings,
        inputs={k: tuple(p for p in v if p.is_file()) for k, v in inputs.items()},
        outputs=dict(outputs),
        workdir=work,
        log=LogTee(work / f"{name}.log"),
        excluded=excluded or {},
        archived_outputs=frozenset(outputs),
    )
    getattr(importlib.import_module(module), name)(task)
    task.log.close()
    return task


@dataclass
class Precal:
    """Precal of some raw files; ``files`` by label, findings and metrics of every wrapper."""

    out: Path
    raw: Sequence[Path]
    constants: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    metrics: list[Metric] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.headers = {p: open_raw(p).header for p in self.raw}
        self.zeros = [p for p in self.raw if self.headers[p]["OBSTYPE"] == "zero"]
        self.ccds = sorted({c.ccdnum for p in self.raw for c in open_raw(p).ccds})

    def flats(self, band: str) -> list[Path]:
        """Dome flats whose header names the band."""
        return [
            p
            for p, h in self.headers.items()
            if h["OBSTYPE"] == "dome flat" and h["BAND"] == band and "ramp" not in h["OBJECT"]
        ]

    def path(self, *parts: object) -> Path:
        """Name of a product."""
        return self.out / ("_".join(map(str, parts)) + ".fits")

    def do(
        self, wrapper: str, inputs: Mapping[str, Sequence[Path]], outputs: Mapping[str, Path], **keys: str
    ) -> Task:
        """One wrapper."""
        task = wrap(f"wrapper.{wrapper}", self.out / "work", inputs, outputs, keys, self.more)
        self.findings += task.log.drain()
        self.metrics += task.metrics
        return task

    def biases(self) -> None:
        """Blocks bias-exp and bias-ccd."""
        minis = [self.path("minibias", p.name[6:14]) for p in self.zeros]
        for raw, mini in zip(self.zeros, minis, strict=True):
            self.do("minibias", {"raw": [raw]}, {"mini": mini})
        frames = self.path("biasframes")
        self.do("sift_biases", {"minis": minis}, {"frames": frames})
        for ccd in self.ccds:
            self.do(
                "mkbiascor",
                {"raw": self.zeros, "frames": [frames]},
                {"biascor": self.path("biascor", ccd)},
                ccdnum=str(ccd),
            )

    def campaign(self, band: str) -> None:
        """What supercal measures: linearity, crosstalk, then flats with them and bad pixels."""
        ramps = [p for p, h in self.headers.items() if "ramp" in h["OBJECT"]]
        fields = [p for p, h in self.headers.items() if h["OBJECT"] == "crosstalk field"]
        biases = [self.path("biascor", c) for c in self.ccds]
        tables = [self.path("ramp", c) for c in self.ccds]
        for ccd, bias, table in zip(self.ccds, biases, tables, strict=True):
            self.do("ramp", {"raw": ramps, "biascor": [bias]}, {"ramp": table}, ccdnum=str(ccd))
        lintable, crosstalk = self.path("lintable"), self.out / "xtalk.txt"
        self.do("mklintable", {"ramps": tables}, {"lintable": lintable})
        self.do("mkcrosstalk", {"raw": fields, "biascors": biases}, {"crosstalk": crosstalk})
        self.constants = {**self.constants, "lintable": [lintable], "crosstalk": [crosstalk]}
        self.domes(band, masked=False)
        for ccd, bias, table in zip(self.ccds, biases, tables, strict=True):
            flats = [self.path("flatcor", band, ccd)]
            self.do(
                "mkbpm",
                {"biascor": [bias], "flatcors": flats, "ramp": [table]},
                {"bpm": self.path("bpm", ccd)},
                ccdnum=str(ccd),
            )
        self.scale(band)

    def domes(self, band: str, *, masked: bool = True) -> None:
        """Blocks dflat-exp, dflat-band, dflat-ccd for one band."""
        raw = self.flats(band)
        minis = [self.path("miniflat", p.name[6:14]) for p in raw]
        for one, mini in zip(raw, minis, strict=True):
            self.do("miniflat", {"raw": [one], **self._given("lintable")}, {"mini": mini})
        frames, norm = self.path("flatframes", band), self.out / f"flatnorm_{band}.json"
        self.do("sift_flats", {"minis": minis}, {"frames": frames}, band=band)
        self.do("find_norm", {"minis": minis, "frames": [frames]}, {"flatnorm": norm}, band=band)
        for ccd in self.ccds:
            keys = {"ccdnum": str(ccd), "band": band}
            combined = self.path("flatcor", band, ccd)
            inputs = {"raw": raw, "frames": [frames], "biascor": [self.path("biascor", ccd)]}
            self.do(
                "mkflatcor",
                inputs | self._given("lintable", "crosstalk", "bf"),
                {"flatcor": combined},
                **keys,
            )
        if masked:
            self.scale(band)

    def scale(self, band: str) -> None:
        """Block dflat-ccd's last module, and dflat-band."""
        for ccd in self.ccds:
            inputs = {
                "flatcor": [self.path("flatcor", band, ccd)],
                "flatnorm": [self.out / f"flatnorm_{band}.json"],
                "bpm": [self.path("bpm", ccd)],
            }
            flat = self.path("dflatcor", band, ccd)
            self.do("scale_flat", inputs, {"dflatcor": flat}, ccdnum=str(ccd), band=band)
        flats = [self.path("dflatcor", band, c) for c in self.ccds]
        self.do("normcombine", {"dflatcors": flats}, {"mini": self.path("normflat", band)}, band=band)

    def _given(self, *names: str) -> dict[str, Sequence[Path]]:
        return {n: self.constants[n] for n in names if n in self.constants}
