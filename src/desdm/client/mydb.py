"""Tables of a user at the service: create, extend, list, drop."""

from __future__ import annotations

from urllib.parse import quote

from desdm.client.answers import OwnTable, OwnTables
from desdm.client.connection import Connection
from desdm.client.tables import UploadSource, as_upload

__all__ = ["MyDB"]


class MyDB:
    """Tables that queries call ``mydb.<name>`` and that only their owner sees."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def status(self) -> OwnTables:
        """Return tables, bytes used and quota."""
        tables: OwnTables = self._connection.document("GET", "/api/mydb")
        return tables

    def tables(self) -> list[OwnTable]:
        """Return the user's tables: name, rows, bytes."""
        return self.status()["tables"]

    def load(self, name: str, source: UploadSource) -> OwnTable:
        """Create a table from a file, Table, DataFrame or Arrow table."""
        return self._send("PUT", name, source)

    def append(self, name: str, source: UploadSource) -> OwnTable:
        """Add rows to a table."""
        return self._send("POST", name, source)

    def keep(self, name: str, adql: str) -> OwnTable:
        """Create a table from the rows of a query; they stay at the server."""
        table: OwnTable = self._connection.document("PUT", f"/api/mydb/{quote(name)}", data={"QUERY": adql})
        return table

    def drop(self, name: str) -> None:
        """Drop a table."""
        self._connection.content("DELETE", f"/api/mydb/{quote(name)}")

    def _send(self, method: str, name: str, source: UploadSource) -> OwnTable:
        """Send a table and return its description."""
        body, mime = as_upload(source)
        table: OwnTable = self._connection.document(
            method, f"/api/mydb/{quote(name)}", data=body, headers={"Content-Type": mime}
        )
        return table
