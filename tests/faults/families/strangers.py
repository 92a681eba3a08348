"""What strangers try: rights, paths out of the releases, uploads, queries of great size."""

from __future__ import annotations

import gzip
import http.client
import io
import socket
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import requests

from tests.faults import floods
from tests.faults.families.loads import MOST, resources, works
from tests.faults.outcome import Fault, Outcome, family
from tests.faults.testbed import Testbed
from tests.support.release import small_release
from tests.support.server import Served, served
from tests.web import test_rights_matrix as rights


@family(
    "access",
    "every route with a release × six kinds of callers on a proprietary release, a draft and one that is not there",
)
def access(testbed: Testbed, outcome: Outcome) -> None:
    with rights.rights_site(testbed.folder / "rights") as site:
        for route, probe in rights.CASES:
            outcome.tried += 3 * len(rights.CALLERS)
            try:
                rights.test_what_may_not_be_seen_is_answered_as_what_does_not_exist(site, route, probe)
            except AssertionError as err:
                outcome.broken(Fault.WRONG, f"{probe.method} {probe.path}: {str(err)[:300]}")
        outcome.tried += 1
        try:
            rights.test_a_job_is_its_owner_s(site)
        except AssertionError as err:
            outcome.broken(Fault.WRONG, f"jobs of others: {str(err)[:300]}")


PREFIXES = (
    "/files/", "/files/T1/", "/files/T1/docs/", "/files/T1/tables/objects/", "/hips/T1/color/", "/hips/", "/map/hips/T1/",
    "/map/hips/", "/footprint/T1/", "/footprint/", "/static/", "/releases/", "/tables/", "/scs/", "/tap/tables/",
    "/tap/async/", "/api/releases/", "/api/mydb/", "/soda/sync?ID=ivo://desdm/T1%3F", "/datalink/links?ID=",
)  # fmt: skip
UP = (
    "../", "..%2f", "%2e%2e/", "%2e%2e%2f", "..%252f", "..\\", "..%5c", "%c0%ae%c0%ae/", "....//", "..;/", "./../", "/../",
    "%00../", "..%00/", "%2e%2e%5c", "..%u2215", "%uff0e%uff0e/", ".%2e/",
)  # fmt: skip
CANARY = "canary of the installation"


@family("traversal", "20 prefixes × 18 forms of `..` × 3 targets outside of the releases, sent as raw bytes")
def traversal(testbed: Testbed, outcome: Outcome) -> None:
    home = small_release(testbed.folder / "crossed", rows=50)
    (home / "canary.txt").write_text(CANARY)
    inside = str(home).encode()
    with served(home) as url:
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, 20)
        for prefix in PREFIXES:
            for up in UP[: testbed.times(len(UP))]:
                for target in ("canary.txt", "desdm.toml", "etc/passwd"):
                    path = prefix + up * (12 if target.startswith("etc") else 4) + target
                    status, body = _raw(connection, path)
                    outcome.tried += 1
                    if status == 0:
                        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, 20)
                    leaked = CANARY.encode() in body or b"root:x:0" in body or b"[database]" in body
                    outcome.expect(not leaked, Fault.WRONG, f"{path}: leaked")
                    outcome.expect(status < 500, Fault.WRONG, f"{path}: {status}")
                    outcome.expect(inside not in body, Fault.WRONG, f"{path}: shows the installation's path")
        connection.close()
        works(url, outcome, "after it")


def _raw(connection: http.client.HTTPConnection, path: str) -> tuple[int, bytes]:
    """Send a path as it stands; status 0: the server closed the connection."""
    try:
        connection.putrequest("GET", path, skip_accept_encoding=True)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (http.client.HTTPException, OSError):
        connection.close()
        return 0, b""


def _votable(rows: str, head: str = "", field: str = '<FIELD name="a" datatype="int"/>') -> bytes:
    return (
        f'<?xml version="1.0"?>{head}<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE>'
        f"<TABLE>{field}<DATA><TABLEDATA>{rows}</TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"
    ).encode()


def _uploads(port: int, canary: str) -> Iterator[tuple[str, bytes]]:
    """Bad uploads, by what they are."""
    lol = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    yield "entities", _votable("<TR><TD>&l9;</TD></TR>", f'<!DOCTYPE v [<!ENTITY l0 "lol">{lol}]>')
    yield (
        "file entity",
        _votable("<TR><TD>&x;</TD></TR>", f'<!DOCTYPE v [<!ENTITY x SYSTEM "file://{canary}">]>'),
    )
    yield (
        "address entity",
        _votable("<TR><TD>&x;</TD></TR>", f'<!DOCTYPE v [<!ENTITY x SYSTEM "http://127.0.0.1:{port}/">]>'),
    )
    yield (
        "parameter entity",
        _votable("", f'<!DOCTYPE v [<!ENTITY % x SYSTEM "http://127.0.0.1:{port}/"> %x;]>'),
    )
    yield "address of a DTD", _votable("", f'<!DOCTYPE v SYSTEM "http://127.0.0.1:{port}/v.dtd">')
    yield "a million deep", b"<VOTABLE>" + b"<RESOURCE>" * 1_000_000
    yield "gzip bomb", gzip.compress(b"<VOTABLE>" + b" " * 300_000_000)
    yield (
        "many columns",
        _votable("<TR/>", field="".join(f'<FIELD name="c{n}" datatype="int"/>' for n in range(200_000))),
    )
    yield (
        "stream by address",
        (
            b'<?xml version="1.0"?><VOTABLE version="1.4"><RESOURCE><TABLE><FIELD name="a" datatype="int"/><DATA><BINARY>'
            b'<STREAM href="http://127.0.0.1:%d/data"/></BINARY></DATA></TABLE></RESOURCE></VOTABLE>' % port
        ),
    )
    yield (
        "stream by file",
        (
            b'<?xml version="1.0"?><VOTABLE version="1.4"><RESOURCE><TABLE><FIELD name="a" datatype="char" arraysize="*"/>'
            b'<DATA><BINARY><STREAM href="file://%s"/></BINARY></DATA></TABLE></RESOURCE></VOTABLE>'
            % canary.encode()
        ),
    )
    yield "not XML", b"\x00\xff" * 1000
    yield "empty", b""
    sink = io.BytesIO()
    column = pa.array(["a" * 1000] * 200_000).dictionary_encode()
    pq.write_table(pa.table({f"c{n}": column for n in range(20)}), sink)
    yield "Parquet bomb", sink.getvalue()
    yield "Parquet, cut", sink.getvalue()[: len(sink.getvalue()) // 2]
    yield (
        "array of great length",
        _votable("<TR/>", field='<FIELD name="a" datatype="int" arraysize="2147483647"/>'),
    )
    yield "rows too many", _votable("<TR><TD>1</TD></TR>" * 1_100_000)


@family(
    "uploads",
    "TAP uploads with entities, files and addresses to fetch, depth 10⁶, gzip and Parquet bombs, 2 × 10⁵ columns; upload "
    "by address and by path",
)
def uploads(testbed: Testbed, outcome: Outcome) -> None:
    home = small_release(testbed.folder / "uploaded", rows=50)
    canary = home / "canary.txt"
    canary.write_text(CANARY)
    fetched: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as trap, served(home) as url:
        port = trap.getsockname()[1]
        threading.Thread(target=_listen, args=(trap, fetched), daemon=True).start()
        query = {"LANG": "ADQL", "QUERY": "SELECT COUNT(*) AS n FROM TAP_UPLOAD.t", "UPLOAD": "t,param:t"}
        for name, data in _uploads(port, str(canary)):
            _upload(url, outcome, name, query, {"t": ("t.vot", data)})
        for where in (
            f"http://127.0.0.1:{port}/t",
            f"file://{canary}",
            f"ftp://127.0.0.1:{port}/t",
            str(canary),
            "param:../x",
        ):
            _upload(url, outcome, where, {**query, "UPLOAD": f"t,{where}"}, {})
        outcome.expect(not fetched, Fault.WRONG, f"the server fetched an address: {fetched}")
        rss, _ = resources(url.process.pid)
        outcome.note(f"memory after the uploads {rss:.0f} MB")
        outcome.expect(rss < 1500, Fault.WRONG, f"memory after the uploads: {rss:.0f} MB")
        works(url, outcome, "after them")


def _listen(trap: socket.socket, fetched: list[str]) -> None:
    """Note who connects."""
    while True:
        try:
            caller, address = trap.accept()
        except OSError:
            return
        fetched.append(str(address))
        caller.close()


def _upload(
    url: Served, outcome: Outcome, name: str, query: dict[str, str], files: dict[str, tuple[str, bytes]]
) -> None:
    """Send one upload; it must be refused, or be counted rightly, in time."""
    outcome.tried += 1
    begun = time.monotonic()
    try:
        answer = requests.post(f"{url}/tap/sync", data=query, files=files or None, timeout=70)
    except requests.Timeout:
        outcome.broken(Fault.HANG, f"upload {name}: no answer in 70 s")
        return
    except requests.ConnectionError:
        # Cut off while it sends more than it may: refused.
        return
    outcome.expect(
        answer.status_code < 500, Fault.WRONG, f"upload {name}: {answer.status_code} {answer.text[:200]}"
    )
    outcome.expect(CANARY not in answer.text, Fault.WRONG, f"upload {name}: shows a file of the server")
    seconds = time.monotonic() - begun
    outcome.expect(seconds < 65, Fault.HANG, f"upload {name}: {seconds:.0f} s")


def _queries() -> Iterator[tuple[str, str]]:
    """Queries of great size or depth, by what they are."""
    many = 10_000
    yield "AND", "SELECT id FROM T1.objects WHERE " + " AND ".join(f"ra > {n}" for n in range(many))
    yield "OR", "SELECT id FROM T1.objects WHERE " + " OR ".join(f"ra = {n}" for n in range(many))
    yield "columns", "SELECT " + ", ".join(f"ra AS c{n}" for n in range(many)) + " FROM T1.objects"
    yield "parentheses", "SELECT " + "(" * many + "1" + ")" * many + " AS n FROM T1.objects"
    yield "NOT", "SELECT id FROM T1.objects WHERE " + "NOT " * many + "ra > 1"
    yield "minus", "SELECT " + "- " * many + "1 AS n FROM T1.objects"
    yield "sum", "SELECT " + " + ".join(["ra"] * many) + " AS n FROM T1.objects"
    yield "functions", "SELECT " + "abs(" * many + "ra" + ")" * many + " AS n FROM T1.objects"
    yield "subqueries", "SELECT id FROM " + "(SELECT id FROM " * 2000 + "T1.objects" + ") AS q" * 2000
    yield "unions", " UNION ".join(["SELECT id FROM T1.objects"] * 3000)
    yield (
        "joins",
        "SELECT a0.id FROM T1.objects AS a0" + "".join(f", T1.objects AS a{n}" for n in range(1, 500)),
    )
    yield "list", "SELECT id FROM T1.objects WHERE id IN (" + ", ".join(map(str, range(100_000))) + ")"
    yield "text", "SELECT id FROM T1.objects WHERE name = '" + "a" * 1_500_000 + "'"
    yield "number", "SELECT " + "9" * 100_000 + " AS n FROM T1.objects"
    yield "identifier", "SELECT " + "a" * 500_000 + " FROM T1.objects"
    yield (
        "polygon",
        "SELECT id FROM T1.objects WHERE CONTAINS(POINT(ra, dec), POLYGON("
        + ", ".join(f"{n % 360}, {n % 80}" for n in range(20_000))
        + ")) = 1",
    )
    yield "comments", "/*" * 100_000 + " SELECT 1"
    yield "spaces", "SELECT" + " " * 1_000_000 + "id FROM T1.objects"
    yield "LIKE", "SELECT id FROM T1.objects WHERE name LIKE '" + "%a" * 5000 + "'"
    yield "top", "SELECT TOP 99999999999999999999999 id FROM T1.objects"


@family("adql-size", "20 queries of great size or depth, while another address asks for health and a query")
def adql_size(testbed: Testbed, outcome: Outcome) -> None:
    home = small_release(testbed.folder / "sized", rows=500)
    with served(home) as url:
        floods.ask(url, floods.SIMPLE)
        for name, text in _queries():

            def send(_: str, name: str = name, text: str = text) -> None:
                data = {"LANG": "ADQL", "QUERY": text}
                try:
                    status, body, _ = floods.ask(url, "/tap/sync", data=data, timeout=70)
                except TimeoutError:
                    outcome.broken(Fault.HANG, f"{name}: no answer in 70 s")
                    return
                outcome.expect(status < 500, Fault.WRONG, f"{name}: {status} {body[-200:]!r}")
                outcome.expect(b"Traceback" not in body, Fault.WRONG, f"{name}: shows a traceback")

            begun = time.monotonic()
            seen = floods.run(url, send, least=0.6)
            outcome.tried += 1
            took = time.monotonic() - begun
            outcome.expect(took < 65, Fault.HANG, f"{name}: {took:.0f} s")
            outcome.expect(
                seen.health < MOST, Fault.HANG, f"{name}: health took {seen.health:.1f} s meanwhile"
            )
            outcome.expect(
                seen.query < MOST, Fault.HANG, f"{name}: a query took {seen.query:.1f} s meanwhile"
            )
        works(url, outcome, "after them")
