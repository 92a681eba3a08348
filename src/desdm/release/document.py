"""A small document of headings, paragraphs, lists, tables and code, written as Markdown and as HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["STYLE", "Document"]

#: The look of pages that stand by themselves: documents and folders of a release. It lies within them, since a browser
#: shows them sandboxed (no other file of the server is theirs to load) and a copy on a disk has no server.
STYLE = """\
:root { color-scheme: light dark; --ground: #fbfaf7; --ink: #1d2230; --soft: #5b6475; --line: #dcd9d0; --accent: #1f5fa8;
  --code: #f3f1eb; }
@media (prefers-color-scheme: dark) { :root { --ground: #14171d; --ink: #e4e6ea; --soft: #9ba4b3; --line: #343b47;
  --accent: #86b7f0; --code: #222731; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1.2rem 1.25rem 3rem; background: var(--ground); color: var(--ink);
  font: 1rem/1.55 system-ui, "Segoe UI", "Noto Sans", "Helvetica Neue", Arial, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .6rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
p, li { max-width: 46rem; }
a { color: var(--accent); text-underline-offset: .15em; }
pre { background: var(--code); border: 1px solid var(--line); border-radius: 5px; padding: .7rem .9rem; overflow-x: auto; }
code { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: .875em; }
table { display: block; max-width: 100%; overflow-x: auto; border-collapse: collapse; font-size: .9rem;
  margin: .6rem 0 1rem; }
th, td { text-align: left; vertical-align: baseline; padding: .4rem .75rem .4rem 0; border-bottom: 1px solid var(--line);
  min-width: 5rem; overflow-wrap: break-word; }
th { color: var(--soft); font-weight: 600; }
td code { overflow-wrap: anywhere; }
@media (max-width: 44rem) { thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  tr, td { display: block; }
  tr { border-bottom: 1px solid var(--line); padding: .4rem 0; } td { border: 0; padding: .1rem 0; }
  td:empty { display: none; } td::before { content: attr(data-head) ": "; color: var(--soft); } }
label { display: inline-flex; flex-direction: column; font-size: .875rem; color: var(--soft); margin: 0 .7rem .5rem 0; }
input, select, button { font: inherit; color: var(--ink); background: var(--ground); border: 1px solid var(--line);
  border-radius: 5px; padding: .35rem .6rem; max-width: 100%; }
"""


@dataclass(slots=True)
class Document:
    """A document that is put together block by block; the methods return it, so that they chain."""

    title: str
    _blocks: list[tuple[str, str]] = field(default_factory=list)

    def heading(self, text: str) -> Document:
        """Add a section heading."""
        return self._add(f"## {text}", f"<h2>{_escaped(text)}</h2>")

    def paragraph(self, text: str) -> Document:
        """Add a paragraph."""
        return self._add(text, f"<p>{_escaped(text)}</p>")

    def points(self, items: Sequence[str]) -> Document:
        """Add a list."""
        rows = "".join(f"<li>{_escaped(item)}</li>\n" for item in items)
        return self._add("\n".join(f"- {item}" for item in items), f"<ul>\n{rows}</ul>")

    def code(self, text: str) -> Document:
        """Add a block of code."""
        return self._add(f"```\n{text}\n```", f"<pre><code>{_escaped(text)}</code></pre>")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Document:
        """Add a table."""
        cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
        lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
        lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in cells]
        head = "".join(f'<th scope="col">{_escaped(column)}</th>' for column in columns)
        # Narrow screens have no head: each cell names its column.
        names = [html.escape(column) for column in columns]
        body = "".join(
            "<tr>"
            + "".join(
                f'<td data-head="{name}">{_escaped(c)}</td>' for name, c in zip(names, row, strict=True)
            )
            + "</tr>\n"
            for row in cells
        )
        return self._add(
            "\n".join(lines), f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>"
        )

    def markdown(self) -> str:
        """Return the document as Markdown."""
        return "\n\n".join([f"# {self.title}", *(text for text, _ in self._blocks)]) + "\n"

    def html(self) -> str:
        """Return the document as a page of its own, with its style and without script."""
        body = "\n".join(page for _, page in self._blocks)
        title = _escaped(self.title)
        return (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f'<link rel="icon" href="data:,">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n'
            f"<body>\n<h1>{title}</h1>\n{body}\n</body>\n</html>\n"
        )

    def _add(self, text: str, page: str) -> Document:
        """Add a block in both forms."""
        self._blocks.append((text, page))
        return self


def _escaped(text: str) -> str:
    """Escape text for HTML."""
    return html.escape(text, quote=False)
