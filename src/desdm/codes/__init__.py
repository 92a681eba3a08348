"""The astronomy codes, a folder a topic: algorithm, wrapper, configuration, quality patterns, outputs."""

from __future__ import annotations
