"""One CCD of an exposure that cannot be used does not take the others with it; what is held in memory is not lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from desdm.errors import ProgramFailed
from desdm.facility import Facility
from desdm.framework.objectstore import ObjectStore, weight
from desdm.framework.pipeline import Block, FileSet, Module, Pipeline
from desdm.framework.watch import store as watch
from desdm.framework.wrapper import Task
from desdm.schema.states import AttemptState
from tests.framework.test_drive import attempt, product, run, wrapper_states
from tests.support.toy import plan


def cut(task: Task) -> None:
    """Hands its part of the text on in memory; part 3 of it is bad."""
    text, part = task.input("raw").read_text(), int(task.keys["part"])
    if task.text("bad", "") == str(part):
        raise ProgramFailed(f"{task.input('raw').name}: part {part} has no letters")
    task.write_output("half", [part, text], lambda path, value: path.write_text(f"{value[0]}:{value[1]}"))


def grow(task: Task) -> None:
    """Takes the object, not a file; a program would find the file."""
    value = task.read_input("half", lambda path: ["read from", path.read_text()])
    assert not task.input("half").exists(), "it was written though nobody asked for it"
    value[1] = value[1].upper()
    assert task.input_on_disk("half").is_file()
    task.output("big").write_text(f"{value[0]}:{value[1]}")


def gather(task: Task) -> None:
    """What there is."""
    task.output("whole").write_text("\n".join(sorted(p.read_text() for p in task.inputs["big"])))


def pipeline(**settings: str) -> Pipeline:
    here = "tests.framework.test_tolerance"
    raw = FileSet("raw", "misc", query={"filename": "raw.txt"}, whole=True)
    half = FileSet("half", "misc", filepat="part", flabel="half", fsuffix="txt", savefiles=False)
    big = FileSet("big", "misc", filepat="part", flabel="big", fsuffix="txt")
    whole = FileSet("whole", "misc", filename="${run}_whole.txt")
    modules = (
        Module("cut", f"{here}.cut", loop=("part",), inputs=(raw,), outputs=(half,), tolerant=True),
        Module(
            "grow", f"{here}.grow", loop=("part",), inputs=(FileSet("half", depends="cut.half"),), outputs=(big,),
            tolerant=True,
        ),
        Module(
            "gather", f"{here}.gather", inputs=(FileSet("big", depends="grow.big", whole=True),), outputs=(whole,),
            tolerant=True,
        ),
    )  # fmt: skip
    return Pipeline(
        "ccds",
        "parts of one exposure in one job",
        (Block("exposure", modules),),
        unit="unitname",
        filename_patterns={"part": "${run}_${part:3}_${flabel}.${fsuffix}"},
        settings={"part": "1:4", "unitname": "D1", **settings},
    )


def test_parts_are_handed_on_in_memory_and_lineage_has_no_gap(facility: Facility) -> None:
    submission = plan(facility, pipeline())
    assert run(facility, submission.run) is AttemptState.DONE
    assert product(facility, "D1_r1p01_whole.txt") == "1:HELLO\n2:HELLO\n3:HELLO\n4:HELLO"
    from desdm.archive.provenance import lineage

    with facility.database.read() as conn:
        up = {f.filename for f in lineage(conn, "D1_r1p01_whole.txt", "up").files}
    assert up == {"raw.txt", "D1_r1p01_whole.txt"} | {f"D1_r1p01_{n:03d}_big.txt" for n in range(1, 5)}


def test_a_bad_part_is_a_finding_and_the_rest_goes_on(facility: Facility) -> None:
    submission = plan(facility, pipeline(bad="3"))
    assert run(facility, submission.run) is AttemptState.FLAGGED
    assert product(facility, "D1_r1p01_whole.txt") == "1:HELLO\n2:HELLO\n4:HELLO"
    states = wrapper_states(facility, submission.run)
    assert states["cut part=3"] == "failed"
    assert states["grow part=3"] == "left"
    assert {states[k] for k in states if not k.endswith("part=3")} == {"done"}
    with facility.database.read() as conn:
        said = [m for m in watch.messages(conn, attempt(facility, submission.run).id) if m.level == 1]
    assert [m.text for m in said] == ["ProgramFailed: raw.txt: part 3 has no letters"]


def test_a_bug_is_not_tolerated(facility: Facility, tmp_path: Path) -> None:
    (tmp_path / "fault").write_text("2")
    value = pipeline(fault_file=str(tmp_path / "fault"))
    modules = list(value.blocks[0].modules)
    split = Module(
        "cut", "tests.support.toycodes.upper", loop=("part",),
        inputs=(FileSet("half", "misc", query={"filename": "raw.txt"}, whole=True),),
        outputs=(FileSet("big", "misc", filepat="part", flabel="half", fsuffix="txt"),), tolerant=True,
    )  # fmt: skip
    broken = Pipeline(
        "bug", "a code with a bug", (Block("exposure", (split,)),), unit="unitname",
        filename_patterns=value.filename_patterns, settings=value.settings,
    )  # fmt: skip
    assert modules
    assert run(facility, plan(facility, broken).run) is AttemptState.FAILED


def test_a_file_for_a_program_lies_in_memory_and_is_gone_with_its_reader(tmp_path: Path) -> None:
    import subprocess

    import numpy as np

    held, path = ObjectStore(capacity=10_000), tmp_path / "image.npy"
    held.put(path, np.arange(100.0), np.save)
    held.write_file("image.npy")
    assert path.is_symlink()
    copied = subprocess.run(["cat", str(path)], capture_output=True, check=True).stdout
    assert len(copied) == path.stat().st_size > 800
    held.drop("image.npy")
    assert not path.is_symlink()
    # Too large for the memory that is allowed: on disk.
    held.put(path, np.zeros(1000), np.save)
    held.write_file("image.npy")
    assert path.is_file()
    assert not path.is_symlink()
    held.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [[1, "x"], {"a": 1}, "text"])
def test_what_has_no_arrays_weighs_nothing(value: object) -> None:
    assert weight(value) == 0
