"""Installation of Aladin Lite, the sky map of the web pages: ``python -m desdm.web.aladin [FILE]``.

The package is GPL-3 with LGPL parts; it is served as it is, with its licences, and is not part of desdm. Its version is
pinned and its digest verified. ``FILE`` is the package as npm has it, for a machine without npm.
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
from pathlib import Path

from desdm.errors import CorruptFile, DesdmError, UsageError, storage_error

__all__ = ["ALADIN", "DIGEST", "VERSION", "install", "main"]

VERSION = "3.8.2"
#: sha-512 of the package, as npm writes it in lock files.
DIGEST = "/VGtxSWZ4StdKgwjmzqNkUY/3iTaBZJ5F6bN+nAfcK1NEATcAb2CYJX4U8FElpwYMgKrypYQV5KniRzhVbH+nA=="
#: Where the server finds it: in the environment of this Python.
ALADIN = Path(sys.prefix) / "share" / "desdm" / "aladin"

_PACKAGE = f"aladin-lite-{VERSION}.tgz"
_ADDRESS = f"https://registry.npmjs.org/aladin-lite/-/{_PACKAGE}"
_MEMBERS = ("dist/aladin.js", "COPYING", "COPYING.LESSER")


def install(package: Path, target: Path = ALADIN, digest: str = DIGEST) -> None:
    """Unpack script and licences of a verified package, in place of an earlier installation.

    Parameters
    ----------
    package
        The package, a tar archive compressed by gzip.
    target
        Folder of the installation.
    digest
        Expected sha-512 of the package, in base64.

    Raises
    ------
    CorruptFile
        The package has another digest; nothing is installed.
    UsageError
        The package cannot be read or has not the expected files.
    StorageUnavailable
        The folder cannot be written.
    """
    try:
        data = package.read_bytes()
    except OSError as err:
        raise UsageError(f"{package} cannot be read: {err.strerror}") from err
    actual = base64.b64encode(hashlib.sha512(data).digest()).decode()
    if actual != digest:
        raise CorruptFile(f"{package}: sha-512 is {actual}, expected {digest}; nothing was installed")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".aladin-") as folder:
            new = Path(folder) / "new"
            new.mkdir()
            with tarfile.open(package) as archive:
                for member in _MEMBERS:
                    content = archive.extractfile(f"package/{member}")
                    if content is None:
                        raise UsageError(f"{package} has no file {member}")
                    (new / Path(member).name).write_bytes(content.read())
            script = (new / "aladin.js").read_bytes()
            # The server sends it compressed.
            (new / "aladin.js.gz").write_bytes(gzip.compress(script, 9, mtime=0))
            (new / ".version").write_text(f"{VERSION} {digest}\n")
            shutil.rmtree(target, ignore_errors=True)
            new.rename(target)
    except (tarfile.TarError, KeyError) as err:
        raise UsageError(f"{package} is not the package aladin-lite: {err}") from err
    except OSError as err:
        raise storage_error(err) from err


def _is_current(target: Path) -> bool:
    """Whether this version is installed completely."""
    try:
        version = (target / ".version").read_text().strip()
    except OSError:
        return False
    return version == f"{VERSION} {DIGEST}" and (target / "aladin.js.gz").is_file()


def _download(folder: Path) -> Path:
    """Download the package with npm into a folder and return its path."""
    npm = shutil.which("npm")
    if npm is None:
        raise UsageError(
            f"npm is not installed (Debian package npm); install it, or download {_ADDRESS} "
            f"and call: python -m desdm.web.aladin {_PACKAGE}"
        )
    command = [npm, "pack", "--silent", "--pack-destination", str(folder), f"aladin-lite@{VERSION}"]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        raise UsageError(f"npm cannot download aladin-lite {VERSION}: {done.stderr.strip()[-300:]}")
    return folder / _PACKAGE


def main(arguments: list[str] | None = None) -> int:
    """Install Aladin Lite unless this version is there; return the exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    if len(words) > 1 or any(word.startswith("-") for word in words):
        sys.stderr.write(
            f"usage: python -m desdm.web.aladin [{_PACKAGE}]\n"
            f"Installs Aladin Lite {VERSION} for the map page into {ALADIN}, from npm or from the file.\n"
        )
        return 0 if words in (["-h"], ["--help"]) else 2
    if not words and _is_current(ALADIN):
        return 0
    try:
        with tempfile.TemporaryDirectory(prefix="aladin-") as folder:
            install(Path(words[0]) if words else _download(Path(folder)))
    except DesdmError as err:
        sys.stderr.write(f"error: {err}\n")
        return err.exit_status
    sys.stdout.write(f"Aladin Lite {VERSION} is in {ALADIN}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
