"""A run refuses an input that is not as registered, by name, before a code reads it; the rest of the run goes on."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from desdm.archive import catalog
from desdm.errors import CorruptFile
from desdm.facility import Facility
from desdm.framework.drive import drive
from desdm.framework.engines import JobEvent
from desdm.framework.engines.local import LocalEngine
from desdm.framework.job import JobRequest
from desdm.framework.pipeline import Block, FileSet, Module, Pipeline
from desdm.framework.watch import store as watch
from desdm.schema.states import AttemptState
from tests.framework.test_drive import attempt, product, run, wrapper_states
from tests.support.toy import arrive, plan, text_pipeline


def flip(path: Path) -> None:
    """Change one bit and leave size and time of change as they were."""
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 64
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"!")


def put_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGE = {
    "corrupt": flip,
    "truncated": cut,
    "grown": grow,
    "missing": Path.unlink,
    "not a regular": put_folder,
}


def stored(facility: Facility, name: str) -> Path:
    with facility.database.read() as conn:
        record = catalog.by_name(conn, name)
    assert record is not None
    return facility.archive.path(record)


def errors(facility: Facility, name: str) -> list[str]:
    with facility.database.read() as conn:
        return [m.text for m in watch.messages(conn, attempt(facility, name).id) if m.level == 1]


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_run_refuses_a_damaged_input_by_name(facility: Facility, kind: str) -> None:
    submission = plan(facility, text_pipeline(part="1:2"))
    path = stored(facility, "raw.txt")
    DAMAGE[kind](path)
    assert run(facility, submission.run) is AttemptState.FAILED
    said = errors(facility, submission.run)
    assert len(said) == 2, said
    for text in said:
        assert text.startswith(f"CorruptFile: raw.txt is damaged, {kind}"), text
        assert str(path) in text
        assert "desdm audit" in text
    with facility.database.read() as conn:
        assert catalog.files(conn, attempt=submission.run, filetype="misc") == []


def test_a_good_copy_put_back_lets_the_run_go_on(facility: Facility) -> None:
    submission = plan(facility, text_pipeline(part="1:2"))
    path = stored(facility, "raw.txt")
    flip(path)
    assert run(facility, submission.run) is AttemptState.FAILED
    flip(path)
    assert run(facility, submission.run) is AttemptState.DONE
    assert product(facility, "T1_r1p01_whole.txt") == "1:HELLO\n2:HELLO"


class _Saboteur:
    """The embedded engine; damages files of the archive before it takes the job of that number."""

    name = "local"

    def __init__(self, inner: LocalEngine, job: str, deed: Callable[[], object]) -> None:
        self.inner, self.job, self.deed = inner, job, deed

    def submit(self, request: JobRequest) -> None:
        if self.job in request.wcl:
            self.deed()
        self.inner.submit(request)

    def events(self, timeout: float) -> Sequence[JobEvent]:
        return self.inner.events(timeout)

    def cancel(self, token: str) -> None:
        self.inner.cancel(token)

    def close(self) -> None:
        self.inner.close()


def test_a_product_of_an_earlier_block_is_verified_too(facility: Facility) -> None:
    submission = plan(facility, text_pipeline(part="1:2"))
    engine = LocalEngine(2, facility.config.runs / submission.run)
    name = f"{submission.run}_002_big.txt"
    bad = _Saboteur(engine, "J0003", lambda: flip(stored(facility, name)))
    state = drive(facility.config, facility.database, facility.archive, submission.run, bad, who="test")
    assert state is AttemptState.FAILED
    assert [text[: len(name) + 24] for text in errors(facility, submission.run)] == [
        f"CorruptFile: {name} is damaged"[: len(name) + 24]
    ]


def test_the_other_parts_of_a_tolerant_module_go_on_and_the_run_is_not_done(
    facility: Facility, tmp_path: Path
) -> None:
    for part in (1, 2, 3):
        arrive(facility, tmp_path / "parts", f"text {part}", f"in{part}.txt")
    codes = "tests.support.toycodes"
    names = "in1.txt,in2.txt,in3.txt"
    copy = Module(
        "cut", f"{codes}.each", inputs=(FileSet("raw", "misc", query={"filename": names}, whole=True),),
        outputs=(FileSet("big", "misc", filename="${run}_all.txt", optional=True),), tolerant=True,
    )  # fmt: skip
    last = Module(
        "last", f"{codes}.each", inputs=(FileSet("raw", "misc", query={"filename": "raw.txt"}, whole=True),),
        outputs=(FileSet("big", "misc", filename="${run}_last.txt"),), tolerant=True,
    )  # fmt: skip
    pipe = Pipeline("each", "", (Block("one", (copy, last)),), unit="unitname", settings={"unitname": "T9"})
    submission = plan(facility, pipe)
    flip(stored(facility, "in2.txt"))
    assert run(facility, submission.run) is AttemptState.FLAGGED
    assert product(facility, f"{submission.run}_last.txt") == "hello"
    assert wrapper_states(facility, submission.run) == {"cut": "failed", "last": "done"}
    assert "in2.txt is damaged" in errors(facility, submission.run)[0]


def test_every_other_reader_refuses_a_damaged_file(facility: Facility) -> None:
    from desdm.archive.verify import Verifier, verified
    from desdm.operations.report.gather import gather

    submission = plan(facility, text_pipeline(part="1:1"))
    assert run(facility, submission.run) is AttemptState.DONE
    with facility.database.read() as conn:
        record = catalog.by_name(conn, f"{submission.run}_whole.txt")
    assert record is not None
    keeper = Verifier()
    path = keeper.path(facility.archive, record)
    flip(path)
    with pytest.raises(CorruptFile, match=r"whole\.txt is damaged, corrupt"):
        keeper.path(facility.archive, record)
    with pytest.raises(CorruptFile, match=r"whole\.txt is damaged, corrupt"):
        verified(facility.archive, record)
    facts = gather(facility.database, facility.archive, facility.config, submission.run)
    with pytest.raises(CorruptFile, match=r"whole\.txt is damaged, corrupt"):
        facts.path(record)
