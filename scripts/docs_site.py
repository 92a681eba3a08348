"""Hook of mkdocs: pages made from the sources, and a check that no page loads anything from elsewhere.

Made are a page for each table of the database and of a release, an API page for each package, the tutorials, and the
changes. They exist in the site only.
"""

from __future__ import annotations

import ast
import base64
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "desdm"

# What a browser fetches on its own; links that a reader follows may lead anywhere.
_LOADS = re.compile(
    r"<(?:script|img|iframe|source|audio|video)\b[^>]*\bsrc=[\"']?(?:https?:)?//[^\"' >]+"
    r"|<link\b(?=[^>]*\brel=[\"']?(?:stylesheet|icon|preload|preconnect|dns-prefetch|modulepreload))"
    r"[^>]*\bhref=[\"']?(?:https?:)?//[^\"' >]+"
    r"|@import\s+(?:url\()?[\"']?(?:https?:)?//|url\([\"']?(?:https?:)?//"
)

_pages: dict[str, str] = {}


def on_config(config: Any) -> Any:
    """Make the pages, and put them where the navigation names a folder as `folder/*`."""
    _pages.clear()
    _pages.update(tables())
    _pages.update(api())
    _pages.update(tutorials())
    _pages["changes.md"] = outside("CHANGELOG.md")
    _pages["contributing.md"] = outside("CONTRIBUTING.md")
    config.nav = expand(
        config.nav,
        [*_pages, *(p.relative_to(ROOT / "docs").as_posix() for p in (ROOT / "docs").rglob("*.md"))],
    )
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages to the site."""
    for path, text in _pages.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Refuse a page that loads something from another machine."""
    found = _LOADS.search(output)
    if found:
        raise PluginError(
            f"{page.file.src_uri} loads from another machine: {found[0][:120]}; ship it in docs/assets"
        )
    return output


def expand(nav: Iterable[Any], paths: list[str]) -> list[Any]:
    """Return the navigation with every `folder/*` replaced by the pages of that folder, `index.md` first."""
    out = []
    for item in nav:
        match item:
            case dict():
                out.append({title: expand_value(value, paths) for title, value in item.items()})
            case _:
                out.append(item)
    return out


def expand_value(value: Any, paths: list[str]) -> Any:
    """Return the pages of `folder/*`, an expanded list, or the value itself."""
    if isinstance(value, list):
        return expand(value, paths)
    if not value.endswith("/*"):
        return value
    folder = value.removesuffix("*")
    below = [p for p in paths if p.startswith(folder) and "/" not in p.removeprefix(folder)]
    below.sort(key=lambda p: (group(p) == "Tables of the database", p))
    index = f"{folder}index.md"
    groups: dict[str, list[Any]] = {}
    for path in below:
        if path != index:
            groups.setdefault(group(path), []).append(path)
    out: list[Any] = [index] if index in below else []
    for title, members in groups.items():
        out += [{title: members}] if title else members
    return out


def group(path: str) -> str:
    """Return the heading of the navigation below which a made page stands."""
    if path.startswith("tables/"):
        return "Released tables" if "release-" in path else "Tables of the database"
    return ""


def outside(name: str) -> str:
    """Return a document of the project's folder with its links turned to the site's pages."""
    text = (ROOT / name).read_text("utf-8")
    text = text.replace("](docs/changes/README.md)", "](changes.md)").replace("](docs/", "](")
    return re.sub(r"\[([^\]]+)\]\((?:[A-Z_]+(?:\.md)?)\)", r"\1", text)


# Tables


def cell(text: str) -> str:
    """Return a text as a cell of a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def tables() -> dict[str, str]:
    """Return a page for each table of the database and of a release, and their index."""
    from desdm.schema import metadata

    pages: dict[str, str] = {}
    own, released = [], []
    for name, table in sorted(metadata.tables.items()):
        pages[f"tables/{name}.md"] = database_page(name, table)
        own.append(f"| [`{name}`]({name}.md) | {cell(table.comment or '')} | {len(table.columns)} |")
    for name, text, columns in released_tables():
        pages[f"tables/release-{name}.md"] = released_page(name, text, columns)
        released.append(f"| [`{name}`](release-{name}.md) | {cell(text)} | {len(columns)} |")
    head = ["| table | a row is | columns |", "|---|---|---|"]
    pages["tables/index.md"] = "\n".join(
        [
            "# Tables",
            "",
            "Names, texts, units (VOUnits) and UCDs are those of the sources: `desdm.schema` for the database of an "
            "installation, the code that makes a table for a release. A server shows them at `/tap/tables` and "
            "`/tables/<table>`.",
            "",
            "## Released tables",
            "",
            *head,
            *released,
            "",
            "Value-added products have tables of their own, described by whoever made them ([releases](../releases.md)).",
            "",
            "## Tables of the database",
            "",
            *head,
            *own,
            "",
        ]
    )
    return pages


def database_page(name: str, table: Any) -> str:
    """Return the page of a table of the database."""
    rows = []
    for column in table.columns:
        notes = [column.comment or ""]
        notes += ["primary key"] if column.primary_key else []
        notes += ["may be NULL"] if column.nullable else []
        notes += [f"refers to [`{k.column}`]({k.column.table.name}.md)" for k in column.foreign_keys]
        text = cell("; ".join(note for note in notes if note))
        unit, ucd = column.info.get("unit", ""), column.info.get("ucd", "")
        rows.append((f"`{column.name}`", str(column.type).lower(), unit, ucd, text))
    lines = [f"# {name}", "", f"{table.comment or ''}.", "", *column_table(rows)]
    keys = [k for k in table.foreign_key_constraints if len(k.columns) > 1]
    if keys:
        lines += ["", "Keys of several columns:", ""]
        lines += [
            f"- `{', '.join(c.name for c in k.columns)}` refer to [`{k.referred_table.name}`]({k.referred_table.name}.md)"
            for k in keys
        ]
    using = sorted(
        {
            t.name
            for t in table.metadata.tables.values()
            for k in t.foreign_key_constraints
            if k.referred_table is table
        }
        - {name}
    )
    if using:
        lines += ["", "Referred to by " + ", ".join(f"[`{n}`]({n}.md)" for n in using) + "."]
    return "\n".join(lines) + "\n"


def column_table(rows: list[tuple[str, str, str, str, str]]) -> list[str]:
    """Return the lines of a table of columns: name, type, unit, UCD and text; without those that are empty in all rows."""
    header = ("column", "type", "unit", "UCD", "what it is")
    used = [i for i in range(len(header)) if any(row[i] for row in rows)]
    return [f"| {' | '.join(row[i] for i in used)} |" for row in (header, ("---",) * len(header), *rows)]


def released_tables() -> list[tuple[str, str, list[tuple[str, str, str, str, str]]]]:
    """Return the released tables: name, text, and (name, type, unit, UCD, text) of each column."""
    from desdm.services.obscore.columns import COLUMNS
    from desdm.services.tap_schema.columns import TABLES, TEXTS

    out = [
        (
            "objects",
            "Objects detected on the coadds, one a row, measured in every band of their tile",
            object_columns(),
        ),
        ("ivoa.obscore", "Images of all releases (ObsCore 1.1)", [release_row(c) for c in COLUMNS]),
    ]
    out += [
        (f"tap_schema.{name}", TEXTS[name], [release_row(c) for c in columns])
        for name, columns in TABLES.items()
    ]
    return out


def release_row(column: Any) -> tuple[str, str, str, str, str]:
    """Return a column of a release as a row."""
    return column.name, column.datatype, column.unit, column.ucd, column.text


def object_columns() -> list[tuple[str, str, str, str, str]]:
    """Return the columns of the table of objects, from the code that merges the bands' catalogues of a tile."""
    import numpy as np

    from desdm.codes.objects.merge import merge

    parameters = (SOURCE / "codes/detection/data/coaddcat.param").read_text("utf-8")
    integers = {"NUMBER": "i4", "FLAGS": "i2", "IMAFLAGS_ISO": "i4"}
    names = {*re.findall(r"^([A-Z][A-Z0-9_]+)", parameters, re.MULTILINE)} - {"VIGNET"}
    rows = np.ones(1, [(n, integers.get(n, "f8" if n.endswith("J2000") else "f4")) for n in sorted(names)])
    kinds = {"i2": "short", "i4": "int", "i8": "long", "f4": "float", "f8": "double"}
    out = []
    for column in merge({"BAND": rows}, "DES0000+0000"):
        kind = kinds.get(np.asarray(column.values).dtype.str[1:], "char")
        out.append(
            (
                column.name.replace("_BAND", "_<band>"),
                kind,
                column.unit,
                column.ucd,
                column.text.replace("BAND", "<band>"),
            )
        )
    return out


def released_page(name: str, text: str, columns: list[tuple[str, str, str, str, str]]) -> str:
    """Return the page of a released table."""
    lines = [f"# {name}", "", f"{text}.", ""]
    if any("<band>" in c[0] for c in columns):
        lines += [
            "Columns with `<band>` are there once for each band of the release, for instance `mag_auto_r`.",
            "",
        ]
    lines += column_table([(f"`{n}`", kind, unit, ucd, cell(about)) for n, kind, unit, ucd, about in columns])
    return "\n".join(lines) + "\n"


# API


def api() -> dict[str, str]:
    """Return a page for each package of `desdm`, and one of its modules for each large package, with an index."""
    pages: dict[str, str] = {}
    rows = []
    for path in sorted([*SOURCE.glob("*.py"), *SOURCE.glob("*/__init__.py")]):
        name = path.parent.name if path.name == "__init__.py" else path.stem
        if path.parent == SOURCE and path.name == "__init__.py":
            continue
        page = f"api/{name}.md"
        # Only the client is for everybody: the search would otherwise answer with internals, and be four times as large.
        search = "" if name == "client" else "---\nsearch:\n  exclude: true\n---\n\n"
        pages[page] = f"{search}# desdm.{name}\n\n::: desdm.{name}\n"
        if name == "client":  # what users import, once
            pages[page] += "    options:\n      show_submodules: false\n\n::: desdm.client.mydb\n"
        rows.append(f"| [`desdm.{name}`]({name}.md) | {cell(first_sentence(path))} |")
    pages["api/index.md"] = "\n".join(
        [
            "# API",
            "",
            "Modules, classes and functions, from their docstrings. The [client](client.md) is for users; the rest is for "
            "those who extend the system, and changes without notice.",
            "",
            "| package | what it is |",
            "|---|---|",
            *rows,
            "",
        ]
    )
    return pages


def first_sentence(path: Path) -> str:
    """Return the first line of a module's docstring."""
    docstring = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    return docstring.partition("\n")[0]


# Tutorials


def tutorials() -> dict[str, str]:
    """Return a page for each notebook, with the outputs of its last run (`build/tutorials`) if there are some."""
    pages = {}
    for path in sorted((ROOT / "docs" / "tutorials").glob("*.ipynb")):
        executed = ROOT / "build" / "tutorials" / path.name
        use = executed if executed.is_file() and executed.stat().st_mtime >= path.stat().st_mtime else path
        pages[f"tutorials/{path.stem}.md"] = notebook_page(json.loads(use.read_text("utf-8")), path.name)
    return pages


def notebook_page(notebook: dict[str, Any], name: str) -> str:
    """Return a notebook as Markdown."""
    parts = []
    for one in notebook["cells"]:
        text = "".join(one["source"])
        if one["cell_type"] == "markdown":
            parts.append(text)
        elif one["cell_type"] == "code":
            parts.append(f"```python\n{text}\n```")
            parts += [o for o in map(output, one["outputs"]) if o]
    parts.append(f"*This page is the notebook `docs/tutorials/{name}`, which the tests execute.*")
    return "\n\n".join(parts) + "\n"


def output(item: dict[str, Any]) -> str:
    """Return an output of a cell as Markdown: a picture, or text."""
    data = item.get("data", {})
    if "image/png" in data:
        return (
            f'<img alt="plot" src="data:image/png;base64,{"".join(data["image/png"]).replace(chr(10), "")}">'
        )
    if "image/svg+xml" in data:
        svg = base64.b64encode("".join(data["image/svg+xml"]).encode()).decode()
        return f'<img alt="drawing" src="data:image/svg+xml;base64,{svg}">'
    if "text/html" in data and "<table" in "".join(data["text/html"]):
        bare = re.sub(r"<style.*?</style>|\n\s*", "", "".join(data["text/html"]), flags=re.DOTALL)
        return re.sub(
            r"<(table|thead|tbody|tr|th|td)\s[^>]*>", r"<\1>", bare
        )  # the site's style, not Jupyter's
    text = "".join(item.get("text", data.get("text/plain", "")))
    text = re.sub(r"/\S*/desdm-tutorial-[^/\s]+", "/tmp/desdm-tutorial", text)  # noqa: S108 - what readers see
    return f"```text\n{text.rstrip()}\n```" if text.strip() else ""
