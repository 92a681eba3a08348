"""Files of the HiPS of a release, verified at each reading, for ``/hips`` and for the map page."""

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
#: Tiles are small: their bytes are hashed whenever they are read, so that no earlier verdict has to be believed.
_READERS = 4


class Pictures:
    """Finds and reads pictures that a caller may see: those of releases of which the caller may see all."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._indexes = Indexes(services)
        self._readers = CapacityLimiter(_READERS)
        self._verifier = Verifier(self._report)

    def find(self, access: Access, release: Release, path: str) -> ReleaseFile | None:
        """The file ``hips/<path>`` of a release; None if there is none, or none for this caller."""
        if not access.whole(release):
            return None
        return self._indexes.of(release.name, access.caller).by_path.get(f"hips/{path}")

    async def read(self, file: ReleaseFile) -> bytes:
        """The bytes of a file.

        Raises
        ------
        CorruptFile
            They are not those that were released; the file stands in the problem list then.
        TransientError
            It is being written.
        """
        path = self._services.root(file.release) / file.path
        for _ in range(2):
            data = await to_thread.run_sync(_read, path, file, limiter=self._readers)
            if data is not None:
                return data
            # The verifier keeps its verdict as long as nobody touches the file: it is entered into the list once.
            opened = await self._verifier.open(path, file, self._readers)
            opened.close()
        raise TransientError(f"{file.release}/{file.path} is being written on this server; try again")

    def _report(self, file: ReleaseFile, fault: str) -> None:
        _LOG.error("%s/%s: %s", file.release, file.path, fault)
        self._services.faults.report(file.release, file.path, fault, "pictures")


def _read(path: Path, file: ReleaseFile) -> bytes | None:
    """The bytes of the file, or None if they are not those that were released."""
    try:
        with path.open("rb") as opened:
            data = opened.read(file.filesize + 1)
    except OSError:
        return None
    return data if hashlib.sha256(data).hexdigest() == file.sha256 else None
