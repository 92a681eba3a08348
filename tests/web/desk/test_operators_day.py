"""The commands of the operator's day, run as written; and its pages exist."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from desdm.web.opsendpoints import OPS_ENDPOINTS

DOCUMENT = Path(__file__).parents[3] / "docs" / "operations" / "operators-day.md"


def test_every_command_of_the_operators_day_is_run_as_written(tmp_path: Path) -> None:
    commands = re.findall(r"(?m)^    ((?:desdm|export) .*)$", DOCUMENT.read_text("utf-8"))
    assert len(commands) > 25
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "USER": "kim"}
    script = "".join(f"echo {shlex.quote(line)}\n{line} || [ $? = 1 ] || exit 9\n" for line in commands)
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900, check=False
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout[-600:], done.stderr[-1500:])
    assert "firstcut D00200013: done" in done.stdout
    # The comparison names the setting of the campaign.
    assert re.search(r"skycompress\.threshold +3\.0 +4", done.stdout)


def test_every_page_of_the_operators_day_exists() -> None:
    paths = {endpoint.path for endpoint in OPS_ENDPOINTS}
    text = DOCUMENT.read_text("utf-8")
    found = set(re.findall(r"`(?:http://127\.0\.0\.1:8080)?(/ops[^`?]*)[^`]*`", text))
    assert len(found) > 6
    for path in found:
        path = re.sub(r"/ops/run/(RUN|D\w+)", "/ops/run/{run}", path)
        path = re.sub(r"/ops/night/\d+", "/ops/night/{nite}", path)
        assert path in paths, path
