"""HEALPix cells that an exposure covers."""

from __future__ import annotations
