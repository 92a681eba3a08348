"""A client trusts no server: names that lead out, wrong bytes and wrong ranges never reach the folder."""

from __future__ import annotations

import hashlib
import json
import resource
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from desdm.client.get import Part, Source, get, remote_files, source
from desdm.client.transfer import Link, RemoteFile, transfer
from desdm.errors import ConflictError, CorruptFile, FatalError, StorageFull, UsageError

DATA = bytes(range(256)) * 4000
RIGHT = hashlib.sha256(DATA).hexdigest()
Answer = Callable[[BaseHTTPRequestHandler], tuple[int, dict[str, str], bytes]]


@contextmanager
def server(answer: Answer) -> Iterator[str]:
    """A server that answers every GET as it is told."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = answer(self)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{made.server_address[1]}"
    finally:
        made.shutdown()
        made.server_close()


def file_at(base: str, path: str = "a/b.fits") -> RemoteFile:
    return RemoteFile(path, f"{base}/files/R/{path}", len(DATA), RIGHT)


@pytest.mark.parametrize(
    "path",
    [
        "../evil",
        "/etc/evil",
        "a/../../evil",
        "a//evil",
        "",
        ".",
        ".ssh/keys",
        "a/.b.part",
        "a\\..\\evil",
        "a\x00b",
        "a\nb",
    ],
)
def test_a_manifest_cannot_name_a_path_outside_the_folder(path: str) -> None:
    row = {"path": path, "size": 1, "sha256": RIGHT, "filetype": "coadd", "band": None, "tilename": None}
    with (
        server(lambda _: (200, {}, json.dumps({"files": [row]}).encode())) as base,
        pytest.raises(FatalError),
    ):
        remote_files(Link(), Source(base, "R"), Part())


def test_a_link_in_the_folder_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a").symlink_to(tmp_path / "outside")
    with server(lambda _: (200, {}, DATA)) as base:
        report = get(Link(), [file_at(base)], tmp_path / "out")
    assert len(report.failed) == 1
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(UsageError, match="file/below: Not a directory"):
        get(Link(), [file_at("http://127.0.0.1:1")], tmp_path / "file/below")


def test_a_full_disk_ends_the_download_and_the_next_run_goes_on(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with server(lambda _: (200, {}, DATA)) as base:
        one = RemoteFile("b.fits", f"{base}/files/R/b.fits", len(DATA), RIGHT)
        # A limit on the size of files stands for a full disk: writing fails in the middle.
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
        try:
            with pytest.raises(StorageFull):
                get(Link(), [one], tmp_path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert not (tmp_path / "b.fits").exists()
        assert get(Link(), [one], tmp_path).fetched == ["b.fits"]
    assert (tmp_path / "b.fits").read_bytes() == DATA


def test_wrong_bytes_are_thrown_away_after_a_second_try(tmp_path: Path) -> None:
    asked: list[str | None] = []

    def wrong(request: BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
        asked.append(request.headers["Range"])
        return 200, {}, DATA[:-1] + b"?"

    with server(wrong) as base, pytest.raises(CorruptFile):
        transfer(Link(), file_at(base), tmp_path / "b.fits")
    assert asked == [None, None]
    assert list(tmp_path.iterdir()) == []


def test_a_spoilt_part_of_an_earlier_run_is_fetched_anew(tmp_path: Path) -> None:
    def right(request: BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
        begin = request.headers["Range"]
        if begin is None:
            return 200, {}, DATA
        assert request.headers["If-Range"] == f'"{RIGHT}"'
        start = int(begin.removeprefix("bytes=").removesuffix("-"))
        return 206, {"Content-Range": f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"}, DATA[start:]

    for part in (DATA[:5000], b"?" * 5000, DATA + b"more"):
        (tmp_path / f".b.fits.{RIGHT[:12]}.part").write_bytes(part)
        with server(right) as base:
            transfer(Link(), file_at(base), tmp_path / "b.fits")
        assert (tmp_path / "b.fits").read_bytes() == DATA
        assert [p.name for p in tmp_path.iterdir()] == ["b.fits"]


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (206, {"Content-Range": f"bytes 0-9/{len(DATA)}"}, DATA[:10]),
        (200, {}, DATA + b"more"),
        (404, {}, b"error: gone\n"),
        (500, {}, b'{"error": "broken"}'),
        (204, {}, b""),
    ],
)
def test_an_answer_that_is_not_what_was_asked_for_is_refused(
    tmp_path: Path, status: int, headers: dict[str, str], body: bytes
) -> None:
    (tmp_path / f".b.fits.{RIGHT[:12]}.part").write_bytes(DATA[:100])
    with server(lambda _: (status, headers, body)) as base, pytest.raises((FatalError, UsageError)):
        transfer(Link(), file_at(base), tmp_path / "b.fits")
    assert not (tmp_path / "b.fits").exists()


def test_a_server_that_is_busy_is_asked_again_when_it_says(tmp_path: Path) -> None:
    answers = [(503, {"Retry-After": "0"}, b""), (429, {"Retry-After": "0"}, b""), (200, {}, DATA)]
    with server(lambda _: answers.pop(0)) as base:
        transfer(Link(), file_at(base), tmp_path / "b.fits")
    assert (tmp_path / "b.fits").read_bytes() == DATA


def test_two_downloads_of_one_file_into_one_folder_do_not_mix(tmp_path: Path) -> None:
    go = threading.Event()

    def slow(_: BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
        go.wait(20)
        return 200, {}, DATA

    with server(slow) as base:
        first = threading.Thread(target=transfer, args=(Link(), file_at(base), tmp_path / "b.fits"))
        first.start()
        while not list(tmp_path.iterdir()):
            time.sleep(0.01)
        with pytest.raises(ConflictError):
            while True:
                transfer(Link(patience=0.1), file_at(base), tmp_path / "b.fits")
        go.set()
        first.join()
    assert (tmp_path / "b.fits").read_bytes() == DATA


@pytest.mark.parametrize(
    ("text", "server", "found"),
    [
        ("https://h/files/Y6", None, Source("https://h", "Y6")),
        ("https://h:8080/des/files/Y6/images/T/", None, Source("https://h:8080/des", "Y6", "images/T/")),
        ("http://h/releases/Y6", None, Source("http://h", "Y6")),
        ("Y6", "http://h/", Source("http://h", "Y6")),
    ],
)
def test_an_address_names_server_release_and_folder(text: str, server: str | None, found: Source) -> None:
    assert source(text, server) == found


@pytest.mark.parametrize(
    "text",
    ["T1", "../T1", "ftp://h/files/T1", "http://h/tap", "http://h/files?release=T1", "http:///files/T1"],
)
def test_what_is_no_address_of_a_release_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        source(text)
