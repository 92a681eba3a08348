"""A small document of headings, paragraphs, lists, tables and code, written as Markdown and as HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["Document"]


@dataclass(slots=True)
class Document:
    """A document that is put together block by block; the methods return it, so that they chain."""

    title: str
    _blocks: list[tuple[str, str]] = field(default_factory=list)

    def heading(self, text: str) -> Document:
        """A section's heading."""
        return self._add(f"## {text}", f"<h2>{_escaped(text)}</h2>")

    def paragraph(self, text: str) -> Document:
        """Some sentences."""
        return self._add(text, f"<p>{_escaped(text)}</p>")

    def points(self, items: Sequence[str]) -> Document:
        """A list."""
        rows = "".join(f"<li>{_escaped(item)}</li>\n" for item in items)
        return self._add("\n".join(f"- {item}" for item in items), f"<ul>\n{rows}</ul>")

    def code(self, text: str) -> Document:
        """Something to copy: a query, commands."""
        return self._add(f"```\n{text}\n```", f"<pre><code>{_escaped(text)}</code></pre>")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Document:
        """A table; numbers are set right."""
        cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
        lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
        lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in cells]
        head = "".join(f'<th scope="col">{_escaped(column)}</th>' for column in columns)
        body = "".join("<tr>" + "".join(f"<td>{_escaped(c)}</td>" for c in row) + "</tr>\n" for row in cells)
        return self._add(
            "\n".join(lines), f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>"
        )

    def markdown(self) -> str:
        """The document as Markdown."""
        return "\n\n".join([f"# {self.title}", *(text for text, _ in self._blocks)]) + "\n"

    def html(self) -> str:
        """The document as a page of its own, without style or script."""
        body = "\n".join(page for _, page in self._blocks)
        title = _escaped(self.title)
        return (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{title}</title>\n</head>\n<body>\n<h1>{title}</h1>\n{body}\n</body>\n</html>\n"
        )

    def _add(self, text: str, page: str) -> Document:
        self._blocks.append((text, page))
        return self


def _escaped(text: str) -> str:
    return html.escape(text, quote=False)
