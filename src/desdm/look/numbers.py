"""Finds the numbers of a run by name: those of quality assurance, and those of an exposure's assessment."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from desdm.errors import NotFoundError, UsageError
from desdm.look.installation import listed
from desdm.operations.report.gather import Metric, RunFacts

__all__ = ["CcdOutline", "assessed_metrics", "named", "names_of", "outlines"]

_UNITS = {
    "fwhm_mean": "arcsec",
    "mag_zero": "mag",
    "sigma_mag_zero": "mag",
    "scamp_rms": "mas",
    "skybrite": "electron",
}
#: Numbers of an assessment that tell what a CCD is.
_IDENTITY = ("ccdnum", "ra", "dec")


@dataclass(frozen=True, slots=True)
class CcdOutline:
    """Corners of a CCD on the sky, right ascension and declination in turn [deg], and its name in the camera."""

    ccdnum: int
    name: str
    corners: tuple[tuple[float, float], ...]


def names_of(metrics: Iterable[Metric]) -> tuple[str, ...]:
    """Return the names of numbers, with the module before those that several modules have."""
    modules: dict[str, list[str]] = {}
    for m in metrics:
        if m.module not in modules.setdefault(m.name, []):
            modules[m.name].append(m.module)
    plain = [name for name, of in modules.items() if len(_measured(of)) == 1]
    return (*plain, *(f"{module}.{name}" for name, of in modules.items() if len(of) > 1 for module in of))


def named(metrics: Sequence[Metric], name: str, subject: str) -> list[Metric]:
    """Return the numbers of a name.

    Parameters
    ----------
    metrics
        Where to look.
    name
        Name, or ``module.name`` where several modules have the name. A number of the assessment needs its module only
        where the name is also that of a number of quality assurance, which counts then.
    subject
        What the numbers are of, for messages.

    Raises
    ------
    NotFoundError
        No number has the name; the message lists the names.
    UsageError
        Several modules have it.
    """
    found = [m for m in metrics if name in (m.name, f"{m.module}.{m.name}")]
    modules = list(dict.fromkeys(m.module for m in found))
    if not found:
        raise NotFoundError(
            f"{subject} has no number {name!r}; its numbers: {listed(names_of(metrics), 100)}"
        )
    if len(modules) > 1 and "." not in name:
        modules = _measured(modules)
        if len(modules) > 1:
            choice = ", ".join(f"{module}.{name}" for module in modules)
            raise UsageError(f"{subject}: several modules measured {name!r}; choose one of {choice}")
        found = [m for m in found if m.module in modules]
    return found


def _measured(modules: Sequence[str]) -> list[str]:
    """Return the modules without the assessment, which repeats what others measured; of itself alone it counts."""
    return [module for module in modules if module != "assess"] or list(modules)


def assessed_metrics(facts: RunFacts) -> list[Metric]:
    """Return the numbers of each CCD in the assessment of a run (file type ``qa_assess``), as numbers of ``assess``."""
    return [
        Metric("assess", {"ccdnum": str(ccd.number)}, ccd.band, name, value, _UNITS.get(name, ""), "")
        for ccd in _assessed(facts)
        for name, value in ccd.numbers.items()
    ]


def outlines(facts: RunFacts) -> list[CcdOutline]:
    """Return the outlines of the CCDs in the assessment of a run, by number."""
    found = [CcdOutline(ccd.number, ccd.name, ccd.corners) for ccd in _assessed(facts) if ccd.corners]
    return sorted(found, key=lambda one: one.ccdnum)


@dataclass(frozen=True, slots=True)
class _Assessed:
    """A CCD in the document of an assessment."""

    number: int
    name: str
    band: str
    corners: tuple[tuple[float, float], ...]
    numbers: Mapping[str, float]


def _assessed(facts: RunFacts) -> list[_Assessed]:
    """Return the CCDs in the documents of the assessments of a run."""
    ccds = []
    for record in facts.of_type("qa_assess"):
        document = json.loads(facts.path(record).read_text("utf-8"))
        for entry in document.get("ccds") or ():
            corners = tuple(
                (float(ra), float(dec)) for ra, dec in entry.get("corners") or () if ra is not None
            )
            numbers = {
                name: float(value)
                for name, value in entry.items()
                if name not in _IDENTITY and isinstance(value, int | float) and not isinstance(value, bool)
            }
            band = str(document.get("band") or "")
            ccds.append(_Assessed(int(entry["ccdnum"]), str(entry.get("name") or ""), band, corners, numbers))
    return ccds
