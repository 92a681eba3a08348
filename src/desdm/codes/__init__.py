"""The astronomy codes, a folder a topic: algorithm, wrapper, configuration, quality patterns, outputs."""

from __future__ import annotations

from desdm.pixels.astropysettings import keep_settings

# The wrappers read and write thousands of header cards for each image.
keep_settings()
