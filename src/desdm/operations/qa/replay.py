"""Run the job of a bug report again, in the unpacked bundle: no database, no network; compare the first message.

Called by ``replay.sh`` of a bundle as ``python -m desdm.operations.qa.replay FOLDER``. Exit status 0: the first message is
the same; 1: it is another one, or none; 2: the bundle lacks an input.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TypedDict

from desdm.framework.job import JobRequest, WorkerCache, run_job
from desdm.framework.outcome import read_outcome
from desdm.framework.software import system_software
from desdm.operations.qa.redact import Redactor, without_path

__all__ = ["FOLDER", "Expectation", "first_message", "main", "plain_message"]

#: What stands for the folder of the bundle in its files.
FOLDER = "@BUNDLE@"
_TOKEN = "replayed"  # noqa: S105  names the try, and opens nothing


class Expectation(TypedDict):
    """What a bundle expects: the first message, and the software that gave it."""

    run: str
    jobnum: int
    message: str
    software: str
    missing: list[str]


def plain_message(text: str, folders: dict[str, str], redactor: Redactor) -> str:
    """Return a message without secrets and without the folders of one machine.

    Parameters
    ----------
    text
        The message.
    folders
        Folder → what stands for it.
    redactor
        Removes secrets.
    """
    for folder, name in sorted(folders.items(), key=lambda item: -len(item[0])):
        text = without_path(text, folder, name)
    return redactor(" ".join(text.split()))


def first_message(workdir: Path) -> str:
    """Return the first of the most severe messages of a job that has run; empty without one."""
    outcome = read_outcome(workdir / "outcome.jsonl")
    findings = [f for w in outcome.wrappers for f in w.findings] if outcome else []
    return min(findings, key=lambda f: f.level).text if findings else ""


def main(arguments: list[str]) -> int:
    """Run the job of the bundle in a folder, and return the exit status."""
    folder = Path(arguments[0] if arguments else ".").resolve()
    expected: Expectation = json.loads((folder / "expected.json").read_text("utf-8"))
    if expected["missing"]:
        names = ", ".join(expected["missing"][:5])
        print(
            f"these inputs are not in the bundle, for they are too large or hold a secret: {names}; put them into "
            f"{folder / 'inputs'}"
        )
        if any(not (folder / "inputs" / name).is_file() for name in expected["missing"]):
            return 2
    here = system_software()
    if here.digest != expected["software"]:
        print(
            f"note: the software here ({here.digest[:12]}) is not that of the run ({expected['software'][:12]})"
        )
    work = folder / "run"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    for name in ("job.wcl", "qcf.wcl"):
        source = folder / "wcl" / name
        if source.is_file():
            (work / name).write_text(source.read_text("utf-8").replace(FOLDER, str(folder)), "utf-8")
    workdir = work / "job"
    request = JobRequest(
        str(work / "job.wcl"), str(workdir), _TOKEN, digests=str(folder / "inputs.digests.json")
    )
    state = run_job(request, WorkerCache())
    folders = {str(workdir): "WORK", str(folder / "inputs"): "ARCHIVE", str(folder): "BUNDLE"}
    message = plain_message(first_message(workdir), folders, Redactor())
    print(f"job {expected['jobnum']} of {expected['run']}: {state.value}")
    print(f"first message: {message or 'none'}")
    if message == expected["message"]:
        print("it is the same as that of the run")
        return 0
    print(f"of the run:    {expected['message'] or 'none'}")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
