"""Parameters and endpoints of TAP 1.1."""

from __future__ import annotations

from desdm.accounts.model import Action
from desdm.services.endpoint import TABLES, Endpoint
from desdm.services.parameters import Kind, Parameter, ParameterSet
from desdm.services.uws.endpoints import uws_endpoints
from desdm.services.vosi.endpoints import tables_endpoints, vosi_endpoints

__all__ = ["ENDPOINTS", "EXAMPLES", "JOBS", "PREFIX", "QUERY", "SYNC", "VOSI", "VOSI_TABLES"]

PREFIX = "/tap"

#: TAP 1.1, section 2.7.
QUERY = ParameterSet(
    (
        Parameter(
            "REQUEST",
            Kind.TEXT,
            "doQuery; the rest has paths of its own",
            default="doQuery",
            choices=("doQuery",),
            example="doQuery",
        ),
        Parameter(
            "LANG",
            Kind.TEXT,
            "language of the query",
            default="ADQL",
            choices=("ADQL", "ADQL-2.0", "ADQL-2.1"),
            example="ADQL-2.1",
        ),
        Parameter(
            "QUERY",
            Kind.TEXT,
            "an ADQL query, for instance SELECT TOP 5 * FROM tap_schema.tables",
            required=True,
            example="SELECT TOP 5 * FROM tap_schema.tables",
        ),
        Parameter(
            "RESPONSEFORMAT",
            Kind.TEXT,
            "votable, votable/td, csv, tsv, fits or parquet, or a media type",
            example="csv",
        ),
        Parameter("FORMAT", Kind.TEXT, "the same, as TAP 1.0 names it", example="csv"),
        Parameter("MAXREC", Kind.WHOLE, "rows at most; 0: the description of the columns only", example="5"),
        Parameter(
            "UPLOAD",
            Kind.TEXT,
            "name,URI of a table; the URI is param:PART of this form, or the result of a job here",
            many=True,
        ),
    )
)
SYNC = Endpoint(
    ("GET", "POST"), "/tap/sync", "Run an ADQL query (TAP 1.1).", QUERY, TABLES, action=Action.READ
)
JOBS = uws_endpoints("/tap/async", "an ADQL query", QUERY)
VOSI = vosi_endpoints(PREFIX)
VOSI_TABLES = tables_endpoints(PREFIX)
EXAMPLES = Endpoint(
    ("GET",),
    "/tap/examples",
    "Queries that work on what is published now (DALI 1.1).",
    media_types=("application/xhtml+xml",),
    principal=False,
)
ENDPOINTS = (SYNC, *JOBS, *VOSI, *VOSI_TABLES, EXAMPLES)
