"""Provenance of release tables: the record, and its form in the database (JSON)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["TableSource", "TileRows"]


@dataclass(slots=True)
class TileRows:
    """Rows of one tile's catalogue; counted while they stream.

    Attributes
    ----------
    file, sha256, run
        Name and digest of the catalogue, and the attempt that produced it.
    rows
        Rows of the catalogue.
    own
        Rows of these that belong to the tile and are in the release.
    dropped
        Rows that belong to another tile, by that tile's name.
    """

    file: str
    sha256: str
    run: str
    rows: int = 0
    own: int = 0
    dropped: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TableSource:
    """Provenance of a release table: values by key, and the catalogues of the tiles of an object table."""

    facts: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    tiles: Mapping[str, TileRows] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the provenance as JSON with sorted keys."""
        tiles = {
            name: {
                "file": t.file,
                "sha256": t.sha256,
                "run": t.run,
                "rows": t.rows,
                "kept": t.own,
                "dropped": t.dropped,
            }
            for name, t in self.tiles.items()
        }
        return json.dumps({**self.facts, **({"tiles": tiles} if tiles else {})}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> TableSource:
        """Read the provenance from its JSON."""
        facts = json.loads(text)
        tiles = {
            name: TileRows(t["file"], t["sha256"], t.get("run", ""), t["rows"], t["kept"], t["dropped"])
            for name, t in facts.pop("tiles", {}).items()
        }
        return cls(facts, tiles)
