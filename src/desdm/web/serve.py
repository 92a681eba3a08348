"""Runs the application on one port of this machine."""

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

from desdm.errors import FatalError, UsageError
from desdm.facility import Facility
from desdm.operations.doctor.places import open_places
from desdm.query.engines.open import open_engine
from desdm.web.app import RATE, create_app, open_services
from desdm.web.connections import Bounds, protocol

__all__ = ["listen", "serve"]

_LOG = logging.getLogger(__name__)

#: Time that a client may leave bytes unread, milliseconds.
_UNREAD_MS = 150_000
#: Seconds for running responses to finish at shutdown.
_GRACE_SECONDS = 1
#: Seconds to wait for abandoned worker threads.
_THREAD_SECONDS = 2.0


def listen(host: str, port: int) -> socket.socket:
    """Return a socket bound to ``host`` and ``port`` (0: a free one).

    Raises
    ------
    UsageError
        The port is in use or not permitted, or the address does not exist.
    """
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as err:
        raise UsageError(f"--host {host}: {err.strerror}") from err
    bound = socket.socket(family, kind, proto)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Limits the time of unacknowledged bytes, so that a client that never reads is disconnected.
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_MS)
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
    facility
        The installation.
    bound
        Socket of `listen`.
    ready
        Called with the address as soon as the server accepts requests.
    database
        PostgreSQL of the release tables; None: from the settings.
    proxy
        Address of a front server whose ``X-Forwarded-…`` headers are trusted.
    rate
        Requests a second of a public address; 0: no limit.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit_on_signal)
    engine = open_engine(facility.config, database)
    try:
        # Files that the server writes (results, journals of databases) are private, whatever the umask was.
        os.umask(0o077)
        services = open_services(facility, engine)
        for open_place in open_places(facility.config):
            _LOG.warning("%s", open_place.text)
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
            timeout_graceful_shutdown=_GRACE_SECONDS,
            timeout_keep_alive=15,
            backlog=512,
        )
        server = _Server(config, ready, app.state.events.close)
        server.run([bound])
        if not server.started:
            raise FatalError("the server did not start; the reason is in the lines above")
    finally:
        engine.close()
        _shut_down(facility)


class _Server(uvicorn.Server):
    """Server that reports its address once it accepts requests, and ends streams when it shuts down."""

    def __init__(
        self, config: uvicorn.Config, ready: Callable[[str], None], leave: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._ready, self._leave = ready, leave

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.started:
            return
        assert sockets
        host, port = sockets[0].getsockname()[:2]
        self._ready(f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/")

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # A stream without an end would hold the shutdown up.
        self._leave()
        await super().shutdown(sockets)


def _exit_on_signal(_number: int, _frame: object) -> None:
    """Exit with status 0 on a signal."""
    # uvicorn raises the signal again after its shutdown; a requested shutdown is not a failure.
    sys.exit(0)


def _shut_down(facility: Facility) -> None:
    """Close the installation and end the process, unless an error is raised."""
    if sys.exc_info()[0] not in (None, SystemExit):
        return
    facility.close()
    deadline = time.monotonic() + _THREAD_SECONDS
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join(timeout=max(0.0, deadline - time.monotonic()))
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is closed. Python's own exit would wait for threads of silent clients, and DuckDB's binding would print
    # pages about memory that it did not free.
    os._exit(0)
