"""Writes docs/services/parameters.md from the declared endpoints of the services: service_pages.py [--check]."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path

from desdm.services import Section, endpoints
from desdm.services.endpoint import PATH_TEXTS, Endpoint
from desdm.services.error_responses import error_form, media_type
from desdm.services.parameters import Kind, Parameter, ParameterSet

ROOT = Path(__file__).parents[1]
#: Jobs whose addresses are listed; those of the other services are alike.
JOBS = "/tap/async/"
PAGE = ROOT / "docs" / "services" / "parameters.md"
HEAD = """# Addresses and parameters

This page is written by `scripts/service_pages.py` from the `endpoints.py` of each service, from which the services
also parse their parameters and `/api/openapi.json` is made.

Names of parameters may be written in any case. A parameter has one value, unless the table says *many*; a second,
different value is refused. Where other parameters are not *refused*, they are ignored (DALI 1.1, section 2.3). A flag
is `1`, `true` or `yes`, or `0`, `false` or `no`; a time is ISO 8601, UTC without a zone; numbers are finite. An error
is answered in the form of its address.

Below a job of `/soda/async` and `/api/cutouts/async` stand the same addresses as below `/tap/async/{job}`.

Errors have status 400 (correct the request), 401 (log in), 403 (no right or quota), 404 (it does not exist, or not
for the caller), 409 (it exists already), 413 (too large), 429 (too often), 503 (try again later) or 500 (report it).
429 and 503 say when to try again.
"""


def page() -> str:
    """The page."""
    lines = [HEAD]
    sections: dict[Section, list[Endpoint]] = {}
    for section, endpoint in endpoints():
        if "{job}" not in endpoint.path or endpoint.path.startswith(JOBS):
            sections.setdefault(section, []).append(endpoint)
    for section, members in sections.items():
        lines += section_lines(section, members)
    lines += ["## Variable parts of paths", "", "| part | what it is |", "|---|---|"]
    lines += [f"| `{{{name}}}` | {text} |" for name, text in PATH_TEXTS.items()]
    return "\n".join(lines) + "\n"


def section_lines(section: Section, members: list[Endpoint]) -> Iterator[str]:
    """The lines of a section: its addresses, then each set of parameters once."""
    yield from (
        f"## {section}",
        "",
        "| address | method | does | answers | errors |",
        "|---|---|---|---|---|",
    )
    for endpoint in members:
        form = error_form(endpoint.template)
        mime = media_type(form) if form else ""
        answers = ", ".join(endpoint.media_types) or str(endpoint.status)
        text = f"{endpoint.text} Needs an account." if endpoint.needs_account else endpoint.text
        yield f"| `{endpoint.template}` | {', '.join(endpoint.methods)} | {text} | {answers} | {mime} |"
    yield ""
    sets: dict[ParameterSet, list[str]] = {}
    for endpoint in members:
        if endpoint.parameters.parameters:
            name = f"`{endpoint.template}` ({', '.join(endpoint.methods)})"
            sets.setdefault(endpoint.parameters, []).append(name)
    for parameters, names in sets.items():
        yield from (f"### {', '.join(names)}", "")
        if parameters.strict:
            yield from ("Other parameters are refused.", "")
        yield from ("| parameter | kind | unit | what it is |", "|---|---|---|---|")
        yield from map(row, parameters)
        yield ""


def row(parameter: Parameter) -> str:
    """The row of a parameter."""
    kind = ", ".join(f"`{c}`" for c in parameter.choices) if parameter.choices else str(parameter.kind)
    if parameter.kind is Kind.REAL and math.isfinite(parameter.least):
        most = f" to {parameter.most:g}" if math.isfinite(parameter.most) else " or more"
        kind = f"{kind}, {'above ' if parameter.exclusive else ''}{parameter.least:g}{most}"
    marks = [m for m, holds in (("required", parameter.required), ("many", parameter.many)) if holds]
    kind = ", ".join([kind, *marks])
    text = parameter.text + (f" (default `{parameter.default}`)" if parameter.default else "")
    return f"| `{parameter.name}` | {kind} | {parameter.unit or '–'} | {text} |"


def main() -> int:
    """Write the page, or say that it is not current."""
    text = page()
    current = PAGE.is_file() and PAGE.read_text("utf-8") == text
    if "--check" in sys.argv:
        if not current:
            sys.stderr.write(f"{PAGE.relative_to(ROOT)} is not current; run scripts/service_pages.py\n")
        return int(not current)
    PAGE.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
