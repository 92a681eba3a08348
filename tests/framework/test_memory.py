"""A job's memory does not grow with its CCDs: images beyond a budget are spilled, and peaks are told truly."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from astropy.io import fits

from desdm.errors import StorageFull, UsageError
from desdm.facility import Facility
from desdm.framework import store
from desdm.framework.drive import Progress, drive
from desdm.framework.engines.local import LocalEngine
from desdm.framework.memory import forget_peak, own_peak
from desdm.framework.objectstore import ObjectStore, weight
from desdm.framework.pipeline import Block, FileSet, Module, Pipeline
from desdm.framework.spill import Spill
from desdm.framework.watch import store as watch
from desdm.framework.wrapper import LogTee, Task
from desdm.schema.states import AttemptState
from desdm.survey.images import Planes, read_planes, write_planes
from tests.framework.test_drive import product, wrapper_states
from tests.support.toy import plan

MB = 1 << 20


def numbers(value: int, size: int = 100) -> npt.NDArray[np.float32]:
    return np.full(size, value, "f4")


def test_what_is_needed_last_is_spilled_and_comes_back_bit_for_bit(tmp_path: Path) -> None:
    order = [f"a{n}.npy" for n in range(5)]
    held = ObjectStore(capacity=1000, next_use=lambda name: 1 + order.index(name))
    for n, name in enumerate(order):
        held.put(tmp_path / name, numbers(n), np.save)
        assert held._total_weight() <= 1000
    assert [held._entries[name].spilled is None for name in order] == [True, True, False, False, False]
    # Neither an image on its way nor what is spilled has a name in the folder: nothing stays if the process dies.
    assert list(tmp_path.iterdir()) == []
    for n, name in enumerate(order):
        assert np.array_equal(held.get(name, last=False), numbers(n))
        mine = held.get(name, last=False)
        mine[:] = 9
        assert np.array_equal(held.get(name, last=True), numbers(n))
    held.close()


def test_what_a_program_reads_is_written_wherever_its_object_lies(tmp_path: Path) -> None:
    due = {"a.npy": 5, "b.npy": 1, "kept.npy": 3}
    held = ObjectStore(capacity=500, next_use=lambda name: due[name])
    held.put(tmp_path / "a.npy", numbers(1), np.save)
    held.put(tmp_path / "b.npy", numbers(2), np.save)
    assert held._entries["a.npy"].spilled is not None
    due["a.npy"] = 0
    held.write_file("a.npy")
    assert np.array_equal(np.load(tmp_path / "a.npy"), numbers(1))
    # A file for the archive stays, one that was only on its way goes with its last reader.
    held.put(tmp_path / "kept.npy", numbers(3), np.save, now=True)
    for name in ("a.npy", "b.npy", "kept.npy"):
        held.drop(name)
    assert [p.name for p in tmp_path.iterdir()] == ["kept.npy"]
    held.close()


def test_what_runs_just_now_keeps_its_inputs_even_beyond_the_budget(tmp_path: Path) -> None:
    held = ObjectStore(capacity=1000, next_use=lambda name: 0)
    values = [numbers(n) for n in range(4)]
    for n, value in enumerate(values):
        held.put(tmp_path / f"a{n}.npy", value, np.save)
    assert all(held.get(f"a{n}.npy", last=True) is value for n, value in enumerate(values))


def test_planes_with_their_header_come_back(tmp_path: Path) -> None:
    header = fits.Header([("CCDNUM", 3, "the CCD"), ("SCAMPRMS", 12.5), ("OBJECT", "it's")])
    header["HIERARCH LONG KEY OF OURS"] = 7
    header.add_history("made")
    rng = np.random.default_rng(1)
    planes = Planes(
        rng.normal(size=(64, 32)).astype("f4"), rng.integers(0, 999, (64, 32), "i4"), np.ones((64, 32), "f4"), header
    )  # fmt: skip
    planes.sci[3, 4] = np.nan
    spill = Spill(tmp_path)
    back = spill.read(spill.write(planes))
    for name in ("sci", "msk", "wgt"):
        assert getattr(back, name).tobytes() == getattr(planes, name).tobytes()
        assert getattr(back, name).dtype == getattr(planes, name).dtype
        getattr(back, name)[:] = 1  # its taker may change it
    assert back.header.tostring() == header.tostring()
    assert [c.comment for c in back.header.cards] == [c.comment for c in header.cards]
    spill.close()


def test_a_free_place_is_used_again(tmp_path: Path) -> None:
    spill = Spill(tmp_path)
    first, second = spill.write(numbers(1)), spill.write(numbers(2))
    spill.free(first)
    third = spill.write(numbers(3))
    assert third.offset == first.offset
    assert np.array_equal(spill.read(second), numbers(2))
    assert np.array_equal(spill.read(third), numbers(3))
    spill.close()


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    spill = Spill(tmp_path)
    first = spill.write(numbers(1, MB // 4))
    # A limit on the size of files stands for a full disk: writing fails in the middle.
    resource.setrlimit(resource.RLIMIT_FSIZE, (MB + 1000, hard))
    try:
        with pytest.raises(StorageFull, match=r"no room for 1 MB .*engine\.hold_memory in desdm\.toml"):
            spill.write(numbers(2, MB // 4))
        assert spill._file is not None
        assert os.fstat(spill._file.fileno()).st_size == MB
        held, path = ObjectStore(), tmp_path / "image.npy"
        held.put(path, numbers(3, MB), np.save)
        with pytest.raises(OSError, match=r"requested|too large"):
            held.put(tmp_path / "archived.npy", numbers(4, MB), np.save, now=True)
        assert list(tmp_path.iterdir()) == []
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    second = spill.write(numbers(2, MB // 4))
    assert np.array_equal(spill.read(first), numbers(1, MB // 4))
    assert np.array_equal(spill.read(second), numbers(2, MB // 4))
    spill.close()


# -- jobs


def expose(task: Task) -> None:
    """An image of a CCD."""
    value = int(task.keys["part"])
    task.write_output("image", Planes(*np.full((3, 500, 500), value, "f4"), fits.Header()), write_planes)


def extract(task: Task) -> None:
    """What a program finds in it."""
    planes = read_planes(task.input_on_disk("image"))
    task.output("catalog").write_text(f"{planes.sci.mean():g}")


def combine(task: Task) -> None:
    """A module of the whole exposure."""
    task.output("all").write_text(" ".join(p.read_text() for p in task.inputs["catalog"]))


def subtract(task: Task) -> None:
    """Change the image by what is known of all; as often as ``stop_file`` says, the process is killed."""
    planes = task.read_input("image", read_planes)
    planes.sci -= len(task.input("all").read_text().split())
    stop = Path(task.text("stop_file", "/nonexistent"))
    if task.keys["part"] == "4" and stop.exists():
        stop.unlink()
        os.kill(os.getpid(), 9)
    task.write_output("image", planes, write_planes)


def measure(task: Task) -> None:
    """Its end."""
    planes = task.read_input("image", read_planes)
    task.output("number").write_text(f"{planes.sci.mean():g}/{planes.wgt.mean():g}")


def gather(task: Task) -> None:
    """The whole exposure."""
    task.output("whole").write_text(" ".join(p.read_text() for p in task.inputs["number"]))


def exposure(**settings: str) -> Pipeline:
    """Two chains of modules for each of eight CCDs, each closed by a module of the whole exposure."""
    here = "tests.framework.test_memory"

    def of(name: str, source: str, *, whole: bool = False) -> FileSet:
        return FileSet(name, depends=source, whole=whole)

    def made(name: str, label: str, suffix: str, *, save: bool = False) -> FileSet:
        return FileSet(name, "misc", filepat="part", flabel=label, fsuffix=suffix, savefiles=save)

    raw = FileSet("raw", "misc", query={"filename": "raw.txt"}, whole=True)
    part = ("part",)
    modules = (
        Module("expose", f"{here}.expose", loop=part, inputs=(raw,), outputs=(made("image", "exp", "fits"),)),
        Module(
            "extract", f"{here}.extract", loop=part, inputs=(of("image", "expose.image"),),
            outputs=(made("catalog", "cat", "txt"),),
        ),
        Module(
            "combine", f"{here}.combine", inputs=(of("catalog", "extract.catalog", whole=True),),
            outputs=(FileSet("all", "misc", filename="${run}_all.txt"),),
        ),
        Module(
            "subtract", f"{here}.subtract", loop=part,
            inputs=(of("image", "expose.image"), of("all", "combine.all", whole=True)),
            outputs=(made("image", "sub", "fits"),),
        ),
        Module(
            "measure", f"{here}.measure", loop=part, inputs=(of("image", "subtract.image"),),
            outputs=(made("number", "num", "txt", save=True),),
        ),
        Module(
            "gather", f"{here}.gather", inputs=(of("number", "measure.number", whole=True),),
            outputs=(FileSet("whole", "misc", filename="${run}_whole.txt"),),
        ),
    )  # fmt: skip
    return Pipeline(
        "exposure", "images of one exposure in one job", (Block("exposure", modules),), unit="unitname",
        filename_patterns={"part": "${run}_${part:3}_${flabel}.${fsuffix}"},
        settings={"part": "1:8", "unitname": "D1", **settings},
    )  # fmt: skip


WHOLE = " ".join(f"{n - 8}/{n}" for n in range(1, 9))


def run(facility: Facility, name: str) -> AttemptState:
    return drive(
        facility.config, facility.database, facility.archive, name, LocalEngine(1, facility.config.runs), who="test"
    )  # fmt: skip


@pytest.mark.parametrize("budget", ["0", "5", "1024"])
def test_products_do_not_depend_on_the_budget(facility: Facility, budget: str) -> None:
    submission = plan(facility, exposure(hold_memory=budget))
    assert run(facility, submission.run) is AttemptState.DONE
    assert product(facility, "D1_r1p01_whole.txt") == WHOLE
    assert product(facility, "D1_r1p01_all.txt") == " ".join(map(str, range(1, 9)))


def test_a_worker_killed_among_spilled_images_costs_one_more_try(facility: Facility, tmp_path: Path) -> None:
    stop = tmp_path / "stop"
    stop.write_text("")
    submission = plan(facility, exposure(hold_memory="0", stop_file=str(stop)))
    assert run(facility, submission.run) is AttemptState.DONE
    assert product(facility, "D1_r1p01_whole.txt") == WHOLE
    assert set(wrapper_states(facility, submission.run).values()) == {"done"}
    assert not list((facility.config.runs / "D1_r1p01").glob("*/try2/*.fits"))


@pytest.mark.parametrize("budget", ["much", "-5", "1e3 MB"])
def test_a_budget_that_is_no_number_is_refused_at_submission(facility: Facility, budget: str) -> None:
    with pytest.raises(UsageError, match=f"hold_memory = '{budget}' is not a whole number of MB"):
        plan(facility, exposure(hold_memory=budget))


# -- what is told of memory


def task_of(folder: Path, script: str) -> Task:
    settings = {"exec": {"python": {"program": sys.executable}}}
    log = LogTee(folder / "log")
    task = Task("m", {}, settings, {}, {}, folder, log)
    task.run("python", ["-c", script])
    log.close()
    return task


def test_a_program_s_peak_is_its_own_and_not_its_starter_s(tmp_path: Path) -> None:
    forget_peak()
    ballast = np.ones(400 * MB, np.uint8)
    small = task_of(tmp_path, "import time; time.sleep(0.3)").execs[0]
    assert 1 < small.maxrss / 1024 < 100
    # One that is gone before it could be looked at is told by its page faults.
    short = task_of(tmp_path, "pass").execs[0]
    assert 1 < short.maxrss / 1024 < 100
    large = task_of(tmp_path, f"import time; a = bytearray(b'1') * {150 * MB}; time.sleep(0.3)").execs[0]
    assert 150 < large.maxrss / 1024 < 250
    del ballast
    # What is larger than its starter the kernel itself tells, however short it runs: nothing is sampled. How large this
    # process is depends on the tests before.
    forget_peak()
    size = max(own_peak(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) // 1024 + 200
    exact = task_of(tmp_path, f"a = bytearray(b'1') * {size * MB}").execs[0]
    assert size < exact.maxrss / 1024 < size + 100


def test_the_peak_of_a_program_that_starts_another_is_the_other_s(tmp_path: Path) -> None:
    """As of a site's script around a program."""
    forget_peak()
    ballast = np.ones(400 * MB, np.uint8)
    inner = f"import time; a = bytearray(b'1') * {150 * MB}; time.sleep(0.3)"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    assert 150 < task_of(tmp_path, outer).execs[0].maxrss / 1024 < 250
    del ballast


def test_what_a_program_grows_by_shortly_before_its_end_is_seen(tmp_path: Path) -> None:
    forget_peak()
    ballast = np.ones(400 * MB, np.uint8)
    script = f"import time; time.sleep(0.5); a = bytearray(b'1') * {100 * MB}; time.sleep(0.05)"
    assert 100 < task_of(tmp_path, script).execs[0].maxrss / 1024 < 200
    del ballast


def test_a_worker_s_own_peak_is_not_its_starter_s() -> None:
    ballast = np.ones(400 * MB, np.uint8)
    script = "from desdm.framework.memory import own_peak; print(own_peak())"
    peak = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert 5 < int(peak) / 1024 < 200
    del ballast


def test_a_starter_that_grows_while_it_starts_a_program_leaves_its_peak_with_none(tmp_path: Path) -> None:
    ballast, end = np.ones(200 * MB, np.uint8), threading.Event()

    def grow() -> None:
        held: list[bytes] = []
        while not end.is_set():
            held.append(b"1" * 20_000)
            if len(held) > 20_000:
                held.clear()

    other = threading.Thread(target=grow)
    other.start()
    try:
        for number in range(10):
            forget_peak()
            (tmp_path / str(number)).mkdir()
            assert task_of(tmp_path / str(number), "pass").execs[0].maxrss / 1024 < 100
    finally:
        end.set()
        other.join()
    del ballast


def test_a_job_s_peak_does_not_tell_of_the_job_before(facility: Facility) -> None:
    ballast = np.ones(400 * MB, np.uint8)
    high = own_peak()
    del ballast
    forget_peak()
    assert own_peak() < high - 300 * 1024
    first = plan(facility, exposure())
    assert run(facility, first.run) is AttemptState.DONE
    with facility.database.read() as conn:
        rows = watch.software(conn, store.attempt_by_name(conn, first.run).id)
    assert all(0 < row["maxrss_kb"] < high for row in rows)


def ballast(task: Task) -> None:
    """Allocate and free as many MB as the module says."""
    np.ones(int(task.text("megabytes")) * MB, np.uint8)
    task.output("done").write_text("")


def of_memory(label: str, megabytes: int) -> Pipeline:
    """One job of one module that needs so much memory."""
    module = Module(
        label, "tests.framework.test_memory.ballast", inputs=(FileSet("raw", "misc", query={"filename": "raw.txt"}),),
        outputs=(FileSet("done", "misc", filename="${run}_" + label + ".txt"),), settings={"megabytes": str(megabytes)},
    )  # fmt: skip
    return Pipeline(
        label, "allocates memory", (Block("one", (module,)),), unit="unitname", settings={"unitname": "D1"}
    )


class LastingEngine(LocalEngine):
    """Its workers go on from run to run, as those of a night do, until `end`."""

    def close(self) -> None:
        """Stay."""

    def end(self) -> None:
        super().close()


def test_a_job_s_peak_does_not_tell_of_a_larger_one_before_it_on_the_same_worker(facility: Facility) -> None:
    peaks = {}
    engine = LastingEngine(1, facility.config.runs)
    for pipeline in (of_memory("large", 500), of_memory("small", 1)):
        run_ = plan(facility, pipeline).run
        state = drive(facility.config, facility.database, facility.archive, run_, engine, who="test")
        assert state is AttemptState.DONE
        with facility.database.read() as conn:
            (row,) = watch.software(conn, store.attempt_by_name(conn, run_).id)
        peaks[pipeline.name] = row["maxrss_kb"] / 1024
    engine.end()
    assert peaks["small"] < peaks["large"] - 400


def test_a_worker_without_work_returns_the_files_in_memory(facility: Facility) -> None:
    engine = LastingEngine(1, facility.config.runs)
    run_ = plan(facility, exposure()).run

    def in_memory() -> int:
        folders = [Path(f"/proc/{worker.process.pid}/fd") for worker in engine.workers]
        return sum("memfd:" in str(one.readlink()) for folder in folders for one in folder.iterdir())

    # While the job runs: a worker that idles gives them back before a slow driver has returned.
    most = 0

    def look(_progress: Progress) -> None:
        nonlocal most
        with suppress(FileNotFoundError):
            most = max(most, in_memory())

    drive(facility.config, facility.database, facility.archive, run_, engine, who="test", watch=look)
    most = max(most, in_memory())
    assert most > 0
    deadline = time.monotonic() + 20
    while in_memory() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert in_memory() == 0
    engine.end()


def test_waiting_for_a_program_costs_next_to_nothing(tmp_path: Path) -> None:
    began = time.process_time()
    task_of(tmp_path, "import time; time.sleep(1)")
    assert time.process_time() - began < 0.1


# -- files in memory that are written anew


def image(value: int, rows: int = 600) -> Planes:
    return Planes(*(np.full((rows, 500), value, kind) for kind in ("f4", "i4", "f4")), fits.Header())


def handed_over(held: ObjectStore, path: Path, planes: Planes) -> int:
    """Write an image for a program; give the number (inode) of the file in memory behind the path."""
    held.put(path, planes, write_planes)
    held.write_file(path.name)
    assert path.is_symlink()
    return path.stat().st_ino


def test_a_file_in_memory_serves_the_next_image_and_holds_nothing_of_the_last(tmp_path: Path) -> None:
    held = ObjectStore()
    first = handed_over(held, tmp_path / "a.fits", image(1))
    held.drop("a.fits")
    # The second is smaller than the first, whose end must not stay.
    assert handed_over(held, tmp_path / "b.fits", image(2, rows=400)) == first
    write_planes(tmp_path / "apart.fits", image(2, rows=400))
    assert (tmp_path / "b.fits").read_bytes() == (tmp_path / "apart.fits").read_bytes()
    # One that is in use is no spare one.
    assert handed_over(held, tmp_path / "c.fits", image(3)) != first
    held.close()


def test_an_array_of_a_file_in_memory_keeps_its_values(tmp_path: Path) -> None:
    held = ObjectStore()
    first = handed_over(held, tmp_path / "a.fits", image(1))
    with fits.open(tmp_path / "a.fits", memmap=True) as hdus:
        data = hdus[0].data
        held.drop("a.fits")
        assert handed_over(held, tmp_path / "b.fits", image(2)) != first
        assert (np.asarray(data) == 1).all()
    held.close()


def test_an_image_that_cannot_be_written_leaves_neither_file_nor_descriptor(tmp_path: Path) -> None:
    held = ObjectStore()
    handed_over(held, tmp_path / "a.fits", image(1))
    held.drop("a.fits")
    before = len(list(Path("/proc/self/fd").iterdir()))

    def broken(path: Path, value: Planes) -> None:
        with path.open("r+b") as file:
            file.write(b"half of it")
        raise ValueError("no more")

    held.put(tmp_path / "b.fits", image(2), broken)
    with pytest.raises(ValueError, match="no more"):
        held.write_file("b.fits")
    assert list(tmp_path.iterdir()) == []
    # The spare file has gone too.
    assert len(list(Path("/proc/self/fd").iterdir())) == before - 1
    held.close()


def test_a_full_store_takes_the_file_of_the_image_that_is_needed_last(tmp_path: Path) -> None:
    size = weight(image(1))
    due = {"a.fits": 1, "b.fits": 2, "c.fits": 0}
    held = ObjectStore(capacity=5 * size + size // 2, next_use=lambda name: due[name])
    files = [handed_over(held, tmp_path / name, image(n)) for n, name in enumerate(due)]
    assert files[2] == files[1] != files[0]
    for n, name in enumerate(due):
        held.write_file(name)
        assert (fits.getdata(tmp_path / name) == n).all()
    held.close()
    assert list(tmp_path.iterdir()) == []
