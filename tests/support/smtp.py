"""A mail server for the tests: it speaks SMTP on loopback and keeps what it is sent (RFC 5321, the least of it)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
    """A running sink; ``address`` is ``host:port``. Recipients in ``refuses`` are turned away.

    ``fault`` is what it does wrong: ``busy`` (421 to whoever calls), ``later`` (451 to each recipient), ``full`` (452 to
    the text), ``hangs`` (no answer to the text), ``drops`` (it takes the mail and is cut off before it says so), ``parts``
    (it takes the mail, says so, and answers QUIT with 421).
    """

    port: int = 0
    fault: str = ""
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

        if self.fault == "busy":
            say("421 come back")
            await writer.drain()
            writer.close()
            return
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
                elif self.fault == "later":
                    say("451 try again later")
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
                if self.fault == "full":
                    say("452 no room")
                    await writer.drain()
                    continue
                if self.fault == "hangs":
                    await asyncio.sleep(5)
                    break
                self.letters.append(Letter(sender, tuple(to), mail))
                if self.fault == "drops":
                    break
                say("250 taken")
            elif word == "QUIT":
                say("421 in a hurry" if self.fault == "parts" else "221 bye")
                break
            else:
                say("250 ok")
            await writer.drain()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


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
