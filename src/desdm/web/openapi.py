"""OpenAPI 3.1 of the REST endpoints: one table of operations, from which document and page follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from desdm import __version__

__all__ = ["OPERATIONS", "Operation", "Param", "document"]

#: A value of a JSON document.
Json: TypeAlias = "str | int | float | bool | Sequence[Json] | Mapping[str, Json] | None"


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter: name, description and location (query, path or form)."""

    name: str
    text: str
    place: str = "query"
    required: bool = False
    many: bool = False
    kind: str = "string"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation over HTTP."""

    section: str
    method: str
    path: str
    text: str
    params: tuple[Param, ...] = ()
    media_types: tuple[str, ...] = ("application/json",)
    needs_account: bool = False  # whether it needs an account


_R = Param("release", "Release", "path", True)
_TABLES = ("application/x-votable+xml", "text/csv", "application/fits", "application/vnd.apache.parquet")
_ID = Param("ID", "Publisher DID, for instance ivo://desdm/Y6?images/….fits.fz", many=True)
_STENCILS = (
    Param("CIRCLE", "ra dec radius, degrees", many=True),
    Param("POLYGON", "ra1 dec1 ra2 dec2 ra3 dec3 …, degrees", many=True),
    Param("POS", "CIRCLE …, RANGE ra1 ra2 dec1 dec2, or POLYGON …", many=True),
)

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "Queries",
        "post",
        "/tap/sync",
        "Run an ADQL query (TAP 1.1).",
        (
            Param("QUERY", "ADQL 2.1", "form", True),
            Param("LANG", "ADQL", "form", True),
            Param("RESPONSEFORMAT", "votable, votable/td, csv, tsv, fits, parquet", "form"),
            Param("MAXREC", "Rows at most", "form", kind="integer"),
            Param("UPLOAD", "name,param:part of this form", "form"),
        ),
        _TABLES,
    ),
    Operation(
        "Queries",
        "post",
        "/tap/async",
        "Make a job of a query; PHASE=RUN starts it (UWS 1.1).",
        (Param("QUERY", "ADQL 2.1", "form", True), Param("PHASE", "RUN", "form")),
        ("text/xml",),
    ),
    Operation(
        "Queries",
        "get",
        "/tap/async/{job}",
        "A job: phase, times, results.",
        (Param("job", "Job", "path", True),),
        ("text/xml",),
    ),
    Operation(
        "Queries",
        "get",
        "/scs/{table}",
        "Cone search in a table R.T.",
        (
            Param("table", "Table as release.table", "path", True),
            Param("RA", "Degrees, ICRS", required=True, kind="number"),
            Param("DEC", "Degrees, ICRS", required=True, kind="number"),
            Param("SR", "Radius, degrees", required=True, kind="number"),
        ),
        _TABLES[:1],
    ),
    Operation(
        "Images",
        "get",
        "/sia/query",
        "Images by position, band, time (SIA 2.0).",
        (Param("POS", "CIRCLE ra dec radius"), Param("BAND", "Wavelength, m")),
        _TABLES[:1],
    ),
    Operation(
        "Images", "get", "/datalink/links", "What belongs to a dataset (DataLink 1.1).", (_ID,), _TABLES[:1]
    ),
    Operation(
        "Cutouts",
        "get",
        "/soda/sync",
        "Cut a region out of an image (SODA 1.0); FITS with image, mask, weight, or PNG.",
        (
            _ID,
            *_STENCILS,
            Param("FORMAT", "fits or png"),
            Param("BANDS", "Bands of a PNG, for instance g,r,i"),
            Param("Q", "Softening of a PNG", kind="number"),
        ),
        ("application/fits", "image/png"),
    ),
    Operation(
        "Cutouts",
        "post",
        "/soda/async",
        "Cutouts as a job; several ID and stencils.",
        (Param("ID", "As above", "form", True, True),),
        ("text/xml",),
    ),
    Operation(
        "Footprint",
        "get",
        "/footprint",
        "Is a place inside, how deep, in how many exposures, on which tiles and files.",
        (
            Param("ra", "Degrees, ICRS", kind="number"),
            Param("dec", "Degrees, ICRS", kind="number"),
            Param("release", "Release; the newest"),
            Param("band", "Bands; all"),
        ),
    ),
    Operation(
        "Footprint",
        "post",
        "/footprint",
        "The same for a table of places (CSV, VOTable, Parquet).",
        (),
        _TABLES,
    ),
    Operation(
        "Footprint",
        "get",
        "/footprint/region",
        "Area and depth of a region, and the files in it.",
        (Param("POS", "CIRCLE, RANGE or POLYGON", required=True),),
    ),
    Operation(
        "Files",
        "get",
        "/files",
        "Files by release, tile, band, type and place.",
        (
            Param("release", "Release"),
            Param("tilename", "Tile"),
            Param("band", "Band"),
            Param("filetype", "Type"),
            Param("pos", "ra,dec,radius in degrees"),
            Param("format", "json, csv, votable, txt, html"),
        ),
        ("application/json", "text/csv", "application/x-votable+xml", "text/plain"),
    ),
    Operation(
        "Files",
        "get",
        "/files/{release}/{path}",
        "A file: HEAD, ranges, ETag, Repr-Digest.",
        (_R, Param("path", "Path in the release", "path", True)),
        ("*/*",),
    ),
    Operation("Files", "get", "/api/releases", "The releases."),
    Operation("Files", "get", "/api/releases/{release}", "One release.", (_R,)),
    Operation("Files", "get", "/api/releases/{release}/files", "Its files.", (_R,)),
    Operation(
        "Tables of your own", "get", "/api/mydb", "Your tables and your quota.", (), needs_account=True
    ),
)


def document(base: str) -> dict[str, Json]:
    """Return the OpenAPI document of a server at ``base``."""
    paths: dict[str, dict[str, Json]] = {}
    for op in OPERATIONS:
        paths.setdefault(op.path, {})[op.method] = _operation(op)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "desdm",
            "version": __version__,
            "description": "Data services of a survey. The IVOA services describe themselves at /tap/capabilities.",
        },
        "servers": [{"url": base}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "A token of the account page"},
                "basic": {"type": "http", "scheme": "basic", "description": "Login, and a token as password"},
            }
        },
        "security": [{}, {"bearer": []}, {"basic": []}],
    }


def _operation(op: Operation) -> dict[str, Json]:
    """Return an operation as OpenAPI."""
    operation: dict[str, Json] = {
        "summary": op.text,
        "tags": [op.section],
        "responses": {
            "200": {"description": "The answer", "content": {mime: {} for mime in op.media_types}},
            "4XX": {"description": "What to correct: as VOTable from IVOA services, else as JSON"},
        },
    }
    address_params = [p for p in op.params if p.place != "form"]
    form_params = [p for p in op.params if p.place == "form"]
    if address_params:
        operation["parameters"] = [
            {
                "name": p.name,
                "in": p.place,
                "required": p.required,
                "description": p.text,
                "schema": _schema(p),
            }
            for p in address_params
        ]
    if form_params:
        schema: dict[str, Json] = {
            "type": "object",
            "properties": {p.name: {**_schema(p), "description": p.text} for p in form_params},
            "required": [p.name for p in form_params if p.required],
        }
        operation["requestBody"] = {"content": {"application/x-www-form-urlencoded": {"schema": schema}}}
    if op.needs_account:
        operation["security"] = [{"bearer": []}, {"basic": []}]
    return operation


def _schema(param: Param) -> dict[str, Json]:
    """Return the JSON schema of a parameter."""
    return {"type": "array", "items": {"type": param.kind}} if param.many else {"type": param.kind}
