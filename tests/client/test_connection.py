"""The client against servers that misbehave: what is not whole is not kept, and errors say what to do."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pytest
from astropy.table import Table

from desdm.client import Client
from desdm.client.hdf5 import write
from desdm.client.tables import as_format, as_upload, format_of
from desdm.errors import AccessDenied, DesdmError, LimitExceeded, NotFoundError, TransientError, UsageError
from desdm.query.formats.upload import read_upload
from desdm.query.formats.votable import error_document


@contextmanager
def speaking(answer: bytes) -> Iterator[str]:
    """A server on loopback that reads one request, says ``answer``, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def once() -> None:
            link, _ = listening.accept()
            with link:
                link.settimeout(10)
                heard = b""
                while not _whole(heard):
                    heard += link.recv(65536)
                link.sendall(answer)

        thread = threading.Thread(target=once)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread.join()


def _whole(heard: bytes) -> bool:
    head, end, body = heard.partition(b"\r\n\r\n")
    size = re.search(rb"(?i)content-length: (\d+)", head)
    return bool(end) and len(body) >= (int(size[1]) if size else 0)


def http(status: int, body: bytes, kind: str = "application/x-votable+xml", more: str = "") -> bytes:
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\n{more}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


def test_an_answer_that_breaks_off_leaves_no_file(tmp_path: Path) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\na,b\r\n1,2\r\n"
    for broken in (chunked, http(200, b"a,b\r\n1,2\r\n").replace(b"Length: 10", b"Length: 99")):
        with speaking(broken) as url, pytest.raises(TransientError, match="broke off"):
            Client(url).save("SELECT 1", tmp_path / "out.csv")
        assert list(tmp_path.iterdir()) == []


def test_an_older_file_stays_when_the_new_one_cannot_be_fetched(tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("old")
    with speaking(http(400, error_document("no"))) as url, pytest.raises(UsageError):
        Client(url).save("SELECT 1", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "old"


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (
            http(400, error_document("line 1, column 8: a < b & so on")),
            UsageError,
            "line 1, column 8: a < b & so on",
        ),
        (
            http(404, json.dumps({"error": {"message": "no file"}}).encode(), "application/json"),
            NotFoundError,
            "no file",
        ),
        (http(401, b"error: who are you\n", "text/plain"), AccessDenied, "who are you"),
        (http(429, b"slowly", "text/plain", "Retry-After: 7\r\n"), LimitExceeded, "slowly"),
        (http(503, b"later", "text/plain"), TransientError, "later"),
        (http(500, b"<html>oh</html>", "text/html"), DesdmError, "answered 500"),
    ],
)
def test_errors_of_the_server_become_ours_with_its_words(
    answer: bytes, kind: type[DesdmError], text: str
) -> None:
    with speaking(answer) as url, pytest.raises(kind) as caught:
        Client(url).query("SELECT 1")
    assert text in str(caught.value)
    if isinstance(caught.value, LimitExceeded):
        assert caught.value.retry_after == 7


def test_a_server_that_is_not_there_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(TransientError, match=f"127.0.0.1:{port} does not answer"):
        Client(f"http://127.0.0.1:{port}").query("SELECT 1")


def test_a_token_goes_into_the_header(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Client("http://x", "secret").connection.session.headers["Authorization"] == "Bearer secret"
    monkeypatch.setenv("DESDM_TOKEN", "other")
    assert Client("http://x").connection.session.headers["Authorization"] == "Bearer other"
    monkeypatch.delenv("DESDM_TOKEN")
    assert "Authorization" not in Client("http://x").connection.session.headers


def test_arrow_becomes_an_astropy_table_with_units_masks_and_arrays() -> None:
    schema = pa.schema([
        pa.field("ra", pa.float64(), metadata={"unit": "deg", "description": "where", "ucd": "pos.eq.ra"}),
        ("n", pa.int32()), ("name", pa.string()), ("v", pa.list_(pa.float64())),
    ])  # fmt: skip
    rows = pa.table([[1.5, None], [7, None], ["Ä", None], [[1.0, 2.0], None]], schema=schema)
    table = as_format(rows, "table")
    assert (str(table["ra"].unit), table["ra"].description, table["ra"].meta["ucd"]) == (
        "deg",
        "where",
        "pos.eq.ra",
    )
    assert table["n"][0] == 7 and table["n"].mask.tolist() == [False, True]
    assert table["name"][0] == "Ä" and table["ra"].mask.tolist() == [False, True]
    assert table["v"][0].tolist() == [1, 2]
    assert as_format(rows, "dataframe")["n"].isna().tolist() == [False, True]
    with pytest.raises(UsageError, match="table, dataframe, arrow"):
        as_format(rows, "xml")


def test_what_a_user_holds_becomes_an_upload_that_the_service_reads(tmp_path: Path) -> None:
    table = Table({"ra": [1.5, 2.5], "n": np.ma.array([1, 2], mask=[False, True]), "name": ["a", "Ä"]})
    table["ra"].unit = "deg"
    path = tmp_path / "x.csv"
    path.write_text("ra,n,name\n1.5,1,a\n2.5,,Ä\n")
    for source in (
        table,
        table.to_pandas(),
        pa.table({"ra": [1.5, 2.5], "n": [1, None], "name": ["a", "Ä"]}),
        path,
    ):
        held, mime = as_upload(source)
        upload = read_upload("t", held, mime, max_bytes=10**6, max_rows=10)
        assert upload.rows.to_pydict() == {"ra": [1.5, 2.5], "n": [1, None], "name": ["a", "Ä"]}
    assert read_upload("t", as_upload(table)[0], None, max_bytes=10**6, max_rows=10).columns[0].unit == "deg"
    with pytest.raises(UsageError, match="cannot be read"):
        as_upload(tmp_path / "none.csv")
    with pytest.raises(UsageError, match="int cannot be uploaded"):
        as_upload(3)


def test_a_files_ending_says_its_format() -> None:
    assert [format_of(Path(f"a{e}")) for e in (".csv", ".TAB", ".fits", ".pq", ".vot", ".h5")] == [
        "csv", "tsv", "fits", "parquet", "votable", "h5",
    ]  # fmt: skip
    with pytest.raises(UsageError, match="no format ends so"):
        format_of(Path("a.docx"))


def test_hdf5_keeps_every_digit_and_says_what_is_null(tmp_path: Path) -> None:
    big = 2**62 + 1
    rows = pa.table({
        "id": pa.array([big, None], pa.int64()), "ok": pa.array([True, None]), "mag": pa.array([1.5, None]),
        "name": pa.array(["Ä", None]), "spot": pa.array([[1.0, 2.0], None], pa.list_(pa.float64())),
    })  # fmt: skip
    rows = rows.set_column(2, pa.field("mag", pa.float64(), metadata={"unit": "mag"}), rows.column("mag"))
    write(rows, tmp_path / "out.h5")
    with h5py.File(tmp_path / "out.h5") as file:
        table = file["table"]
        assert table["id"][0] == big and table["id"][1] == table["id"].attrs["null_value"]
        assert table["ok"][:].tolist() == [1, -1]
        assert table["mag"][0] == 1.5 and np.isnan(table["mag"][1]) and table["mag"].attrs["unit"] == "mag"
        assert table["name"].asstr()[:].tolist() == ["Ä", ""]
        assert [cell.tolist() for cell in table["spot"][:]] == [[1.0, 2.0], []]
    assert [p.name for p in tmp_path.iterdir()] == ["out.h5"]
