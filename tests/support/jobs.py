"""Records of asynchronous jobs for tests."""

from __future__ import annotations

from datetime import datetime

from desdm.schema.states import Phase
from desdm.services.uws.model import Job

__all__ = ["job_with"]


def job_with(*parameters: tuple[str, str]) -> Job:
    """Return a pending job with some parameters."""
    now = datetime(2026, 1, 1)
    return Job(
        id="j1", service="tap", owner="granted", run_id="", phase=Phase.PENDING, creation_time=now, start_time=None,
        end_time=None, execution_duration=60.0, destruction=now, error_type=None, error_message=None, server=None, tries=0,
        address="", parameters=parameters,
    )  # fmt: skip
