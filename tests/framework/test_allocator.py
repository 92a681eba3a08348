"""Memory of freed images stays with the process during a job, and goes back to the system after it."""

from __future__ import annotations

import subprocess
import sys

import pytest

# In a process of its own: what another test has freed there would be taken first, and nothing would grow.
_START = """
import resource
from pathlib import Path

from desdm.framework.allocator import retain_freed_memory

IMAGE = 64 << 20


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def make_and_free():
    image = bytearray(b"1") * IMAGE
    assert len(image) == IMAGE


before = resident()
"""

_KEPT_IN_A_JOB = """
with retain_freed_memory():
    make_and_free()
    assert resident() > before + IMAGE // 2
    first = faults()
    make_and_free()
    # Without it each of its 16384 pages would be cleared anew.
    assert faults() - first < 1000
assert resident() < before + IMAGE // 2
"""

_AFTER_A_JOB = """
with retain_freed_memory():
    make_and_free()
before = resident()
make_and_free()
assert resident() < before + IMAGE // 2
"""

_FAILING_JOB = """
try:
    with retain_freed_memory():
        make_and_free()
        raise KeyError
except KeyError:
    pass
assert resident() < before + IMAGE // 2
"""


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(_KEPT_IN_A_JOB, id="kept within a job and given back after it"),
        pytest.param(_AFTER_A_JOB, id="outside of a job an image goes back at once"),
        pytest.param(_FAILING_JOB, id="a failing job gives back too"),
    ],
)
def test_memory_of_a_freed_image(script: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _START + script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
