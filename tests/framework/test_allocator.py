"""Memory of freed images stays with the process during a job, and goes back to the system after it."""

from __future__ import annotations

import resource
from pathlib import Path

from desdm.framework.allocator import retain_freed_memory

_IMAGE = 64 << 20


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _make_and_free() -> None:
    image = bytearray(b"\1") * _IMAGE
    assert len(image) == _IMAGE


def test_a_freed_image_is_kept_within_a_job_and_given_back_after_it() -> None:
    before = _resident()
    with retain_freed_memory():
        _make_and_free()
        assert _resident() > before + _IMAGE // 2
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        _make_and_free()
        # Without it each of its 16384 pages would be cleared anew.
        assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults < 1000
    assert _resident() < before + _IMAGE // 2


def test_outside_of_a_job_an_image_goes_back_at_once() -> None:
    with retain_freed_memory():
        _make_and_free()
    before = _resident()
    _make_and_free()
    assert _resident() < before + _IMAGE // 2


def test_a_failing_job_gives_back_too() -> None:
    before = _resident()
    try:
        with retain_freed_memory():
            _make_and_free()
            raise KeyError
    except KeyError:
        pass
    assert _resident() < before + _IMAGE // 2
