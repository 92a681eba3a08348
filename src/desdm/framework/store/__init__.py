"""The SQL of runs, and nothing but SQL: attempts, plans, jobs and outcomes."""

from __future__ import annotations

from desdm.framework.store.attempts import (
    attempt_by_name,
    attempts_with_fingerprint,
    calibrations_read,
    change_attempt,
    claim_attempt,
    hand_to_submitter,
    heartbeat,
    lock_submissions,
    number_attempt,
    plan_size,
    program_digests,
    request_cancel,
    scope_of,
    set_data_state,
)
from desdm.framework.store.jobs import close_job, jobs_of, queue_job, start_job, wrappers_of
from desdm.framework.store.outcomes import count_findings, file_ids, generated_names, insert_outcome
from desdm.framework.store.plans import FlagsOfPlan, insert_config, insert_plan, plans_of_exposure

__all__ = [
    "FlagsOfPlan",
    "attempt_by_name",
    "attempts_with_fingerprint",
    "calibrations_read",
    "change_attempt",
    "claim_attempt",
    "close_job",
    "count_findings",
    "file_ids",
    "generated_names",
    "hand_to_submitter",
    "heartbeat",
    "insert_config",
    "insert_outcome",
    "insert_plan",
    "jobs_of",
    "lock_submissions",
    "number_attempt",
    "plan_size",
    "plans_of_exposure",
    "program_digests",
    "queue_job",
    "request_cancel",
    "scope_of",
    "set_data_state",
    "start_job",
    "wrappers_of",
]
