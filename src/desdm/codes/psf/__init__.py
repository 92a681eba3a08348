"""Point-spread functions: PSFEx, delivered models, and combined models of coadds."""

from __future__ import annotations
