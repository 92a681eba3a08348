"""Compare two attempts by their records."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from sqlalchemy import Connection

from desdm.archive.archive import Archive
from desdm.framework import store as attempts
from desdm.framework.model import Attempt
from desdm.framework.process import current_state
from desdm.framework.sections import Settings
from desdm.framework.watch import store as watch
from desdm.operations.compare import store
from desdm.operations.compare.contents import compare_files
from desdm.operations.compare.model import (
    CalibrationDifference,
    Comparison,
    Difference,
    MessageCount,
    MetricDifference,
    RunTimes,
    Side,
)

__all__ = ["compare_calibrations", "compare_runs"]

#: Deepest level of messages that are compared one by one.
_COMPARED = 2
#: Absolute paths in messages, which differ with the work folder.
_PATH = re.compile(r"(?<![\w/])/(?:[\w.+~-]+/)+")


def compare_runs(
    conn: Connection, archive: Archive, first: str, second: str, *, pixels: bool = False
) -> Comparison:
    """Compare two attempts: what differs in what went in, in what ran, and in what came out.

    Names of runs, paths and times are no differences.

    Parameters
    ----------
    conn
        The database.
    archive
        The archive that holds the files.
    first, second
        Names of the attempts.
    pixels
        Compare the contents of images and catalogues too.

    Returns
    -------
    Comparison
        Each difference.

    Raises
    ------
    NotFoundError
        There is no such run.
    """
    one, two = attempts.attempt_by_name(conn, first), attempts.attempt_by_name(conn, second)
    inputs = store.inputs(conn, one.id), store.inputs(conn, two.id)
    outputs = store.outputs(conn, one.id, archive.name), store.outputs(conn, two.id, archive.name)
    return Comparison(
        _side(one),
        _side(two),
        tuple(_differences(_settings(conn, one), _settings(conn, two))),
        tuple(sorted(inputs[0] - inputs[1], key=lambda file: file.filename)),
        tuple(sorted(inputs[1] - inputs[0], key=lambda file: file.filename)),
        tuple(compare_calibrations(store.calibrations(conn, one.id), store.calibrations(conn, two.id))),
        tuple(_differences(_software(conn, one), _software(conn, two))),
        tuple(_messages(conn, one, two)),
        tuple(_metrics(conn, one, two)),
        tuple(_differences(store.verdict_numbers(conn, one.id), store.verdict_numbers(conn, two.id))),
        tuple(_differences(_counts(outputs[0]), _counts(outputs[1]))),
        (_times(conn, one), _times(conn, two)),
        tuple(compare_files(archive, (one, outputs[0]), (two, outputs[1]))) if pixels else None,
    )


def _side(attempt: Attempt) -> Side:
    """Return what an attempt is."""
    state = current_state(attempt)
    return Side(attempt.run, attempt.pipeline, state.value, attempt.data_state.value, attempt.run_class.value)


def _differences(
    before: Mapping[str, str | float | None], after: Mapping[str, str | float | None]
) -> Iterator[Difference]:
    """Yield the keys whose values differ, in order."""
    for key in sorted({*before, *after}):
        values = before.get(key), after.get(key)
        if not _equal(*values):
            yield Difference(key, *values)


def _equal(before: object, after: object) -> bool:
    """Tell whether two values are the same; not a number equals not a number."""
    nan = all(isinstance(value, float) and math.isnan(value) for value in (before, after))
    return nan or before == after


def _own_text(attempt: Attempt) -> Callable[[str], str]:
    """Return a function that takes the name of a run and its directory out of a text."""
    # Names of files hold request and attempt apart from the unit.
    number = attempt.run.removeprefix(attempt.unitname)
    names = sorted({attempt.run, attempt.archive_path or attempt.run, number}, key=len, reverse=True)

    def neutral(text: str) -> str:
        """Return the text without what is of the run alone."""
        for name in names:
            text = text.replace(name, "RUN")
        return text

    return neutral


def _settings(conn: Connection, attempt: Attempt) -> dict[str, str | float | None]:
    """Return every setting of an attempt as it held, by dotted key: those of the run, and of each module over them."""
    configuration = watch.configuration(conn, attempt.id)
    neutral = _own_text(attempt)
    flat = dict(_flat(configuration.settings)) | dict(_flat(configuration.modules))
    return {key: neutral(value) for key, value in flat.items()}


def _flat(tree: Settings, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the values of nested settings with their dotted keys."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{key}.")
        else:
            yield f"{path}{key}".lower(), str(value)


def _software(conn: Connection, attempt: Attempt) -> dict[str, str | float | None]:
    """Return the versions of the programs of an attempt, and of desdm itself, each with its digest."""
    software: dict[str, str | float | None] = {}
    for own in watch.configuration(conn, attempt.id).software:
        software[own["name"]] = _version(own["version"], own["digest"])
    programs: dict[str, list[str]] = {}
    for program in watch.software(conn, attempt.id):
        programs.setdefault(program["name"], []).append(_version(program["version"], program["digest"]))
    software |= {name: ", ".join(sorted(versions)) for name, versions in programs.items()}
    return software


def _version(version: str, digest: str | None) -> str:
    """Return a version without the state of its work tree: the digest says what it is."""
    if not digest:
        return version
    release = version.split(".g")[0]
    return release if digest[:12] in release else f"{release} [{digest[:12]}]"


def compare_calibrations(
    before: Iterable[store.TakenCalibration], after: Iterable[store.TakenCalibration]
) -> Iterator[CalibrationDifference]:
    """Yield the calibrations that differ, by type, CCD and band.

    Parameters
    ----------
    before, after
        Calibrations of two attempts, or of an attempt and of a plan.
    """
    sides = []
    for calibrations in (before, after):
        by_use: dict[tuple[str, int | None, str], list[store.TakenCalibration]] = {}
        for taken in calibrations:
            by_use.setdefault((taken.filetype, taken.ccdnum, taken.band), []).append(taken)
        sides.append(by_use)
    for use in sorted({*sides[0], *sides[1]}, key=lambda use: (use[0], use[1] or 0, use[2])):
        chosen = sides[0].get(use, []), sides[1].get(use, [])
        names = [", ".join(taken.filename for taken in side) for side in chosen]
        rules = [", ".join(sorted({taken.rule for taken in side})) for side in chosen]
        if names[0] != names[1]:
            yield CalibrationDifference(use[0], use[1], use[2], *names, *rules)


def _messages(conn: Connection, one: Attempt, two: Attempt) -> Iterator[MessageCount]:
    """Yield the counts of messages by level, and those errors and warnings that only one attempt has."""
    sides: list[dict[int, Counter[str]]] = []
    for attempt in (one, two):
        neutral = _own_text(attempt)
        levels: dict[int, Counter[str]] = {}
        for message in watch.messages(conn, attempt.id):
            text = f"{message.module} {message.wrapkeys}: {_PATH.sub('', neutral(message.text))}".replace(
                " :", ":"
            )
            levels.setdefault(message.level, Counter())[text] += 1
        sides.append(levels)
    for level in sorted({*sides[0], *sides[1]}):
        before, after = sides[0].get(level, Counter()), sides[1].get(level, Counter())
        only = (before - after, after - before) if level <= _COMPARED else (Counter(), Counter())
        yield MessageCount(
            level,
            before.total(),
            after.total(),
            tuple(sorted(only[0].elements())),
            tuple(sorted(only[1].elements())),
        )


def _metrics(conn: Connection, one: Attempt, two: Attempt) -> Iterator[MetricDifference]:
    """Yield the QA numbers that differ."""
    sides = [
        {(m["modname"], m["wrapkeys"], m["band"], m["name"]): m for m in watch.metrics(conn, attempt.id)}
        for attempt in (one, two)
    ]
    for key in sorted({*sides[0], *sides[1]}):
        rows = sides[0].get(key), sides[1].get(key)
        before, after = (None if row is None else row["value"] for row in rows)
        if _equal(before, after):
            continue
        unit = next(row["unit"] for row in rows if row is not None)
        difference = None if before is None or after is None else after - before
        yield MetricDifference(*key, unit, before, after, difference)


def _counts(files: Sequence[store.OutputFile]) -> dict[str, str | float | None]:
    """Return how many files of each type an attempt made; logs and lists of its own aside."""
    counts = Counter(file.filetype for file in files)
    return {name: float(count) for name, count in counts.items() if name not in ("log", "wcl", "junktar")}


def _times(conn: Connection, attempt: Attempt) -> RunTimes:
    """Return the times of an attempt."""
    first, last = store.span(conn, attempt.id)
    wall = None if first is None or last is None else (last - first).total_seconds()
    return RunTimes(wall, store.cpu_seconds(conn, attempt.id), store.module_seconds(conn, attempt.id))
