"""Workflow Control Language: read, write and resolve the text form of pipelines and jobs.

``docs/wcl.md`` says what each construct means; ``read`` is strict unless called with ``compat``.
"""

from __future__ import annotations

from desdm.wcl.columns import Column, columns
from desdm.wcl.document import Document, Finding, Origin, Surprise
from desdm.wcl.expand import Expanded
from desdm.wcl.ranges import split_range, truth
from desdm.wcl.read import check, loads, read
from desdm.wcl.resolve import Hit, Resolver
from desdm.wcl.template import Template
from desdm.wcl.tree import Tree, merge
from desdm.wcl.write import dumps, write

__all__ = [
    "Column",
    "Document",
    "Expanded",
    "Finding",
    "Hit",
    "Origin",
    "Resolver",
    "Surprise",
    "Template",
    "Tree",
    "check",
    "columns",
    "dumps",
    "loads",
    "merge",
    "read",
    "split_range",
    "truth",
    "write",
]
