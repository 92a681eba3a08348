"""Star flats: the response to stars against the response to the dome screen, from dithered images of one field."""

from __future__ import annotations
