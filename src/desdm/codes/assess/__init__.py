"""The verdict on an exposure, and pictures of its focal plane."""

from __future__ import annotations
