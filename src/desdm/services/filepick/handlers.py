"""HTTP endpoints that list files, folders and releases."""

from __future__ import annotations

import json
from dataclasses import replace
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute

from desdm.accounts.model import Caller
from desdm.errors import NotFoundError, UsageError
from desdm.query import formats
from desdm.services.access import access_of
from desdm.services.context import Services, caller_of
from desdm.services.endpoint import routes_of
from desdm.services.filepick import render
from desdm.services.filepick.endpoints import (
    CONDITIONS,
    FILES,
    FOLDER,
    OF_RELEASE,
    RELEASE,
    RELEASE_FILES,
    RELEASES,
    SLASH,
    TOP,
    WITHOUT_SLASH,
)
from desdm.services.filepick.index import Indexes
from desdm.services.filepick.manifest import DIGESTS, MANIFEST
from desdm.services.filepick.pick import Choice, choice_of, select_files
from desdm.services.forms import parse_parameters
from desdm.services.responses import base_url, run_blocking

__all__ = ["FilePick", "routes"]

_FORM_BYTES = 1_000_000
#: Rows of a web page; programs get all rows, or LIMIT rows.
_PAGE = 500


class FilePick:
    """Handlers and the index of files that they share."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.indexes = Indexes(services)

    async def files(self, request: Request) -> Response:
        """GET ``/files`` and ``/api/releases/<R>/files``: matching files in the requested format."""
        params = await parse_parameters(request, _FORM_BYTES)
        release = request.path_params.get("release")
        values = params.read(OF_RELEASE if release else CONDITIONS)
        choice = choice_of(values, release)
        form = values.text("FORMAT").lower() or ("json" if release else _preferred(request))
        if form == "html" and choice.limit is None:
            choice = replace(choice, limit=_PAGE)
        task = _ListResponse(self.indexes, caller_of(request), choice, base_url(request), form, request)
        return await run_blocking(self._services, task)

    async def folder(self, request: Request) -> Response:
        """GET ``/files/<R>/<folder>/``: the folder as a page with links for browsers and ``wget -r``."""
        caller, path = caller_of(request), request.path_params.get("folder", "")
        return await run_blocking(
            self._services, lambda: self._folder(request.path_params["release"], path, caller)
        )

    def _folder(self, name: str, path: str, caller: Caller) -> Response:
        """Render a folder."""
        index = self.indexes.of(name, caller)
        folder = index.folders_for(self.indexes.access(caller)).get(path)
        if folder is None:
            raise NotFoundError(f"{index.release.name} has no folder {path[:200]}")
        files: list[tuple[str, int | None, str | None]] = [
            (file.path.rpartition("/")[2], file.filesize, file.sha256) for file in folder.files
        ]
        if not path:
            names = {n for n, _, _ in files}
            files += [(n, None, None) for n in (MANIFEST, DIGESTS) if n not in names]
        text = render.page(
            "folder.html",
            release=index.release.name,
            folder=f"{path}/" if path else "",
            folders=sorted(folder.folders),
            files=sorted(files),
        )
        return Response(text, media_type="text/html")

    async def releases(self, request: Request) -> Response:
        """GET ``/api/releases``: the releases that the caller may see, newest first."""
        caller, base = caller_of(request), base_url(request)

        def task() -> list[render.ReleaseEntry]:
            return [self._release(r.name, caller, base) for r in self.indexes.visible(caller)]

        return _json({"releases": await run_blocking(self._services, task)})

    async def release(self, request: Request) -> Response:
        """GET ``/api/releases/<R>``: one release."""
        name, caller, base = request.path_params["release"], caller_of(request), base_url(request)
        return _json(await run_blocking(self._services, lambda: self._release(name, caller, base)))

    def _release(self, name: str, caller: Caller, base: str) -> render.ReleaseEntry:
        """Return a release as a JSON entry."""
        access = access_of(self._services, caller)
        release = access.release(name)
        files, tables = access.files(release), sorted(t.name for t in access.tables(release))
        # The name of a hidden release is never shown.
        release = replace(release, erratum_of=access.erratum_of(release))
        return render.release_entry(base, release, len(files), sum(f.filesize for f in files), tables)


class _ListResponse:
    """Response to one choice of files, computed in a thread."""

    def __init__(
        self, indexes: Indexes, caller: Caller, choice: Choice, base: str, form: str, request: Request
    ) -> None:
        self._indexes, self._caller, self._choice = indexes, caller, choice
        self._base, self._form, self._request = base, form, request

    def __call__(self) -> Response:
        form, choice = self._form, self._choice
        table_format = None if form in ("html", "json", "txt") else _format(form)
        selection = select_files(self._indexes, self._caller, choice)
        following = self._following(selection.total)
        # The address of the next part is in the response itself where the format allows it (JSON, page).
        headers = {"x-total-count": str(selection.total)}
        if following:
            headers["link"] = f'<{following}>; rel="next"'
        if table_format is not None:
            table = formats.stream(
                table_format,
                render.COLUMNS,
                render.batches(self._base, selection),
                title="Files",
                more=following is not None,
            )
            return StreamingResponse(table, headers=headers | table.headers, media_type=table_format.mime)
        if form == "txt":
            lines = render.addresses(self._base, selection)
            return StreamingResponse(lines, headers=headers, media_type="text/plain")
        if form == "json":
            pieces = render.listing(self._base, selection, choice.offset, following)
            return StreamingResponse(pieces, headers=headers, media_type="application/json")
        parameters = {name.lower(): value for name, value in self._request.query_params.items()}
        text = render.page(
            "files.html",
            releases=[r.name for r in self._indexes.visible(self._caller)],
            choice=choice,
            query={name: parameters.get(name, "") for name in ("tilename", "band", "filetype", "pos")},
            files=[render.entry("", file) for _, file in selection.files],
            total=selection.total,
            offset=choice.offset,
            following=following,
        )
        return Response(text, headers=headers, media_type="text/html")

    def _following(self, total: int) -> str | None:
        """Return the URL of the next part of the list; None after the last."""
        limit, offset = self._choice.limit, self._choice.offset
        if not limit or offset + limit >= total:
            return None
        pairs = [
            p for p in self._request.query_params.multi_items() if p[0].upper() not in ("LIMIT", "OFFSET")
        ]
        pairs += [("limit", str(limit)), ("offset", str(offset + limit))]
        return f"{self._base}{self._request.url.path}?{urlencode(pairs)}"


def _format(name: str) -> formats.Format:
    """Return a table format by name."""
    try:
        return formats.choose("votable/td" if name == "votable" else name)
    except UsageError as err:
        known = ", ".join(form.name for form in formats.FORMATS)
        raise UsageError(f"FORMAT={name[:40]} is not known; there are: html, json, txt, {known}") from err


def _preferred(request: Request) -> str:
    """Return the default format: a page for browsers, JSON for programs."""
    return "html" if "text/html" in request.headers.get("accept", "") else "json"


def _json(document: object) -> Response:
    """Return a JSON response."""
    return Response(json.dumps(document, ensure_ascii=False), media_type="application/json")


async def _redirect_to_folder(request: Request) -> Response:
    """Redirect to the address with a trailing slash."""
    return RedirectResponse(request.url.path + "/", status_code=308)


def routes(services: Services) -> list[BaseRoute]:
    """Routes of the file pick."""
    pick = FilePick(services)
    return routes_of(
        [
            (FILES, pick.files),
            (SLASH, pick.files),
            (WITHOUT_SLASH, _redirect_to_folder),
            (TOP, pick.folder),
            (FOLDER, pick.folder),
            (RELEASES, pick.releases),
            (RELEASE, pick.release),
            (RELEASE_FILES, pick.files),
        ]
    )
