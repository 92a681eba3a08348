"""The Python client of the data services: queries, cutouts, footprint and files, on pyvo."""

from __future__ import annotations

from desdm.client.client import Client
from desdm.client.connection import Connection, TruncatedWarning

__all__ = ["Client", "Connection", "TruncatedWarning"]
