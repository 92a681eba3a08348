"""Download a release, or a part of it, by its manifest: resumed, verified, several files at once."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal
from urllib.parse import quote, unquote, urlsplit

from desdm.client.answers import ManifestEntry
from desdm.client.transfer import Link, RemoteFile, is_complete, reason, transfer
from desdm.errors import (
    AccessDenied,
    DesdmError,
    FatalError,
    NotFoundError,
    StorageFull,
    UsageError,
    storage_error,
)

__all__ = ["Part", "Report", "Source", "get", "remote_files", "source"]

#: Characters of a path that are not quoted (RFC 3986, 3.3).
_PLAIN = "/=+,:@"
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Source:
    """Address of a release: server, name of the release, and prefix of the selected paths."""

    base: str
    release: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """Selection of files of a release; an empty condition selects all.

    Attributes
    ----------
    position
        ``ra,dec,radius`` in degrees; the server says which files lie there.
    """

    tilenames: Sequence[str] = ()
    bands: Sequence[str] = ()
    filetypes: Sequence[str] = ()
    position: str = ""


@dataclass(slots=True)
class Report:
    """Result of a download: paths fetched, present before, and failed with the reason."""

    fetched: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    bytes: int = 0


def source(text: str, server: str | None = None) -> Source:
    """Parse an address, or the name of a release with its server.

    Parameters
    ----------
    text
        ``https://host/files/R``, ``…/files/R/images/`` (that folder), ``…/files/R/x.fits`` (that file),
        ``…/releases/R``, or only ``R``.
    server
        Address of the server, for a bare name.

    Returns
    -------
    Source
        Server, release and path.

    Raises
    ------
    UsageError
        The text has none of these forms.
    """
    if "://" not in text:
        if not re.fullmatch(r"\w+", text):
            raise UsageError(f"{text} is neither an address nor the name of a release")
        if not server:
            raise UsageError(
                f"{text}: which server? give --url, set DESDM_URL, or give https://host/files/{text}"
            )
        return Source(_web(server), text)
    url = urlsplit(_web(text))
    match = re.fullmatch(r"(.*)/(?:files|releases)/(\w+)(?:/(.*))?", url.path)
    if match is None or url.query:
        raise UsageError(f"{text} is not an address like https://host/files/RELEASE")
    return Source(f"{url.scheme}://{url.netloc}{match[1]}", match[2], unquote(match[3] or ""))


def _web(text: str) -> str:
    """Check that a text is a web address."""
    url = urlsplit(text)
    if url.scheme not in ("http", "https") or not url.netloc:
        raise UsageError(f"{text} is not a web address (http:// or https://)")
    return text.rstrip("/") if url.path == "/" else text


def remote_files(link: Link, origin: Source, part: Part) -> list[RemoteFile]:
    """List the files of a part, from the manifest of the release.

    Parameters
    ----------
    link
        HTTP client.
    origin
        The release.
    part
        Selection of files.

    Returns
    -------
    list of RemoteFile
        The files.

    Raises
    ------
    NotFoundError
        If there is no such release, or no file fits.
    AccessDenied
        If it is not for this caller.
    FatalError
        If the manifest is broken, or names a path that would leave the folder.
    TransientError
        If the server does not answer.
    """
    rows = _document(link, f"{origin.base}/files/{origin.release}/manifest.json")
    listing = f"{origin.base}/api/releases/{origin.release}/files"
    paths = None
    if part.position:
        paths = {row["path"] for row in _document(link, f"{listing}?pos={quote(part.position)}")}
    elif part == Part() and not origin.path:
        # A whole release includes the manifest, so that ``sha256sum -c`` can be run later.
        rows += _document(link, f"{listing}?filetype=manifest")
    fits = _condition(origin, part, paths)
    files = [file for row in rows for file in [_entry(origin, row)] if fits(row)]
    if not files:
        raise NotFoundError(
            f"{origin.release} has no such files; see {origin.base}/files?release={origin.release}"
        )
    return files


def _condition(origin: Source, part: Part, paths: set[str] | None) -> Callable[[ManifestEntry], bool]:
    """Return the predicate of a part."""
    tiles, types = ({name.lower() for name in names} for names in (part.tilenames, part.filetypes))
    bands = set(part.bands)

    def fits(row: ManifestEntry) -> bool:
        return (
            (not tiles or str(row.get("tilename") or "").lower() in tiles)
            and (not bands or row.get("band") in bands)
            and (not types or str(row.get("filetype")).lower() in types)
            and (paths is None or row["path"] in paths)
            and _below(row["path"], origin.path)
        )

    return fits


def _below(path: str, beginning: str) -> bool:
    """Tell whether a path is a prefix itself or lies below it."""
    folder = beginning if beginning.endswith("/") or not beginning else f"{beginning}/"
    return path == beginning or path.startswith(folder)


def _document(link: Link, url: str) -> list[ManifestEntry]:
    """Fetch a list of files."""
    answer = link.fetch(url)
    if answer.status_code in (401, 403):
        raise AccessDenied(reason(answer), known=answer.status_code == 403)
    if answer.status_code == 404:
        raise NotFoundError(f"{url}: {reason(answer)}")
    if 400 <= answer.status_code < 500:
        raise UsageError(f"{url}: {reason(answer)}")
    if answer.status_code != 200:
        raise FatalError(f"{url}: status {answer.status_code}: {reason(answer)}")
    try:
        rows = json.loads(answer.content)["files"]
        if isinstance(rows, list) and all(isinstance(row, dict) for row in rows):
            return rows
    except (ValueError, KeyError, TypeError):
        pass  # no list of files at all
    raise FatalError(f"{url} is not a list of files; is it a desdm server?")


def _entry(origin: Source, row: ManifestEntry) -> RemoteFile:
    """Check an entry of a manifest and return its file."""
    try:
        path, size, sha256 = str(row["path"]), int(row["size"]), str(row["sha256"])
    except (KeyError, TypeError, ValueError) as err:
        raise FatalError(f"the manifest of {origin.release} is broken: {str(row)[:100]}") from err
    # A manifest comes from outside: no name in it may lead out of the folder, or hide as one of our parts.
    pieces = path.split("/")
    safe = all(p and not p.startswith(".") and "\\" not in p and p.isprintable() for p in pieces)
    if not safe or size < 0 or not _SHA256.fullmatch(sha256):
        raise FatalError(f"the manifest of {origin.release} has an entry that is not allowed: {path[:100]!r}")
    return RemoteFile(path, f"{origin.base}/files/{origin.release}/{quote(path, safe=_PLAIN)}", size, sha256)


def get(
    link: Link,
    files: Sequence[RemoteFile],
    folder: Path,
    *,
    parallel: int = 4,
    done: Callable[[RemoteFile, Literal["fetched", "present", "failed"]], object] = lambda file, how: None,
) -> Report:
    """Download files into a folder, each to its path in the release.

    Files with the right bytes are left; missing and wrong ones are fetched; bytes that an earlier run fetched are
    not fetched again. A file that fails does not stop the others.

    Parameters
    ----------
    link
        HTTP client.
    files
        Files to download.
    folder
        Output folder, created if needed.
    parallel
        Files at once.
    done
        Called after each file, from one thread.

    Returns
    -------
    Report
        Result by file.

    Raises
    ------
    UsageError
        If the folder cannot be created.
    StorageFull
        If the disk is full; fetched bytes stay, and the next run continues.
    """
    report = Report()
    root = folder.resolve()
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise storage_error(err, folder) from err
    with ThreadPoolExecutor(parallel, thread_name_prefix="desdm-get") as pool:
        try:
            for file, result in _results(pool, files, parallel, lambda file: _fetch(link, file, root)):
                how: Literal["fetched", "present", "failed"]
                if isinstance(result, StorageFull):
                    raise result  # the others would find no room either
                if isinstance(result, DesdmError):
                    how = "failed"
                    report.failed.append((file.path, str(result)))
                elif result:
                    how = "fetched"
                    report.fetched.append(file.path)
                    report.bytes += file.size
                else:
                    how = "present"
                    report.present.append(file.path)
                done(file, how)
        except BaseException:
            # Ctrl-C: the transfers end at their next piece, their parts stay for the next run.
            link.stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    report.fetched.sort(), report.present.sort(), report.failed.sort()
    return report


def _results(
    pool: ThreadPoolExecutor, files: Sequence[RemoteFile], parallel: int, bring: Callable[[RemoteFile], bool]
) -> Iterable[tuple[RemoteFile, bool | DesdmError]]:
    """Run downloads in a pool; yield each file with its result."""
    # Large files first, so that none is left alone at the end; few are given out at a time, whatever their number.
    queue = iter(sorted(files, key=lambda file: (-file.size, file.path)))
    running: dict[Future[bool], RemoteFile] = {}
    while True:
        for file in queue:
            running[pool.submit(bring, file)] = file
            if len(running) >= 2 * parallel:
                break
        if not running:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            file = running.pop(future)
            try:
                yield file, future.result()
            except DesdmError as err:
                yield file, err


def _fetch(link: Link, file: RemoteFile, root: Path) -> bool:
    """Download one file unless it is complete; return whether it was fetched."""
    target = root / PurePosixPath(file.path)
    # A link in the folder could lead elsewhere.
    if not Path(os.path.realpath(target.parent)).is_relative_to(root):
        raise UsageError(f"{file.path}: its folder leads out of {root}")
    if is_complete(target, file):
        link.progress(file.size)
        return False
    transfer(link, file, target)
    return True
