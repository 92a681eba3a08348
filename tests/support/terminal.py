"""A program in a pseudo-terminal: what a person sees and types."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

__all__ = ["Terminal", "terminal"]

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1b[=>]|\x1b\][^\x07]*\x07|[\x07\x08\r]")


class Terminal:
    """One running program; ``seen`` is all that it has written, without control sequences."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process, self._master = process, master
        self._raw, self.seen, self._read_to = b"", "", 0

    def expect(self, text: str, seconds: float = 30.0) -> str:
        """Wait until ``text`` (a regular expression) comes after what was expected before; all that came up to it."""
        end = time.monotonic() + seconds
        while True:
            found = re.compile(text, re.DOTALL).search(self.seen, self._read_to)
            if found:
                came = self.seen[self._read_to : found.end()]
                self._read_to = found.end()
                return came
            assert time.monotonic() < end, f"{text!r} did not come; since then:\n{self.seen[self._read_to :]}"
            ready, _, _ = select.select([self._master], [], [], 0.2)
            if ready:
                try:
                    self._raw += os.read(self._master, 65536)
                except OSError as err:  # the program has ended
                    raise AssertionError(f"it ended before {text!r}:\n{self.seen[self._read_to :]}") from err
                self.seen = _CONTROL.sub("", self._raw.decode("utf-8", "replace"))

    def type(self, text: str) -> None:
        """Type; ``\\n`` is Enter, ``\\x03`` is Ctrl-C, ``\\x04`` is Ctrl-D, ``\\t`` is Tab."""
        os.write(self._master, text.replace("\n", "\r").encode())

    def rest(self, seconds: float = 60.0) -> str:
        """Everything up to its end, as it stands on the screen."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            ready, _, _ = select.select([self._master], [], [], 0.2)
            try:
                piece = os.read(self._master, 65536) if ready else b""
            except OSError:  # the program has ended
                break
            if not piece and self.process.poll() is not None:
                break
            self._raw += piece
        return _CONTROL.sub("", self._raw.decode("utf-8", "replace")).replace("\r", "")

    def ended(self, seconds: float = 20.0) -> int:
        """Exit status, once it has ended."""
        return self.process.wait(seconds)


@contextmanager
def terminal(
    command: Sequence[str], env: dict[str, str] | None = None, columns: int = 160
) -> Iterator[Terminal]:
    """Run a program in a pseudo-terminal of 40 lines; it is gone at the end."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = subprocess.Popen(
        ["setsid", "--ctty", *command], stdin=slave, stdout=slave, stderr=slave,
        env={**os.environ, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", **(env or {})},
    )  # fmt: skip
    os.close(slave)
    try:
        yield Terminal(process, master)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait()
        os.close(master)
