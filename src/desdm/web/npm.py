"""Installation of the scripts of others that the web pages use: ``python -m desdm.web.npm [FILE]``.

The packages come from npm; they are served as they are, with their licences, and are not part of desdm. Each version is
pinned and its digest verified. ``FILE`` is a package as npm has it, for a machine without npm.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from desdm.errors import CorruptFile, DesdmError, UsageError, storage_error

__all__ = ["ALADIN_LITE", "PACKAGES", "UPLOT", "NpmPackage", "install", "install_by_command"]

#: Where the server finds them: in the environment of this Python.
_SHARE = Path(sys.prefix) / "share" / "desdm"


@dataclass(frozen=True, slots=True)
class NpmPackage:
    """A package of npm.

    Attributes
    ----------
    name, version
        As npm names it.
    title, purpose
        As people name it, and what the pages use it for.
    digest
        sha-512 of the package, in base64, as npm writes it in lock files.
    members
        File of the package → name under which it is installed.
    target
        Folder of the installation.
    module
        Module that installs it from a file: ``python -m MODULE FILE``.
    """

    name: str
    version: str
    title: str
    purpose: str
    digest: str
    members: Mapping[str, str]
    target: Path
    module: str = "desdm.web.npm"

    @property
    def filename(self) -> str:
        """File name of the package."""
        return f"{self.name}-{self.version}.tgz"

    @property
    def address(self) -> str:
        """Address of the package."""
        return f"https://registry.npmjs.org/{self.name}/-/{self.filename}"

    @property
    def scripts(self) -> tuple[str, ...]:
        """Installed scripts, each of which has a compressed copy."""
        return tuple(name for name in self.members.values() if name.endswith(".js"))

    def is_installed(self) -> bool:
        """Whether its scripts are there, of whatever version."""
        return all((self.target / name).is_file() for name in self.scripts)

    def is_current(self) -> bool:
        """Whether this version is installed completely."""
        try:
            version = (self.target / ".version").read_text().strip()
        except OSError:
            return False
        complete = all((self.target / f"{name}.gz").is_file() for name in self.scripts)
        return version == f"{self.version} {self.digest}" and complete


ALADIN_LITE = NpmPackage(
    "aladin-lite",
    "3.8.2",
    "Aladin Lite",
    "the map page",
    "/VGtxSWZ4StdKgwjmzqNkUY/3iTaBZJ5F6bN+nAfcK1NEATcAb2CYJX4U8FElpwYMgKrypYQV5KniRzhVbH+nA==",
    {"dist/aladin.js": "aladin.js", "COPYING": "COPYING", "COPYING.LESSER": "COPYING.LESSER"},
    _SHARE / "aladin",
    "desdm.web.aladin",
)
UPLOT = NpmPackage(
    "uplot",
    "1.6.32",
    "uPlot",
    "the plots of the pages of operations",
    "KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw==",
    {"dist/uPlot.iife.min.js": "uplot.js", "LICENSE": "LICENSE"},
    _SHARE / "uplot",
)
PACKAGES = (ALADIN_LITE, UPLOT)


def install(wanted: NpmPackage, package: Path, target: Path | None = None, digest: str = "") -> None:
    """Unpack scripts and licences of a verified package, in place of an earlier installation.

    Parameters
    ----------
    wanted
        What the package should be.
    package
        The package, a tar archive compressed by gzip.
    target
        Folder of the installation; None: the usual one.
    digest
        Expected sha-512 of the package, in base64; empty: the usual one.

    Raises
    ------
    CorruptFile
        The package has another digest; nothing is installed.
    UsageError
        The package cannot be read or has not the expected files.
    StorageUnavailable
        The folder cannot be written.
    """
    target, digest = target or wanted.target, digest or wanted.digest
    try:
        data = package.read_bytes()
    except OSError as err:
        raise UsageError(f"{package} cannot be read: {err.strerror}") from err
    actual = base64.b64encode(hashlib.sha512(data).digest()).decode()
    if actual != digest:
        raise CorruptFile(f"{package}: sha-512 is {actual}, expected {digest}; nothing was installed")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{wanted.name}-") as folder:
            new = Path(folder) / "new"
            new.mkdir()
            with tarfile.open(package) as archive:
                for member, name in wanted.members.items():
                    content = archive.extractfile(f"package/{member}")
                    if content is None:
                        raise UsageError(f"{package} has no file {member}")
                    (new / name).write_bytes(content.read())
            for name in wanted.scripts:
                # The server sends it compressed.
                script = (new / name).read_bytes()
                (new / f"{name}.gz").write_bytes(gzip.compress(script, 9, mtime=0))
            (new / ".version").write_text(f"{wanted.version} {digest}\n")
            shutil.rmtree(target, ignore_errors=True)
            new.rename(target)
    except (tarfile.TarError, KeyError) as err:
        raise UsageError(f"{package} is not the package {wanted.name}: {err}") from err
    except OSError as err:
        raise storage_error(err) from err


def _download(wanted: NpmPackage, folder: Path) -> Path:
    """Download a package with npm into a folder and return its path."""
    npm = shutil.which("npm")
    if npm is None:
        raise UsageError(
            f"npm is not installed (Debian package npm); install it, or download {wanted.address} "
            f"and call: python -m {wanted.module} {wanted.filename}"
        )
    name = f"{wanted.name}@{wanted.version}"
    command = [npm, "pack", "--silent", "--pack-destination", str(folder), name]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        raise UsageError(f"npm cannot download {wanted.name} {wanted.version}: {done.stderr.strip()[-300:]}")
    return folder / wanted.filename


def install_by_command(wanted: NpmPackage, file: str = "") -> int:
    """Install a package from npm unless this version is there, or from a file; return the exit status."""
    if not file and wanted.is_current():
        return 0
    try:
        with tempfile.TemporaryDirectory(prefix=f"{wanted.name}-") as folder:
            install(wanted, Path(file) if file else _download(wanted, Path(folder)))
    except DesdmError as err:
        sys.stderr.write(f"error: {err}\n")
        return err.exit_status
    sys.stdout.write(f"{wanted.title} {wanted.version} is in {wanted.target}\n")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Install all packages of which this version is not there, or the one of a file; return the exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    chosen = [one for one in PACKAGES if words and Path(words[0]).name == one.filename]
    if len(words) > 1 or (words and not chosen):
        names = " | ".join(one.filename for one in PACKAGES)
        lines = [f"  {one.title} {one.version}, for {one.purpose}: {one.target}\n" for one in PACKAGES]
        sys.stderr.write(
            f"usage: python -m desdm.web.npm [{names}]\nInstalls, from npm or from the file,\n{''.join(lines)}"
        )
        return 0 if words in (["-h"], ["--help"]) else 2
    if words:
        return install_by_command(chosen[0], words[0])
    return max(install_by_command(one) for one in PACKAGES)


if __name__ == "__main__":
    sys.exit(main())
