"""Compression of images by fpack."""

from __future__ import annotations
