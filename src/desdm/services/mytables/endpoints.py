"""Parameters and endpoints of users' tables."""

from __future__ import annotations

from desdm.services.endpoint import TABLES, Endpoint
from desdm.services.parameters import Kind, Parameter, ParameterSet

__all__ = ["APPEND", "CREATE", "DROP", "ENDPOINTS", "LIST", "ROWS"]

_TABLE = "/api/mydb/{table}"
ROWS = ParameterSet(
    (
        Parameter(
            "QUERY",
            Kind.TEXT,
            "an ADQL query whose rows the table holds; or send a table as the body",
            required=True,
        ),
        Parameter("TEXT", Kind.TEXT, "description of the table; the query", example="mine"),
    )
)
LIST = Endpoint(("GET",), "/api/mydb", "Tables of one's own, bytes used and quota.", needs_account=True)
CREATE = Endpoint(
    ("PUT",), _TABLE, "Make a table of a file or a query.", ROWS, status=201, body=TABLES, needs_account=True
)
APPEND = Endpoint(("POST",), _TABLE, "Add rows to a table.", ROWS, body=TABLES, needs_account=True)
DROP = Endpoint(("DELETE",), _TABLE, "Drop a table.", media_types=(), status=204, needs_account=True)
ENDPOINTS = (LIST, CREATE, APPEND, DROP)
