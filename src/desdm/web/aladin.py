"""Installation of Aladin Lite, the sky map of the web pages: ``python -m desdm.web.aladin [FILE]``.

The package is GPL-3 with LGPL parts; it is served as it is, with its licences, and is not part of desdm. ``FILE`` is the
package as npm has it, for a machine without npm. `desdm.web.npm` installs it with all others.
"""

from __future__ import annotations

import sys
from pathlib import Path

from desdm.web import npm
from desdm.web.npm import ALADIN_LITE

__all__ = ["ALADIN", "install", "main"]

#: Where the server finds it.
ALADIN = ALADIN_LITE.target


def install(package: Path, target: Path = ALADIN, digest: str = ALADIN_LITE.digest) -> None:
    """Unpack script and licences of the verified package; see `desdm.web.npm.install`.

    Parameters
    ----------
    package
        The package, a tar archive compressed by gzip.
    target
        Folder of the installation.
    digest
        Expected sha-512 of the package, in base64.
    """
    npm.install(ALADIN_LITE, package, target, digest)


def main(arguments: list[str] | None = None) -> int:
    """Install Aladin Lite unless this version is there; return the exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    if len(words) > 1 or any(word.startswith("-") for word in words):
        sys.stderr.write(
            f"usage: python -m desdm.web.aladin [{ALADIN_LITE.filename}]\n"
            f"Installs Aladin Lite {ALADIN_LITE.version} for the map page into {ALADIN}, from npm or from the file.\n"
        )
        return 0 if words in (["-h"], ["--help"]) else 2
    return npm.install_by_command(ALADIN_LITE, words[0] if words else "")


if __name__ == "__main__":
    sys.exit(main())
