"""Runs the app on one port of this machine, from the first table made ready to the last answer given."""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable

import uvicorn
from typing_extensions import override

from desdm.errors import UsageError
from desdm.facility import Facility
from desdm.operations.doctor.places import open_places
from desdm.query.engines.open import open_engine
from desdm.web.app import RATE, create_app, open_services
from desdm.web.connections import Bounds, protocol

__all__ = ["listen", "serve"]

_LOG = logging.getLogger(__name__)

#: How long a client may leave bytes unread, milliseconds.
_UNREAD = 150_000
#: Answers under way when the server is told to end have this long to finish, seconds.
_GRACE = 1
#: And threads that work for nobody any more so long, seconds.
_PATIENCE = 2.0


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to ``host`` and ``port`` (0: a free one).

    Raises
    ------
    UsageError
        The port is taken, or may not be taken; or there is no such address.
    """
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as err:
        raise UsageError(f"--host {host}: {err.strerror}") from err
    bound = socket.socket(family, kind, proto)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Bytes that nobody acknowledges hold a socket no longer than this: a client that never reads is let go.
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD)
    try:
        bound.bind(address)
    except OSError as err:
        bound.close()
        if err.errno == errno.EADDRINUSE:
            raise UsageError(
                f"port {port} of {host} is in use; give another with --port, or --port 0"
            ) from err
        raise UsageError(f"cannot listen at {host}:{port}: {err.strerror}") from err
    return bound


def serve(
    facility: Facility,
    bound: socket.socket,
    ready: Callable[[str], None],
    *,
    database: str | None = None,
    proxy: str | None = None,
    rate: float = RATE,
) -> None:
    """Serve an installation until SIGTERM or SIGINT.

    Parameters
    ----------
    bound
        Socket of `listen`.
    ready
        Called with the address once requests are answered.
    database
        PostgreSQL of the release tables; None: what the settings say.
    proxy
        Address of a front server whose ``X-Forwarded-…`` headers are believed.
    rate
        Requests a second of a public address; 0: no limit.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    engine = open_engine(facility.config, database)
    try:
        # What the server writes (results, journals of databases) is closed, whatever the umask was.
        os.umask(0o077)
        services = open_services(facility, engine)
        for place in open_places(facility.config):
            _LOG.warning("%s", place.text)
            services.supervisor.note("modes", "files of the installation are open to others; see the log")
        app = create_app(services, rate=rate)
        config = uvicorn.Config(
            app,
            loop="uvloop",
            http=protocol(Bounds(proxy=proxy or "")),
            ws="none",
            lifespan="on",
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=proxy is not None,
            forwarded_allow_ips=proxy,
            timeout_graceful_shutdown=_GRACE,
            timeout_keep_alive=15,
            backlog=512,
        )
        _Server(config, ready).run([bound])
    finally:
        engine.close()
        _leave(facility)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[str], None]) -> None:
        super().__init__(config)
        self._ready = ready

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        assert sockets
        host, port = sockets[0].getsockname()[:2]
        self._ready(f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/")


def _end(_number: int, _frame: object) -> None:
    # uvicorn raises the signal again after its own clean end; to be told to end is no failure.
    sys.exit(0)


def _leave(facility: Facility) -> None:
    if sys.exc_info()[0] not in (None, SystemExit):
        return
    facility.close()
    until = time.monotonic() + _PATIENCE
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join(timeout=max(0.0, until - time.monotonic()))
    sys.stdout.flush()
    sys.stderr.flush()
    # All is closed. Python's own end would wait for a thread that a silent client holds, and DuckDB's binding
    # writes pages on what it did not free.
    os._exit(0)
