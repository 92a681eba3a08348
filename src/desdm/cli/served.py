"""What publishing asks of the services' engine: make a release ready, and answer its model queries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

    from desdm.facility import Facility

__all__ = ["Served", "engine_of"]


@dataclass(frozen=True, slots=True)
class Served:
    """Two ways into the engine: ``prepare`` makes its copy of a release, ``ask`` answers ADQL on it."""

    prepare: Callable[[str], None] | None
    ask: Callable[[str], pa.Table] | None


@contextmanager
def engine_of(facility: Facility, release: str) -> Iterator[Served]:
    """The engine of the installation's services for one release."""
    yield Served(None, None)
