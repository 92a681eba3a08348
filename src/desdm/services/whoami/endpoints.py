"""The endpoint that describes the caller."""

from __future__ import annotations

from desdm.services.endpoint import Endpoint

__all__ = ["ENDPOINTS", "WHOAMI"]

WHOAMI = Endpoint(("GET",), "/api/whoami", "Login, role, permitted actions and limits of the caller.")
ENDPOINTS = (WHOAMI,)
