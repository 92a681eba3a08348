"""Files of the HiPS of a release, verified at each read, for ``/hips`` and the map page."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

from anyio import CapacityLimiter, to_thread

from desdm.errors import TransientError
from desdm.release.model import Release, ReleaseFile
from desdm.services.access import Access
from desdm.services.bulk.verify import Verifier
from desdm.services.context import Services
from desdm.services.filepick.index import Indexes

__all__ = ["Pictures"]

_LOG = logging.getLogger(__name__)
#: Threads that read tiles; a tile is small, so that it is hashed at every read.
_READERS = 4


class Pictures:
    """Finds and reads pictures, of releases that the caller may see completely."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._indexes = Indexes(services)
        self._readers = CapacityLimiter(_READERS)
        self._verifier = Verifier(self._report)

    def find(self, access: Access, release: Release, path: str) -> ReleaseFile | None:
        """Return the file ``hips/<path>`` of a release.

        Parameters
        ----------
        access
            Visibility of releases to the caller.
        release
            Release.
        path
            Path below ``hips``.

        Returns
        -------
        ReleaseFile or None
            None if there is no such file, or the caller may not see it.
        """
        if not access.visible_completely(release):
            return None
        return self._indexes.of(release.name, access.caller).by_path.get(f"hips/{path}")

    async def read(self, file: ReleaseFile) -> bytes:
        """Return the verified bytes of a file.

        Raises
        ------
        CorruptReleaseFile
            The bytes differ from the release; the fault is entered into the problem list.
        TransientError
            It is being written.
        """
        path = self._services.root(file.release) / file.path
        for _ in range(2):
            data = await to_thread.run_sync(_read, path, file, limiter=self._readers)
            if data is not None:
                return data
            # The verifier remembers its verdict while the file is unchanged, so that a fault is reported once.
            verified = await self._verifier.open(path, file, self._readers)
            verified.close()
        raise TransientError(f"{file.release}/{file.path} is being written on this server; try again")

    def _report(self, file: ReleaseFile, fault: str) -> None:
        """Log a fault and enter it into the problem list."""
        _LOG.error("%s/%s: %s", file.release, file.path, fault)
        self._services.faults.report(file.release, file.path, fault, "pictures")


def _read(path: Path, file: ReleaseFile) -> bytes | None:
    """Return the bytes of a file; None if they differ from the release."""
    try:
        with path.open("rb") as file_handle:
            data = file_handle.read(file.filesize + 1)
    except OSError:
        return None
    return data if hashlib.sha256(data).hexdigest() == file.sha256 else None
