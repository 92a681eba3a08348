"""Tables of one's own at the service: make, extend, list, drop."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from desdm.client.connection import Connection
from desdm.client.tables import as_upload

__all__ = ["MyDB"]


class MyDB:
    """Tables that queries call ``mydb.<name>`` and that only their owner sees."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def status(self) -> dict[str, Any]:
        """Tables, bytes used and quota."""
        found: dict[str, Any] = self._connection.document("GET", "/api/mydb")
        return found

    def tables(self) -> list[dict[str, Any]]:
        """One's tables: name, rows, bytes."""
        found: list[dict[str, Any]] = self.status()["tables"]
        return found

    def load(self, name: str, source: Any) -> dict[str, Any]:
        """Make a table of a file, Table, DataFrame or Arrow table."""
        return self._send("PUT", name, source)

    def append(self, name: str, source: Any) -> dict[str, Any]:
        """Add rows to a table."""
        return self._send("POST", name, source)

    def keep(self, name: str, adql: str) -> dict[str, Any]:
        """Make a table of the rows of a query; they stay at the server."""
        found: dict[str, Any] = self._connection.document(
            "PUT", f"/api/mydb/{quote(name)}", data={"QUERY": adql}
        )
        return found

    def drop(self, name: str) -> None:
        """Drop a table."""
        self._connection.content("DELETE", f"/api/mydb/{quote(name)}")

    def _send(self, method: str, name: str, source: Any) -> dict[str, Any]:
        held, mime = as_upload(source)
        found: dict[str, Any] = self._connection.document(
            method, f"/api/mydb/{quote(name)}", data=held, headers={"Content-Type": mime}
        )
        return found
