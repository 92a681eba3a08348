"""The astronomy codes: one folder a topic, each with its algorithm, wrapper, configuration, quality patterns and outputs."""

from __future__ import annotations
