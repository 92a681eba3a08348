"""Background loops that survive unforeseen errors: they are logged and reported by the health endpoint."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from desdm.errors import TransientError

__all__ = ["Supervisor"]

_LOG = logging.getLogger(__name__)
#: Seconds after which a running step counts as stalled.
_STALLED = 60.0
#: Longest pause after errors, seconds.
_LONGEST = 30.0


@dataclass(slots=True)
class _Loop:
    """State of one loop: start of its current step, number of consecutive failures, type of the last error."""

    begun: float | None = None
    failures: int = 0
    error: str = ""
    thread: threading.Thread | None = None


@dataclass(slots=True)
class Supervisor:
    """Runs background loops, each in its own thread."""

    _loops: dict[str, _Loop] = field(default_factory=dict)
    _notes: dict[str, str] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)

    def loop(
        self,
        name: str,
        step: Callable[[], None],
        every: float,
        *,
        wake: threading.Event | None = None,
        until: Callable[[], bool] | None = None,
        last: Callable[[], None] | None = None,
    ) -> None:
        """Start a loop.

        Parameters
        ----------
        name
            Name of the thread, shown by the health endpoint.
        step
            Body of the loop; its errors are logged, and it is repeated, with longer pauses after each failure.
        every
            Seconds from the end of a step to the next.
        wake
            Set: the next step begins at once.
        until
            Called before each step; true ends the loop.
        last
            Called once when it ends.
        """
        state = _Loop()
        self._loops[name] = state
        signal = wake if wake is not None else threading.Event()

        def run() -> None:
            while not (self._stop.is_set() or (until is not None and until())):
                pause = every
                state.begun = time.monotonic()
                try:
                    step()
                except Exception as err:  # noqa: BLE001 - the one place that keeps loops alive
                    state.failures += 1
                    state.error = type(err).__name__
                    # Full or read-only storage and a locked database are no faults of the program: one line tells them.
                    expected = isinstance(err, OSError | TransientError)
                    text = "%s failed (%s), %d times in a row; it goes on"
                    _LOG.error(text, name, err, state.failures, exc_info=not expected)
                    pause = min(_LONGEST, every * 2 ** min(state.failures, 8))
                else:
                    state.failures, state.error = 0, ""
                finally:
                    state.begun = None
                signal.wait(pause)
                signal.clear()
            if last is not None:
                last()

        state.thread = threading.Thread(target=run, name=name, daemon=True)
        state.thread.start()

    def note(self, subject: str, trouble: str) -> None:
        """Set the trouble of a subject for the health endpoint; an empty text removes it."""
        if trouble:
            self._notes[subject] = trouble
        else:
            self._notes.pop(subject, None)

    def stop(self) -> None:
        """Let every loop end after its step."""
        self._stop.set()

    def troubles(self) -> dict[str, str]:
        """Return the current troubles by loop or subject, without internal details."""
        problems = dict(self._notes)
        now = time.monotonic()
        for name, state in list(self._loops.items()):
            begun = state.begun
            if state.failures:
                problems[name] = f"failed {state.failures} times in a row ({state.error})"
            elif begun is not None and now - begun > _STALLED:
                problems[name] = f"has not come back for {now - begun:.0f} s"
            elif state.thread is not None and not state.thread.is_alive() and not self._stop.is_set():
                problems[name] = "has ended"
        return problems
