"""Shares of a thread pool: each caller uses a few threads at once, so that others are not blocked."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TypeVar

from desdm.errors import LimitExceeded, LimitKind

__all__ = ["CALLER", "PAGE", "Threads"]

#: Caller of the current request by login or address; empty outside of a request.
CALLER: ContextVar[str] = ContextVar("desdm_caller", default="")
#: Whether the request is for a page, health or availability, which have threads of their own.
PAGE: ContextVar[bool] = ContextVar("desdm_page", default=False)

T = TypeVar("T")


@dataclass(slots=True)
class _Share:
    """Running and waiting tasks of one caller."""

    running: int = 0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)


class Threads:
    """Runs tasks of requests in a pool; used from the event loop only.

    Parameters
    ----------
    pool
        The threads.
    share
        Threads that one caller may use at once.
    queued
        Tasks of one caller that may wait; more are rejected.
    """

    def __init__(self, pool: ThreadPoolExecutor, share: int, queued: int = 256) -> None:
        self.pool, self._share, self._queued = pool, share, queued
        self._shares: dict[str, _Share] = {}

    async def run(self, task: Callable[[], T]) -> T:
        """Run a task in a thread of its caller's share.

        Raises
        ------
        LimitExceeded
            Too many tasks of the caller are waiting.
        """
        caller, loop = CALLER.get(), asyncio.get_running_loop()
        if not caller:
            return await loop.run_in_executor(self.pool, task)
        share = self._shares.setdefault(caller, _Share())
        if share.running < self._share:
            share.running += 1
        else:
            await self._wait(share)
        # The thread counts until it finishes, also after its client disconnected.
        done = self.pool.submit(task)
        done.add_done_callback(lambda _: self._schedule_release(loop, caller))
        return await asyncio.wrap_future(done)

    async def _wait(self, share: _Share) -> None:
        """Wait until another task of the same caller releases its thread."""
        if len(share.waiting) >= self._queued:
            raise LimitExceeded(
                f"{self._queued} requests from you wait already; send fewer at once",
                LimitKind.RATE,
                retry_after=5,
            )
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        share.waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._hand_over(share)
            else:
                share.waiting.remove(turn)
            raise

    def _schedule_release(self, loop: asyncio.AbstractEventLoop, caller: str) -> None:
        """Release the thread of a caller from the event loop."""
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._release, caller)

    def _release(self, caller: str) -> None:
        """Release a thread of a caller and forget callers without threads."""
        share = self._shares[caller]
        self._hand_over(share)
        if not share.running:
            del self._shares[caller]

    @staticmethod
    def _hand_over(share: _Share) -> None:
        """Pass a thread to the next waiting task, or decrease the count."""
        while share.waiting:
            turn = share.waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        share.running -= 1
