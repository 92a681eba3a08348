"""HTTP endpoints of files: ``/files/<R>/<path>``, and the manifests."""

from __future__ import annotations

import base64
import logging
import os
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import NamedTuple
from urllib.parse import quote

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from desdm.accounts.model import Caller
from desdm.errors import NotFoundError
from desdm.release.model import Release, ReleaseFile
from desdm.services.access import table_of
from desdm.services.bulk.conditions import precondition_status, ranges_count
from desdm.services.bulk.endpoints import FILE
from desdm.services.bulk.ranges import Unsatisfiable, parse
from desdm.services.bulk.response import FileResponse
from desdm.services.bulk.verify import Verifier
from desdm.services.context import Services, caller_of
from desdm.services.endpoint import routes_of
from desdm.services.filepick.index import Indexes
from desdm.services.filepick.manifest import DIGESTS, MANIFEST, as_digests, as_json
from desdm.services.filepick.render import url_path

__all__ = ["Bulk", "routes"]

_LOG = logging.getLogger(__name__)
#: Media types that a browser displays; it offers to save the others.
_INLINE = ("text/", "image/png", "image/jpeg", "application/json", "application/pdf")


class _Target(NamedTuple):
    """File to send, with its release."""

    release: Release
    file: ReleaseFile


class Bulk:
    """Handlers of files, with their own threads, so that queries and downloads do not block each other.

    Parameters
    ----------
    accel
        Address prefix below which a front server (nginx, ``internal``) finds the directory of the releases;
        it sends the bytes by sendfile, after this server verified them. Empty: this server sends them.
    """

    def __init__(self, services: Services, accel: str = "", readers: int = 8) -> None:
        self._services, self._accel = services, accel
        self._indexes = Indexes(services)
        self._readers = CapacityLimiter(readers)
        self._verifier = Verifier(self._report)

    async def get(self, request: Request) -> Response:
        """GET and HEAD of one file."""
        name, path = request.path_params["release"], request.path_params["path"]
        target = await to_thread.run_sync(self._find, name, path, caller_of(request), limiter=self._readers)
        if isinstance(target, Response):
            return target
        return await self._respond(request, *target)

    def _find(self, name: str, path: str, caller: Caller) -> _Target | Response:
        """Find a file; or return a generated manifest, or the redirect to a folder."""
        index = self._indexes.of(name, caller)
        release = index.release
        access = self._indexes.access(caller)
        file = index.by_path.get(path)
        if file is not None and access.file(file):
            return _Target(release, file)
        if path in (MANIFEST, DIGESTS):
            # A caller who may read a part of a release gets the manifest of that part.
            files = [f for f in access.files(release) if f.filetype != "manifest"]
            if path == MANIFEST:
                return Response(as_json(release.name, files), media_type="application/json")
            return Response(as_digests(files), media_type="text/plain")
        if path in index.folders_for(access):
            return RedirectResponse(f"/files/{url_path(release.name)}/{url_path(path)}/", status_code=308)
        access.refuse(name, table_of(path))
        raise NotFoundError(f"{release.name} has no file {path[:200]}; see /files/{release.name}/")

    async def _respond(self, request: Request, release: Release, file: ReleaseFile) -> Response:
        """Answer a request for a file: preconditions, ranges, verification."""
        modified = (release.published_at or release.created_at).replace(microsecond=0, tzinfo=UTC)
        headers = _headers(release, file, modified)
        etag = headers["etag"]
        status = precondition_status(request.headers, etag, modified)
        if status == 304:
            return Response(status_code=304, headers=headers)
        if status == 412:
            return Response(
                "error: the file is not the one that If-Match or If-Unmodified-Since names\n", 412
            )
        counts = ranges_count(request.headers, etag, modified)
        try:
            spans = parse(request.headers.get("range") if counts else None, file.filesize)
        except Unsatisfiable:
            return Response(status_code=416, headers={"content-range": f"bytes */{file.filesize}"})
        path = self._services.root(release.name) / file.path
        verified = await self._verifier.open(path, file, self._readers)
        if self._accel:
            os.close(verified.fd)
            # The front server handles Range itself; nginx passes only the headers that it knows.
            internal = f"{self._accel.rstrip('/')}/{url_path(release.name)}/{url_path(file.path)}"
            return Response(headers={**headers, "x-accel-redirect": internal}, media_type=file.mime)
        return FileResponse(verified, spans, file.mime, headers, self._readers)

    def _report(self, file: ReleaseFile, fault: str) -> None:
        """Log a fault and enter it into the problem list."""
        _LOG.error("%s/%s: %s", file.release, file.path, fault)
        self._services.faults.report(file.release, file.path, fault, "files service")


def _headers(release: Release, file: ReleaseFile, modified: datetime) -> dict[str, str]:
    """Return the headers of a file."""
    name = file.path.rpartition("/")[2]
    plain = name.encode("ascii", "replace").decode().replace('"', "_").replace("\\", "_")
    kind = "inline" if file.mime.startswith(_INLINE) else "attachment"
    digest = base64.b64encode(bytes.fromhex(file.sha256)).decode()
    headers = {
        "etag": f'"{file.sha256}"',
        "repr-digest": f"sha-256=:{digest}:",
        "last-modified": format_datetime(modified, usegmt=True),
        "content-disposition": f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name)}",
        "x-desdm-release": release.name,
        "accept-ranges": "bytes",
    }
    # A published file never changes; a proprietary one must not stay in shared caches.
    headers["cache-control"] = "private, no-cache" if release.proprietary else "public, max-age=86400"
    return headers


def routes(services: Services, accel: str | None = None) -> list[BaseRoute]:
    """Return the routes of files; ``accel`` as for `Bulk`, None: from the settings."""
    bulk = Bulk(services, services.config.services_accel if accel is None else accel)
    return routes_of([(FILE, bulk.get)])
