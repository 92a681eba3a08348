"""Tables of quality assessment by people: thresholds, review queue, marks, history of problems, dispatches."""

from __future__ import annotations

from sqlalchemy import Boolean, DateTime, Float, ForeignKey, Index, Integer, String, Table, Text

from desdm.schema.columns import STATE, closed, col, metadata
from desdm.schema.operationstates import (
    AnswerVerdict,
    DispatchState,
    Mark,
    ReviewCause,
    ReviewState,
    Severity,
    SubjectKind,
)

__all__ = [
    "dispatch",
    "dispatch_answer",
    "problem_evidence",
    "problem_note",
    "qa_mark",
    "qa_review",
    "qa_threshold",
]

qa_threshold = Table(
    "qa_threshold",
    metadata,
    col("id", Integer, primary_key=True, text="Number of the threshold", ucd="meta.id;meta.main"),
    col("metric", String(48), text="Number that it bounds"),
    col("band", String(8), default="*", text="Band that it is for; *: all", ucd="instr.bandpass"),
    col("ccdnum", Integer, default=0, text="CCD that it is for; 0: all", ucd="meta.id;instr.det"),
    col("low_warn", Float, nullable=True, text="Below it: looked at"),
    col("high_warn", Float, nullable=True, text="Above it: looked at"),
    col("low_bad", Float, nullable=True, text="Below it: a problem"),
    col("high_bad", Float, nullable=True, text="Above it: a problem"),
    col(
        "relative_to",
        String(16),
        default="",
        text="Empty: bounds are values; history: they are deviations from the history",
    ),
    col("expnum_from", Integer, default=0, text="First exposure"),
    col("expnum_to", Integer, default=2147483647, text="Last exposure"),
    col("who", String(32), text="Who set it"),
    col("since", DateTime, text="When, UTC"),
    col("until", DateTime, nullable=True, text="Until when it held, UTC; none: it holds"),
    col("reason", Text, text="Why"),
    Index("ix_qa_threshold_metric", "metric"),
    comment="Thresholds of QA numbers, by band, CCD and range of exposures",
)

qa_mark = Table(
    "qa_mark",
    metadata,
    col("id", Integer, primary_key=True, text="Number of the mark, in order", ucd="meta.id;meta.main"),
    col("subject_kind", STATE, text="Kind of what is marked: exposure, ccd, tile, attempt, file"),
    col("subject", String(200), text="What is marked"),
    col(
        "pfw_attempt_id",
        Integer,
        ForeignKey("pfw_attempt.id"),
        nullable=True,
        text="Attempt whose data were looked at",
    ),
    col("desfile_id", Integer, ForeignKey("desfile.id"), nullable=True, text="File that was looked at"),
    col("verdict", STATE, text="Blessed, defective, or withdrawn"),
    col("defect_code", String(24), nullable=True, text="Kind of defect"),
    col("severity", STATE, nullable=True, text="Severity of a defect, by its effect"),
    col("reason", Text, text="Why, in the author's words"),
    col("evidence", Text, default="{}", text="Numbers and files that the author saw, JSON"),
    col("seen_digest", String(64), text="sha-256 of what the author saw"),
    col("author", String(32), text="Who marked it"),
    col("office", STATE, nullable=True, text="Office in which the author acted"),
    col(
        "own_work",
        Boolean,
        default=False,
        text="Whether the author blessed what they had processed themselves",
    ),
    col("marked_at", DateTime, text="When, UTC", ucd="time"),
    col(
        "supersedes_id",
        Integer,
        ForeignKey("qa_mark.id"),
        nullable=True,
        text="Earlier mark of the same subject",
    ),
    closed("subject_kind", SubjectKind),
    closed("verdict", Mark),
    closed("severity", Severity),
    Index("ix_qa_mark_subject", "subject_kind", "subject"),
    Index("ix_qa_mark_attempt", "pfw_attempt_id"),
    Index("ix_qa_mark_desfile_id", "desfile_id"),
    comment="Marks of people on data: blessed or defective; only ever added to, the newest of a subject counts",
)

qa_review = Table(
    "qa_review",
    metadata,
    col("id", Integer, primary_key=True, text="Number of the entry", ucd="meta.id;meta.main"),
    col("subject_kind", STATE, text="Kind of what is reviewed"),
    col("subject", String(200), text="What is reviewed"),
    col("pfw_attempt_id", Integer, ForeignKey("pfw_attempt.id"), text="Attempt that made it"),
    col("nite", String(8), nullable=True, text="Night, YYYYMMDD", ucd="time.epoch;obs"),
    col("band", String(8), nullable=True, text="Band", ucd="instr.bandpass"),
    col("cause", STATE, text="Why it is reviewed"),
    col("text", Text, text="The same in words"),
    col("state", STATE, text="Where it stands"),
    col("taken_by", String(32), nullable=True, text="Who looks at it"),
    col(
        "lease_until", DateTime, nullable=True, text="Until when it is kept for that person, UTC", ucd="time"
    ),
    col("qa_mark_id", Integer, ForeignKey("qa_mark.id"), nullable=True, text="Mark that decided it"),
    col("opened_at", DateTime, text="When it was put up, UTC", ucd="time"),
    closed("subject_kind", SubjectKind),
    closed("cause", ReviewCause),
    closed("state", ReviewState),
    Index("ix_qa_review_state", "state", "id"),
    Index("ix_qa_review_attempt", "pfw_attempt_id"),
    comment="The review queue: what people are asked to look at",
)

problem_note = Table(
    "problem_note",
    metadata,
    col("id", Integer, primary_key=True, text="Number of the note, in order", ucd="meta.id;meta.main"),
    col("problem_id", Integer, ForeignKey("problem.id"), text="Problem"),
    col("noted_at", DateTime, text="When, UTC", ucd="time"),
    col("who", String(32), text="Who"),
    col("from_state", STATE, nullable=True, text="State before"),
    col("to_state", STATE, nullable=True, text="State after"),
    col("severity", STATE, nullable=True, text="New severity"),
    col("text", Text, text="What was done, and why"),
    Index("ix_problem_note_problem_id", "problem_id"),
    comment="History of problems; only ever added to",
)

problem_evidence = Table(
    "problem_evidence",
    metadata,
    col("id", Integer, primary_key=True, text="Number of the evidence", ucd="meta.id;meta.main"),
    col("problem_id", Integer, ForeignKey("problem.id"), text="Problem"),
    col("kind", STATE, text="run, file, message, number, page, bundle or test"),
    col("ref", Text, text="Name of the run or file, text of the message, address"),
    col("sha256", String(64), nullable=True, text="sha-256 of the bytes"),
    col("who", String(32), text="Who added it"),
    col("added_at", DateTime, text="When, UTC", ucd="time"),
    Index("ix_problem_evidence_problem_id", "problem_id"),
    comment="Evidence for problems",
)

dispatch = Table(
    "dispatch",
    metadata,
    col("id", Integer, primary_key=True, text="Number of the dispatch", ucd="meta.id;meta.main"),
    col("working_group", String(32), text="Working group that is asked"),
    col("subject_kind", STATE, text="Kind of the data"),
    col("subject", String(200), text="Data that are sent"),
    col("question", Text, text="What is asked"),
    col("criteria", Text, text="By what the answer is judged"),
    col("due_at", DateTime, text="When the answer is due, UTC", ucd="time"),
    col("state", STATE, text="Where it stands"),
    col("opened_by", String(32), text="Who asks"),
    col("opened_at", DateTime, text="When, UTC", ucd="time"),
    closed("subject_kind", SubjectKind),
    closed("state", DispatchState),
    Index("ix_dispatch_state", "state"),
    comment="Data sent to working groups with a question",
)

dispatch_answer = Table(
    "dispatch_answer",
    metadata,
    col("id", Integer, primary_key=True, text="Number of the answer", ucd="meta.id;meta.main"),
    col("dispatch_id", Integer, ForeignKey("dispatch.id"), text="Dispatch"),
    col("verdict", STATE, text="What the group says"),
    col("text", Text, text="Why"),
    col("who", String(32), text="Who answers"),
    col("answered_at", DateTime, text="When, UTC", ucd="time"),
    col(
        "desfile_id", Integer, ForeignKey("desfile.id"), nullable=True, text="File with the group's findings"
    ),
    closed("verdict", AnswerVerdict),
    Index("ix_dispatch_answer_dispatch_id", "dispatch_id"),
    comment="Answers of working groups; only ever added to",
)
