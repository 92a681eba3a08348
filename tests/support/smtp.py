"""A mail server for the tests: it speaks SMTP on loopback and keeps what it is sent (RFC 5321, the least of it)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage

__all__ = ["Letter", "Sink", "smtp_sink"]


@dataclass(frozen=True)
class Letter:
    """One mail: who sent it, to whom, and the mail itself."""

    sender: str
    to: tuple[str, ...]
    mail: EmailMessage


@dataclass
class Sink:
    """A running sink; ``address`` is ``host:port``. Recipients in ``refuses`` are turned away."""

    port: int = 0
    letters: list[Letter] = field(default_factory=list)
    refuses: set[str] = field(default_factory=set)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One session."""
        sender, to = "", []

        def say(text: str) -> None:
            writer.write(text.encode() + b"\r\n")

        say("220 sink")
        while line := (await reader.readline()).decode().rstrip("\r\n"):
            word = line.upper()
            if word.startswith(("EHLO", "HELO")):
                say("250 sink")
            elif word.startswith("MAIL FROM:"):
                sender = line[10:].split()[0].strip("<>")
                say("250 ok")
            elif word.startswith("RCPT TO:"):
                name = line[8:].split()[0].strip("<>")
                if name in self.refuses:
                    say("550 no such person")
                else:
                    to.append(name)
                    say("250 ok")
            elif word == "DATA":
                say("354 go on")
                body = bytearray()
                while (row := await reader.readline()) != b".\r\n":
                    body += row[1:] if row.startswith(b"..") else row
                mail = message_from_bytes(bytes(body), policy=policy.default)
                assert isinstance(mail, EmailMessage)
                self.letters.append(Letter(sender, tuple(to), mail))
                say("250 taken")
            elif word == "QUIT":
                say("221 bye")
                break
            else:
                say("250 ok")
            await writer.drain()
        writer.close()


@contextmanager
def smtp_sink() -> Iterator[Sink]:
    """A sink on a free port of loopback."""
    sink, ready, loop = Sink(), threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()

    async def run() -> None:
        server = await asyncio.start_server(sink.serve, "127.0.0.1", 0)
        sink.port = server.sockets[0].getsockname()[1]
        ready.set()
        async with server:
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()), daemon=True)
    thread.start()
    ready.wait(10)
    try:
        yield sink
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()
