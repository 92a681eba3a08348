"""OpenAPI 3.1 of all endpoints, from their declarations; nothing is written by hand here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from desdm import __version__
from desdm.services import Section, endpoints
from desdm.services.endpoint import PATH_TEXTS, Endpoint
from desdm.services.error_responses import ErrorForm, error_form, media_type
from desdm.services.parameters import Kind, Parameter
from desdm.web.endpoints import ENDPOINTS

__all__ = ["all_endpoints", "document"]

#: A value of a JSON document.
Json: TypeAlias = "str | int | float | bool | Sequence[Json] | Mapping[str, Json] | None"
Object: TypeAlias = dict[str, Json]

_TYPES = {
    Kind.TEXT: "string",
    Kind.WHOLE: "integer",
    Kind.REAL: "number",
    Kind.TIME: "string",
    Kind.FLAG: "string",
}
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
#: RFC 9457, section 3.1.
_PROBLEM: Object = {
    "type": "object",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What to correct"},
        "error": {"description": "The same, as earlier versions have it"},
    },
    "required": ["type", "title", "status", "detail"],
}


def all_endpoints() -> Iterator[tuple[Section, Endpoint]]:
    """Yield the endpoints of services and pages with their section."""
    yield from endpoints()
    yield from ((Section.PAGES, endpoint) for endpoint in ENDPOINTS)


def document(base: str) -> Object:
    """Return the OpenAPI document of a server at ``base``."""
    paths: dict[str, Object] = {}
    for section, endpoint in all_endpoints():
        for method in endpoint.methods:
            paths.setdefault(endpoint.template, {})[method.lower()] = _operation(section, endpoint, method)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "desdm",
            "version": __version__,
            "description": "Data services of a survey. The IVOA services describe themselves at /tap/capabilities. "
            "Names of parameters may be written in any case.",
        },
        "servers": [{"url": base}],
        "paths": paths,
        "components": {
            "schemas": {"Problem": _PROBLEM},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "A token of the account page"},
                "basic": {"type": "http", "scheme": "basic", "description": "Login, and a token as password"},
            },
        },
        "security": [{}, {"bearer": []}, {"basic": []}],
    }


def _operation(section: Section, endpoint: Endpoint, method: str) -> Object:
    """Return one method of an endpoint."""
    template = endpoint.template + "index" if endpoint.template.endswith("/") else endpoint.template
    words = template.replace("{", "").replace("}", "").strip("/").split("/")
    operation: Object = {
        "operationId": "_".join([method.lower(), *words]).replace(".", "_"),
        "summary": endpoint.text,
        "tags": [section],
        "responses": _responses(endpoint),
    }
    sends_form = method in ("POST", "PUT") and not endpoint.body
    parameters = [_path_parameter(name) for name in endpoint.variables]
    if not sends_form:
        # Beside a body, parameters are in the address.
        parameters += [_query_parameter(p, required=not endpoint.body) for p in endpoint.parameters]
    elif endpoint.parameters.parameters:
        operation["requestBody"] = {"content": {form: {"schema": _form(endpoint)} for form in _FORMS}}
    if endpoint.body and method in ("POST", "PUT"):
        operation["requestBody"] = {"content": {mime: {} for mime in (*endpoint.body, *_FORMS)}}
    if parameters:
        operation["parameters"] = parameters
    if endpoint.needs_account:
        operation["security"] = [{"bearer": []}, {"basic": []}]
    return operation


def _responses(endpoint: Endpoint) -> Object:
    """Return the responses: success, and errors in the form of the path."""
    success: Object = {"description": "The answer"}
    if endpoint.media_types:
        success["content"] = {mime: {} for mime in endpoint.media_types}
    form = error_form(endpoint.template)
    if form is None:
        content: Object = {"text/html": {}, media_type(ErrorForm.JSON): _PROBLEM_CONTENT}
    else:
        is_json = form in (ErrorForm.JSON, ErrorForm.JSON_TEXT)
        content = {media_type(form): _PROBLEM_CONTENT if is_json else {}}
    others: Object = {
        str(a.status): {
            "description": a.text,
            **({"content": {mime: {} for mime in a.media_types}} if a.media_types else {}),
        }
        for a in endpoint.alternatives
    }
    return {
        str(endpoint.status): success,
        **others,
        "4XX": {"description": "What to correct", "content": content},
        "5XX": {"description": "503: try again later; 500: report it", "content": content},
    }


_PROBLEM_CONTENT: Object = {"schema": {"$ref": "#/components/schemas/Problem"}}


def _path_parameter(name: str) -> Object:
    """Return a variable part of a path."""
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": PATH_TEXTS[name],
        "schema": {"type": "string"},
    }


def _query_parameter(parameter: Parameter, *, required: bool) -> Object:
    """Return a parameter of the address."""
    return {
        "name": parameter.name,
        "in": "query",
        "required": parameter.required and required,
        "description": _description(parameter),
        "schema": _schema(parameter),
    }


def _form(endpoint: Endpoint) -> Object:
    """Return the schema of a form."""
    properties = {p.name: {**_schema(p), "description": _description(p)} for p in endpoint.parameters}
    form: Object = {"type": "object", "properties": properties}
    required = [p.name for p in endpoint.parameters if p.required]
    return {**form, "required": required} if required else form


def _description(parameter: Parameter) -> str:
    """Return what a parameter is, with its unit."""
    text = parameter.text[0].upper() + parameter.text[1:]
    return f"{text} [{parameter.unit}]" if parameter.unit else text


def _schema(parameter: Parameter) -> Object:
    """Return the JSON schema of a parameter."""
    schema: Object = {"type": _TYPES[parameter.kind]}
    if parameter.kind is Kind.WHOLE:
        schema["minimum"] = 0
    if parameter.kind is Kind.TIME:
        schema["format"] = "date-time"
    if parameter.kind is Kind.FLAG:
        schema["enum"] = ["1", "0", "true", "false", "yes", "no"]
    if parameter.choices:
        schema["enum"] = list(parameter.choices)
    if parameter.least > float("-inf"):
        schema["exclusiveMinimum" if parameter.exclusive else "minimum"] = parameter.least
    if parameter.most < float("inf"):
        schema["maximum"] = parameter.most
    if parameter.default:
        schema["default"] = _default(parameter)
    return {"type": "array", "items": schema} if parameter.many else schema


def _default(parameter: Parameter) -> Json:
    """Return the default of a parameter as JSON."""
    return float(parameter.default) if parameter.kind is Kind.REAL else parameter.default
