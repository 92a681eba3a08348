"""Endpoints of the pages of operations."""

from __future__ import annotations

from desdm.accounts.model import Action
from desdm.services.endpoint import Endpoint
from desdm.web.endpointkinds import page_endpoint

__all__ = ["OPS", "OPS_ENDPOINTS"]

OPS = page_endpoint(
    "/ops",
    "Operations tonight: what arrived, what is processed, and how.",
    account=True,
    action=Action.SEE_OPERATIONS,
)
OPS_ENDPOINTS: tuple[Endpoint, ...] = (OPS,)
