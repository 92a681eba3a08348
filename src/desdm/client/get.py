"""Downloads a release, or a part of it, by its manifest: resumed, verified, several files at once."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from urllib.parse import quote, unquote, urlsplit

from desdm.client.transfer import Link, Wanted, reason, standing, transfer
from desdm.errors import (
    AccessDenied,
    DesdmError,
    FatalError,
    NotFoundError,
    StorageFull,
    UsageError,
    storage_error,
)

__all__ = ["Part", "Report", "Source", "get", "source", "wanted"]

#: What stands in a path as it is (RFC 3986, 3.3).
_PLAIN = "/=+,:@"
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a release is served: the server's address, the release, and the beginning of the paths that are wanted."""

    base: str
    release: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """Which files of a release are wanted; an empty condition is none.

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
    """What a download did: paths that came, that stood already, and path with reason of those that could not be had."""

    fetched: list[str] = field(default_factory=list)
    standing: list[str] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    bytes: int = 0


def source(text: str, server: str | None = None) -> Source:
    """What an address, or the name of a release with its server, means.

    Parameters
    ----------
    text
        ``https://host/files/R``, ``…/files/R/images/`` (that folder), ``…/files/R/x.fits`` (that file),
        ``…/releases/R``, or only ``R``.
    server
        Address of the server, for a bare name.

    Raises
    ------
    UsageError
        If it is none of these.
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
    found = re.fullmatch(r"(.*)/(?:files|releases)/(\w+)(?:/(.*))?", url.path)
    if found is None or url.query:
        raise UsageError(f"{text}: an address like https://host/files/RELEASE is wanted")
    return Source(f"{url.scheme}://{url.netloc}{found[1]}", found[2], unquote(found[3] or ""))


def _web(text: str) -> str:
    url = urlsplit(text)
    if url.scheme not in ("http", "https") or not url.netloc:
        raise UsageError(f"{text} is no address of the web (http:// or https://)")
    return text.rstrip("/") if url.path == "/" else text


def wanted(link: Link, origin: Source, part: Part) -> list[Wanted]:
    """The files of a part, from the release's manifest.

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
    listed = f"{origin.base}/api/releases/{origin.release}/files"
    place = None
    if part.position:
        place = {row["path"] for row in _document(link, f"{listed}?pos={quote(part.position)}")}
    elif part == Part() and not origin.path:
        # Whoever takes the whole gets the manifest too, so that ``sha256sum -c`` can be run later.
        rows += _document(link, f"{listed}?filetype=manifest")
    fits = _condition(origin, part, place)
    found = [one for row in rows for one in [_entry(origin, row)] if fits(one.path, row)]
    if not found:
        raise NotFoundError(
            f"{origin.release} has no such files; see {origin.base}/files?release={origin.release}"
        )
    return found


def _condition(origin: Source, part: Part, place: set[str] | None) -> Callable[[str, dict[str, Any]], bool]:
    tiles, types = ({name.lower() for name in names} for names in (part.tilenames, part.filetypes))
    bands = set(part.bands)

    def fits(path: str, row: dict[str, Any]) -> bool:
        return (
            (not tiles or str(row.get("tilename") or "").lower() in tiles)
            and (not bands or row.get("band") in bands)
            and (not types or str(row.get("filetype")).lower() in types)
            and (place is None or path in place)
            and _below(path, origin.path)
        )

    return fits


def _below(path: str, beginning: str) -> bool:
    folder = beginning if beginning.endswith("/") or not beginning else f"{beginning}/"
    return path == beginning or path.startswith(folder)


def _document(link: Link, url: str) -> list[dict[str, Any]]:
    answer = link.asked(url)
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
    raise FatalError(f"{url} is no list of files; is it a desdm server?")


def _entry(origin: Source, row: Any) -> Wanted:
    try:
        path, size, sha256 = str(row["path"]), int(row["size"]), str(row["sha256"])
    except (KeyError, TypeError, ValueError) as err:
        raise FatalError(f"the manifest of {origin.release} is broken: {str(row)[:100]}") from err
    # A manifest comes from outside: no name in it may lead out of the folder, or hide as one of our parts.
    pieces = path.split("/")
    safe = all(p and not p.startswith(".") and "\\" not in p and p.isprintable() for p in pieces)
    if not safe or size < 0 or not _SHA256.fullmatch(sha256):
        raise FatalError(f"the manifest of {origin.release} has an entry that is not allowed: {path[:100]!r}")
    return Wanted(path, f"{origin.base}/files/{origin.release}/{quote(path, safe=_PLAIN)}", size, sha256)


def get(
    link: Link,
    files: Sequence[Wanted],
    folder: Path,
    *,
    parallel: int = 4,
    done: Callable[[Wanted, Literal["fetched", "standing", "failed"]], object] = lambda one, how: None,
) -> Report:
    """Bring files into a folder, each to its path in the release.

    What stands there with the right bytes is left; what is missing or wrong is fetched; what an earlier run
    brought of a file is not fetched again. A file that cannot be had does not hold up the others.

    Parameters
    ----------
    parallel
        Files at once.
    done
        Called as each file is settled, from one thread.

    Raises
    ------
    UsageError
        If the folder cannot be made.
    StorageFull
        If there is no room; what came stays, and the next run goes on.
    """
    report = Report()
    root = folder.resolve()
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise storage_error(err, folder) from err
    with ThreadPoolExecutor(parallel, thread_name_prefix="desdm-get") as pool:
        try:
            for one, result in _settled(pool, files, parallel, lambda one: _bring(link, one, root)):
                how: Literal["fetched", "standing", "failed"]
                if isinstance(result, StorageFull):
                    raise result  # the others would find no room either
                if isinstance(result, DesdmError):
                    how = "failed"
                    report.failed.append((one.path, str(result)))
                elif result:
                    how = "fetched"
                    report.fetched.append(one.path)
                    report.bytes += one.size
                else:
                    how = "standing"
                    report.standing.append(one.path)
                done(one, how)
        except BaseException:
            # Ctrl-C: the transfers end at their next piece, their parts stay for the next run.
            link.stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    report.fetched.sort(), report.standing.sort(), report.failed.sort()
    return report


def _settled(
    pool: ThreadPoolExecutor, files: Sequence[Wanted], parallel: int, bring: Callable[[Wanted], bool]
) -> Iterable[tuple[Wanted, bool | DesdmError]]:
    # Large files first, so that none is left alone at the end; few are given out at a time, whatever their number.
    waiting = iter(sorted(files, key=lambda one: (-one.size, one.path)))
    running: dict[Future[bool], Wanted] = {}
    while True:
        for one in waiting:
            running[pool.submit(bring, one)] = one
            if len(running) >= 2 * parallel:
                break
        if not running:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            one = running.pop(future)
            try:
                yield one, future.result()
            except DesdmError as err:
                yield one, err


def _bring(link: Link, one: Wanted, root: Path) -> bool:
    target = root / PurePosixPath(one.path)
    # A link in the folder could lead elsewhere.
    if not Path(os.path.realpath(target.parent)).is_relative_to(root):
        raise UsageError(f"{one.path}: its folder leads out of {root}")
    if standing(target, one):
        link.moved(one.size)
        return False
    transfer(link, one, target)
    return True
