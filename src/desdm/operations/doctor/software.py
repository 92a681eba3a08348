"""Checks of software: the programs that the codes declare, Python and its packages."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.resources import files
from pathlib import Path

from desdm import wcl
from desdm.errors import UsageError
from desdm.framework.programs import package_of
from desdm.framework.sections import section, texts_of
from desdm.operations.doctor.model import Check, State

__all__ = ["check_packages", "check_programs", "require_programs"]

_SECONDS = 20
_PIN = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Program:
    """A program of the codes: its section ``exec``, and the codes that use it."""

    name: str
    spec: Mapping[str, str]
    codes: tuple[str, ...]

    @property
    def optional(self) -> bool:
        """Whether only a setting that is not the default needs it."""
        return self.spec.get("optional") == "true"


def _programs() -> Iterator[_Program]:
    """Yield the programs that the codes declare in their ``<exec>`` sections, in alphabetical order."""
    declared: dict[str, dict[str, str]] = {}
    users: dict[str, list[str]] = {}
    for folder in sorted(Path(str(files("desdm.codes"))).iterdir()):
        if not (folder / "config.wcl").is_file():
            continue
        programs = section(wcl.read(folder / "config.wcl").tree, "exec")
        for name in programs:
            spec = texts_of(section(programs, name))
            program = spec.get("program", name)
            declared.setdefault(program, spec)
            users.setdefault(program, []).append(folder.name)
    for program, spec in sorted(declared.items()):
        yield _Program(program, spec, tuple(users[program]))


def require_programs() -> None:
    """Raise `UsageError` if a program that the codes need is not installed; it names the Debian packages."""
    missing = [p.name for p in _programs() if not p.optional and shutil.which(p.name) is None]
    if missing:
        packages = " ".join(dict.fromkeys(map(package_of, missing)))
        raise UsageError(
            f"programs that the pipelines run are not installed: {', '.join(missing)}; "
            f"install their Debian packages: apt-get install {packages}"
        )


def check_programs() -> Iterator[Check]:
    """Each program of a code's ``<exec>`` section is installed and tells its version."""
    for program in _programs():
        codes = ", ".join(program.codes)
        path = shutil.which(program.name)
        if path is None and program.optional:
            text = f"{program.name} (of {codes}) is not installed; only a setting that asks for it needs it"
            yield Check(f"program {program.name}", State.NOTE, text)
            continue
        if path is None:
            text = (
                f"{program.name} (of {codes}) is not installed; install its Debian package: "
                f"apt-get install {package_of(program.name)}"
            )
            yield Check(f"program {program.name}", State.PROBLEM, text)
            continue
        yield _version(program.name, path, program.spec)


def _version(program: str, path: str, spec: Mapping[str, str]) -> Check:
    """Check the version of a program."""
    flag = spec.get("version_flag", "")
    if not flag:
        return Check(f"program {program}", State.OK, path)
    try:
        process = subprocess.run(
            [path, *flag.split()],
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as err:
        return Check(
            f"program {program}", State.PROBLEM, f"{path} cannot be started: {err}; install it again"
        )
    match = re.search(spec.get("version_pattern", r"(\d+(?:\.\d+)+)"), process.stdout + process.stderr)
    if match is None:
        text = f"{path} does not tell its version by {flag}; install it again"
        return Check(f"program {program}", State.PROBLEM, text)
    return Check(f"program {program}", State.OK, f"{path}, version {match.group(match.lastindex or 0)}")


def check_packages(lock: Path | None = None) -> Iterator[Check]:
    """Python, and each package that desdm needs, against the lock file where there is one.

    Parameters
    ----------
    lock
        ``requirements.lock``; default: that of the source tree, which an installed package does not have.
    """
    python = ".".join(map(str, sys.version_info[:3]))
    yield Check("python", State.OK, f"Python {python}")
    path = lock or Path(str(files("desdm"))).parents[1] / "requirements.lock"
    pins = {_plain(m[1]): m[2] for m in _PIN.finditer(path.read_text("utf-8"))} if path.is_file() else {}
    wrong = []
    for name in sorted(
        {_plain(re.split(r"[^A-Za-z0-9_.-]", r)[0]) for r in requires("desdm") or () if "extra ==" not in r}
    ):
        try:
            installed = version(name)
        except PackageNotFoundError:
            wrong.append(f"{name} is not installed")
            continue
        if name in pins and installed != pins[name]:
            wrong.append(f"{name} is {installed}, locked is {pins[name]}")
    if wrong:
        yield Check("packages", State.PROBLEM, f"{'; '.join(wrong)}; run: pip install -r requirements.lock")
    elif pins:
        yield Check("packages", State.OK, "every package has the locked version")
    else:
        yield Check("packages", State.OK, "every package is installed; no requirements.lock to compare with")


def _plain(name: str) -> str:
    """The name of a package as it is compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
