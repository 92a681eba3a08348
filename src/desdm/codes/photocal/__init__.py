"""Zero points of an exposure's images against reference stars."""

from __future__ import annotations
