"""What pages share: templates, filters, a security policy that forbids every request, and how a page is written."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from desdm import __version__
from desdm.errors import storage_error
from desdm.operations.report import plots
from desdm.operations.report.lineage_graph import size_text
from desdm.operations.report.svg import number_text
from desdm.operations.report.timeline import duration

__all__ = ["own_markup", "page_policy", "render_page", "write_page"]


def render_page(template: str, content: Mapping[str, object]) -> str:
    """Return a page that stands alone as HTML: style and script are in it, and it asks nothing of any machine.

    Parameters
    ----------
    template
        Name of the template.
    content
        Its values.
    """
    environment = _environment()
    environment.filters |= {
        "duration": duration,
        "size": size_text,
        "num": _number,
        "when": _when,
        "style": plots.band_style,
    }
    style = _source(environment, "style.css")
    script = _source(environment, "page.js")
    return environment.get_template(template).render(
        policy=_policy(style, script),
        style=own_markup(style),
        script=own_markup(script),
        version=__version__,
        now=datetime.now(UTC).replace(tzinfo=None),
        **content,
    )


def page_policy() -> str:
    """Return the security policy of a page that stands alone, as the page itself says it."""
    environment = _environment()
    return _policy(_source(environment, "style.css"), _source(environment, "page.js"))


def write_page(text: str, out: Path) -> Path:
    """Write a page whole or not at all, and return its absolute path; a `DesdmError` if that cannot be."""
    out = out.absolute()
    aside = out.with_name(f".{out.name[:200]}.{os.getpid()}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(text, "utf-8")
        aside.chmod(0o644)
        aside.replace(out)
    except OSError as err:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        # The error names the temporary file beside it, which the caller does not know.
        raise storage_error(OSError(err.errno, err.strerror), out) from err
    return out


def own_markup(text: str) -> Markup:
    """Our own drawing, style or script, which goes into the page as it stands; texts within are escaped."""
    return Markup(text)  # noqa: S704


def _environment() -> Environment:
    """Return the template environment of the pages."""
    return Environment(
        loader=PackageLoader("desdm.operations.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _source(environment: Environment, name: str) -> str:
    """Return the source of a template."""
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _policy(style: str, script: str) -> str:
    """Nothing may be loaded but pictures that are in the page; only this style and this script count (CSP level 3)."""

    def digest(text: str) -> str:
        return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")

    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest(style)}'; "
        f"script-src 'sha256-{digest(script)}'; base-uri 'none'; form-action 'none'"
    )


def _number(value: float | None, digits: int = 4) -> str:
    """Return a number as text with significant digits; a dash if there is none."""
    if value is None:
        return "–"
    return number_text(float(f"{value:.{digits}g}"))


def _when(value: datetime | None) -> str:
    """Return a time as text; a dash if there is none."""
    return "–" if value is None else f"{value:%Y-%m-%d %H:%M:%S}"
