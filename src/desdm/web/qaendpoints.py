"""Endpoints of the pages of quality assessment and of the survey table."""

from __future__ import annotations

from desdm.accounts.model import Action
from desdm.services.endpoint import Endpoint
from desdm.web.endpointkinds import page_endpoint

__all__ = ["QA_ENDPOINTS", "REVIEW"]

REVIEW = page_endpoint(
    "/qa/review", "Data that wait for a person's judgement.", account=True, action=Action.SEE_OPERATIONS
)
QA_ENDPOINTS: tuple[Endpoint, ...] = (REVIEW,)
