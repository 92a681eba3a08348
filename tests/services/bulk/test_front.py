"""Behind a front server the bytes go out by its sendfile, and still only after they were verified."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

from starlette.applications import Starlette

from desdm.errors import DesdmError
from desdm.facility import Facility
from desdm.query.engines.model import Engine
from desdm.services.bulk.handlers import routes
from desdm.services.context import Services
from desdm.services.error_responses import handle_error
from desdm.services.published import Published
from tests.support.files import file_release
from tests.support.loops import run

IMAGE = "images/DES0000+0000/DES0000+0000_g.fits.fz"


def ask(app: Starlette, path: str) -> tuple[int, dict[str, str], bytes]:
    """One GET, as the server hands it to the app: no front server stands here, so its part is not played."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": [(b"host", b"h")], "scheme": "http", "server": ("h", 80), "root_path": "", "http_version": "1.1",
    }  # fmt: skip
    run(app(scope, receive, send))
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, b"".join(m.get("body", b"") for m in sent[1:])


def test_a_verified_file_is_handed_to_the_front_server(tmp_path: Path) -> None:
    root = file_release(tmp_path / "home", "T1", size=5000)
    facility = Facility.open(tmp_path / "home")
    with ThreadPoolExecutor(1) as pool:
        services = Services(
            facility.config, facility.database, facility.archive, Published(facility.database),
            cast(Engine, None), pool, "test", facility.service,
        )  # fmt: skip
        app = Starlette(
            routes=routes(services, accel="/_releases/"), exception_handlers={DesdmError: handle_error}
        )
        status, headers, body = ask(app, f"/files/T1/{IMAGE}")
        assert (status, body) == (200, b"")
        assert headers["x-accel-redirect"] == f"/_releases/T1/{IMAGE}"
        (root / IMAGE).write_bytes(bytes(5000))
        status, headers, _ = ask(app, f"/files/T1/{IMAGE}")
        assert (status, "x-accel-redirect" in headers) == (500, False)
    facility.close()
