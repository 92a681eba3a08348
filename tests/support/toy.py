"""A small pipeline of three modules in two blocks, on text files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from desdm.archive.deposit import deposit
from desdm.archive.model import Deposit
from desdm.facility import Facility
from desdm.framework.pipeline import Block, FileSet, Module, Pipeline
from desdm.framework.submit import Submission, submit

CODES = "tests.support.toycodes"


def text_pipeline(**settings: str) -> Pipeline:
    """split → upper for each part, then join."""
    raw = FileSet("raw", "misc", query={"filename": "raw.txt"}, whole=True)
    half = FileSet("half", "misc", filepat="part", flabel="half", fsuffix="txt")
    big = FileSet("big", "misc", filepat="part", flabel="big", fsuffix="txt")
    parts = Block(
        "parts",
        (
            Module("split", f"{CODES}.split", loop=("part",), inputs=(raw,), outputs=(half,)),
            Module(
                "upper",
                f"{CODES}.upper",
                loop=("part",),
                inputs=(FileSet("half", depends="split.half"),),
                outputs=(big,),
            ),
        ),
        divide_jobs_by=("part",),
    )
    join = Module(
        "join",
        f"{CODES}.join",
        inputs=(FileSet("big", depends="upper.big", whole=True),),
        outputs=(FileSet("whole", "misc", filename="${run}_whole.txt"),),
    )
    return Pipeline(
        "text",
        "capitals",
        (parts, Block("whole", (join,))),
        unit="unitname",
        filename_patterns={"part": "${run}_${part:3}_${flabel}.${fsuffix}"},
        settings={"part": "1:4", "unitname": "T1", "use_qcf": "true", **settings},
    )


def talk_pipeline(wrapper: str = "chatter", **settings: str) -> Pipeline:
    """One wrapper that only says things."""
    said = {"unitname": "T1", "use_qcf": "true", **settings}
    module = Module(
        "talk",
        f"{CODES}.{wrapper}",
        outputs=(FileSet("talk", "misc", filename="${run}_talk.txt"),),
    )
    return Pipeline(
        "talk",
        "talks",
        (Block("one", (module,)),),
        unit="unitname",
        settings=said,
    )


def arrive(facility: Facility, folder: Path, text: str = "hello", name: str = "raw.txt") -> None:
    """Deposit a text file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text)
    report = deposit(facility.database, facility.archive, [Deposit(path, "misc")], who="test")
    assert not report.refused


def plan(
    facility: Facility, pipeline: Pipeline, settings: Mapping[str, str] | None = None, **options: bool
) -> Submission:
    """Submit it; nothing runs yet."""
    return submit(
        facility.config, facility.database, facility.archive, pipeline, settings or {}, who="test", **options
    )
