"""One standard image from either kind of input: masked, weighted, interpolated, with its zero point."""

from __future__ import annotations
