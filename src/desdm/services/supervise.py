"""Background loops that do not die: an unforeseen error is logged and the loop goes on; the health endpoint tells of it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Supervisor"]

_LOG = logging.getLogger(__name__)
#: Seconds after which a step that has not come back counts as stalled.
_STALLED = 60.0
#: Longest pause after errors, seconds.
_LONGEST = 30.0


@dataclass(slots=True)
class _Loop:
    """State of one loop: when its step began, how often in a row it failed, and of what."""

    begun: float | None = None
    failures: int = 0
    error: str = ""
    thread: threading.Thread | None = None


@dataclass(slots=True)
class Supervisor:
    """Runs steps again and again, each in a thread of its own."""

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
        """Begin a loop.

        Parameters
        ----------
        name
            Name of the thread, which the health endpoint tells.
        step
            What is done each time; whatever it raises is logged, and it is tried again, later after each failure.
        every
            Seconds from the end of a step to the next.
        wake
            Set: the next step begins at once.
        until
            Asked before each step: whether the loop ends.
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
                    _LOG.exception("%s failed, %d times in a row; it goes on", name, state.failures)
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
        """Keep something for the health endpoint that is wrong until it is right again; an empty text takes it back."""
        if trouble:
            self._notes[subject] = trouble
        else:
            self._notes.pop(subject, None)

    def stop(self) -> None:
        """Let every loop end after its step."""
        self._stop.set()

    def troubles(self) -> dict[str, str]:
        """What is wrong now, by loop or subject; without details of our insides."""
        found = dict(self._notes)
        now = time.monotonic()
        for name, state in list(self._loops.items()):
            begun = state.begun
            if state.failures:
                found[name] = f"failed {state.failures} times in a row ({state.error})"
            elif begun is not None and now - begun > _STALLED:
                found[name] = f"has not come back for {now - begun:.0f} s"
            elif state.thread is not None and not state.thread.is_alive() and not self._stop.is_set():
                found[name] = "has ended"
        return found
