"""A real browser without a window (Debian's chromium), to look at pages: their text, their picture, their complaints."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

__all__ = ["dom", "picture"]

_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--enable-logging=stderr",
)  # fmt: skip


def _run(page: Path, *flags: str) -> tuple[str, list[str]]:
    """What chromium writes, and what its console says of the page."""
    program = shutil.which("chromium")
    assert program, "chromium is not installed (Debian package of that name)"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [program, *_FLAGS, f"--user-data-dir={profile}", *flags, page.resolve().as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout, [line for line in done.stderr.splitlines() if ":CONSOLE" in line]


def dom(page: Path) -> tuple[str, list[str]]:
    """The document after its scripts ran, and the lines of its console."""
    return _run(page, "--dump-dom")


def picture(
    page: Path, out: Path, *, dark: bool = False, width: int = 1300, height: int = 2400
) -> np.ndarray:
    """A screenshot as rows of RGB."""
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    _run(page, scheme, f"--screenshot={out}", f"--window-size={width},{height}")
    with Image.open(out) as image:
        return np.asarray(image.convert("RGB")).astype(int)
