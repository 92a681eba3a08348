"""Source Extractor catalogues of single images and of coadds."""

from __future__ import annotations
