"""Tables of runs: request, unit, attempt, block, job, wrapper, exec and the tree of tasks."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    DateTime,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from desdm.schema.columns import STATE, closed, col, metadata
from desdm.schema.states import AttemptState, DataState, JobState, RunClass, WrapperState

__all__ = [
    "ops_data_state_def",
    "ops_state_change",
    "pfw_attempt",
    "pfw_attempt_config",
    "pfw_attempt_label",
    "pfw_attempt_val",
    "pfw_block",
    "pfw_data_query",
    "pfw_exec",
    "pfw_job",
    "pfw_omitted_input",
    "pfw_planned_exposure",
    "pfw_request",
    "pfw_unit",
    "pfw_wrapper",
    "task",
]

task = Table(
    "task",
    metadata,
    col("id", Integer, primary_key=True, text="Number of the task", ucd="meta.id;meta.main"),
    col("name", String(64), text="What it is: run, block, job, wrapper or exec by its name"),
    col("info_table", String(24), text="Table that holds the rest of it, for instance pfw_wrapper"),
    col(
        "parent_task_id", Integer, ForeignKey("task.id"), nullable=True, text="Task that holds this one",
        ucd="meta.id.parent",
    ),
    col("root_task_id", Integer, ForeignKey("task.id"), nullable=True, text="Task of the whole run"),
    col("label", String(64), nullable=True, text="Further name, for instance its loop values"),
    col("start_time", DateTime, nullable=True, text="Begin, UTC", ucd="time.start"),
    col("end_time", DateTime, nullable=True, text="End, UTC", ucd="time.end"),
    col("status", Integer, nullable=True, text="Exit status; NULL while it runs"),
    col("exec_host", String(64), nullable=True, text="Machine that ran it"),
    Index("ix_task_root_task_id", "root_task_id"),
    comment="One tree of tasks for each attempt: run, blocks, jobs, wrappers, execs",
)  # fmt: skip

ops_state_change = Table(
    "ops_state_change",
    metadata,
    col("kind", String(12), primary_key=True, text="attempt or job"),
    col("from_state", STATE, primary_key=True, text="State before"),
    col("to_state", STATE, primary_key=True, text="State after"),
    comment="Lawful changes of state; triggers refuse every other",
)

ops_data_state_def = Table(
    "ops_data_state_def",
    metadata,
    col("state", STATE, primary_key=True, text="Data state"),
    col("description", Text, text="What it means"),
    comment="Data states of attempts, with their meaning",
)

pfw_request = Table(
    "pfw_request",
    metadata,
    col("reqnum", Integer, primary_key=True, text="Request number", ucd="meta.id;meta.main"),
    col("project", String(16), text="Project: OPS for production, ACT and TEST for trials"),
    col("campaign", String(32), text="Campaign, for instance Y6A1"),
    col("pipeline", String(32), text="Name of the pipeline"),
    col("jira_id", String(32), nullable=True, text="Ticket that asks for it"),
    UniqueConstraint("project", "campaign", "pipeline", "jira_id"),
    comment="A request: why data of one campaign are processed by one pipeline",
)

pfw_unit = Table(
    "pfw_unit",
    metadata,
    col("reqnum", Integer, ForeignKey("pfw_request.reqnum"), primary_key=True, text="Request number"),
    col(
        "unitname",
        String(48),
        primary_key=True,
        text="Unit: exposure D00229686, nite 20160101 or tile DES2157-5248",
    ),
    comment="A unit of work of a request",
)

pfw_attempt = Table(
    "pfw_attempt",
    metadata,
    col("id", Integer, primary_key=True, text="Number of the attempt", ucd="meta.id;meta.main"),
    col("reqnum", Integer, text="Request number"),
    col("unitname", String(48), text="Unit"),
    col("attnum", Integer, text="Attempt number within the unit, from 1"),
    col("task_id", Integer, ForeignKey("task.id"), text="Task of the whole run"),
    col("state", STATE, text="Processing state"),
    col("data_state", STATE, ForeignKey("ops_data_state_def.state"), text="What its data are worth"),
    col("pruned_from", STATE, nullable=True, text="Data state before its files were deleted, which recovery restores"),
    col(
        "run_class", STATE, server_default="survey",
        text="Purpose: survey (production), study, qualify or dev; only survey attempts are production",
    ),
    col("operator", String(32), text="Who submitted it"),
    col("replaces_id", Integer, ForeignKey("pfw_attempt.id"), nullable=True, text="Attempt that it repeats, with a reason"),
    col("exclusions_digest", String(64), nullable=True, text="sha-256 of the verdicts and exclusions that its plan saw"),
    col("pipeprod", String(32), text="Pipeline product"),
    col("pipever", String(16), text="Pipeline version"),
    col("submittime", DateTime, text="Submission, UTC", ucd="time.creation"),
    col("endtime", DateTime, nullable=True, text="End, UTC", ucd="time.end"),
    col("numexpblk", Integer, text="Blocks expected"),
    col("numexpjobs", Integer, text="Jobs expected"),
    col("numexpwrap", Integer, text="Wrappers expected"),
    col("archive_path", String(160), text="Its directory, relative to the archive's root"),
    col("fingerprint", String(64), text="sha-256 of pipeline, settings and inputs: equal for equal work"),
    col("token", String(32), nullable=True, text="Token of the submitter that has it"),
    col("submitter_host", String(64), nullable=True, text="Machine of the submitter"),
    col("submitter_pid", Integer, nullable=True, text="Process of the submitter"),
    col("submitter_start", BigInteger, nullable=True, text="Start time of that process, clock ticks since boot", unit="1"),
    col("heartbeat", DateTime, nullable=True, text="Last sign of life of the submitter, UTC"),
    col("cancel_requested", Boolean, default=False, text="An operator wants it to end"),
    col("comment", Text, nullable=True, text="Why it ended as it did"),
    ForeignKeyConstraint(["reqnum", "unitname"], ["pfw_unit.reqnum", "pfw_unit.unitname"]),
    UniqueConstraint("reqnum", "unitname", "attnum"),
    closed("state", AttemptState),
    closed("data_state", DataState),
    closed("run_class", RunClass),
    Index("ix_pfw_attempt_state", "state"),
    comment="One attempt at a unit: <unit>_r<req>p<att>",
)  # fmt: skip

pfw_attempt_label = Table(
    "pfw_attempt_label",
    metadata,
    col("pfw_attempt_id", Integer, ForeignKey("pfw_attempt.id"), primary_key=True, text="Attempt"),
    col("label", String(30), primary_key=True, text="Label"),
    comment="Labels that operators give to attempts",
)

pfw_attempt_val = Table(
    "pfw_attempt_val",
    metadata,
    col("pfw_attempt_id", Integer, ForeignKey("pfw_attempt.id"), primary_key=True, text="Attempt"),
    col("key", String(64), primary_key=True, text="Setting"),
    col("val", Text, text="Its value"),
    comment="Settings of an attempt (save_run_vals)",
)

pfw_attempt_config = Table(
    "pfw_attempt_config",
    metadata,
    col("pfw_attempt_id", Integer, ForeignKey("pfw_attempt.id"), primary_key=True, text="Attempt"),
    col("settings", Text, text="Its settings with their sections, as JSON"),
    col("modules", Text, text="Settings of each module as they held, as JSON"),
    col("software", Text, text="The system's own software at submission: name, version, digest, as JSON"),
    comment="The configuration that an attempt ran with, whole",
)

pfw_block = Table(
    "pfw_block",
    metadata,
    col("task_id", Integer, ForeignKey("task.id"), primary_key=True, text="Task of the block"),
    col("pfw_attempt_id", Integer, ForeignKey("pfw_attempt.id"), text="Attempt"),
    col("blknum", Integer, text="Number within the attempt, from 1"),
    col("name", String(32), text="Name of the block"),
    col("modulelist", Text, text="Its modules in running order, comma separated"),
    col("numexpjobs", Integer, text="Jobs expected"),
    UniqueConstraint("pfw_attempt_id", "blknum"),
    comment="A block of an attempt; blocks run in series",
)

pfw_job = Table(
    "pfw_job",
    metadata,
    col("task_id", Integer, ForeignKey("task.id"), primary_key=True, text="Task of the job"),
    col("pfw_attempt_id", Integer, ForeignKey("pfw_attempt.id"), text="Attempt"),
    col("pfw_block_task_id", Integer, ForeignKey("pfw_block.task_id"), text="Block"),
    col("jobnum", Integer, text="Number within the attempt, from 1"),
    col("jobkeys", String(96), text="Loop values that its wrappers share"),
    col("expect_num_wrap", Integer, text="Wrappers expected"),
    col("state", STATE, text="State"),
    col("tries", Integer, default=0, text="How often it was given to an engine"),
    col("token", String(32), nullable=True, text="Token of the try that may register outputs"),
    col("engine", String(16), nullable=True, text="Engine that has it"),
    col("handle", String(64), nullable=True, text="What the engine calls it"),
    col("jobroot", String(240), nullable=True, text="Its work folder"),
    col("junktar", String(240), nullable=True, text="Tarball of a failed job's work folder"),
    col("comment", Text, nullable=True, text="Why it ended as it did"),
    UniqueConstraint("pfw_attempt_id", "jobnum"),
    closed("state", JobState),
    comment="A job: a bundle of wrappers with one work folder; jobs of a block are independent",
)

pfw_wrapper = Table(
    "pfw_wrapper",
    metadata,
    col("task_id", Integer, ForeignKey("task.id"), primary_key=True, text="Task of the wrapper"),
    col("pfw_attempt_id", Integer, ForeignKey("pfw_attempt.id"), text="Attempt"),
    col("pfw_job_task_id", Integer, ForeignKey("pfw_job.task_id"), text="Job"),
    col("wrapnum", Integer, text="Number within the attempt, from 1"),
    col("modname", String(48), text="Module"),
    col("name", String(96), text="Dotted name of the wrapper's function, or genwrap"),
    col("wrapkeys", String(96), text="Its loop values"),
    col("state", STATE, text="State"),
    col("log", String(160), nullable=True, text="Name of its log file"),
    col("diskusage", BigInteger, nullable=True, text="Bytes of its outputs", unit="byte"),
    UniqueConstraint("pfw_attempt_id", "wrapnum"),
    Index("ix_pfw_wrapper_job", "pfw_job_task_id"),
    closed("state", WrapperState),
    comment="A wrapper: one run of a module's code for one combination of loop values",
)

pfw_exec = Table(
    "pfw_exec",
    metadata,
    col("task_id", Integer, ForeignKey("task.id"), primary_key=True, text="Task of the exec"),
    col("pfw_attempt_id", Integer, ForeignKey("pfw_attempt.id"), text="Attempt"),
    col("pfw_wrapper_task_id", Integer, ForeignKey("pfw_wrapper.task_id"), text="Wrapper"),
    col("execnum", Integer, text="Number within the wrapper, from 1"),
    col("name", String(64), text="Program or function"),
    col("version", String(48), text="What it said of its version"),
    col("cmdargs", Text, text="Its arguments"),
    col("digest", String(64), nullable=True, text="sha-256 of the code's files, or of the program's"),
    col("utime", Float, text="CPU seconds in user mode", unit="s", ucd="time.duration"),
    col("stime", Float, text="CPU seconds in the system", unit="s", ucd="time.duration"),
    col("maxrss", BigInteger, text="Largest resident memory", unit="kbyte"),
    col("minflt", BigInteger, text="Page faults without input"),
    col("majflt", BigInteger, text="Page faults with input"),
    col("inblock", BigInteger, text="Blocks read"),
    col("oublock", BigInteger, text="Blocks written"),
    col("nvcsw", BigInteger, text="Voluntary context switches"),
    col("nivcsw", BigInteger, text="Involuntary context switches"),
    Index("ix_pfw_exec_wrapper", "pfw_wrapper_task_id"),
    comment="A program or function that a wrapper ran, with its version and use of the machine",
)

pfw_data_query = Table(
    "pfw_data_query",
    metadata,
    col("pfw_attempt_id", Integer, ForeignKey("pfw_attempt.id"), primary_key=True, text="Attempt"),
    col("modname", String(48), primary_key=True, text="Module"),
    col("dataname", String(48), primary_key=True, text="Name of the file set"),
    col("query", Text, text="The query as it was asked"),
    col("nfound", Integer, text="Files found"),
    comment="Queries for inputs that planning asked",
)

pfw_planned_exposure = Table(
    "pfw_planned_exposure",
    metadata,
    col("pfw_attempt_id", Integer, ForeignKey("pfw_attempt.id"), primary_key=True, text="Attempt"),
    col("expnum", Integer, primary_key=True, autoincrement=False, text="Exposure number", ucd="meta.id;obs.exposure"),
    col("own", Boolean, text="Whether the attempt processes just this exposure"),
    Index("ix_pfw_planned_exposure_expnum", "expnum"),
    comment="Exposures whose verdicts and exclusions the plan of an attempt read",
)  # fmt: skip

pfw_omitted_input = Table(
    "pfw_omitted_input",
    metadata,
    col("pfw_attempt_id", Integer, ForeignKey("pfw_attempt.id"), primary_key=True, text="Attempt"),
    col("desfile_id", Integer, ForeignKey("desfile.id"), primary_key=True, text="File that it did not take"),
    col(
        "ccdnum", Integer, primary_key=True, autoincrement=False,
        text="CCD that was left out of a file of several; 0: the whole file", ucd="meta.id;instr.det",
    ),
    col("expnum", Integer, nullable=True, text="Exposure number", ucd="meta.id;obs.exposure"),
    col("reason", Text, text="Why: excluded, rejected, not assessed, or another image of the exposure is better"),
    comment="Images that match an attempt's queries and that planning left out, each with the reason",
)  # fmt: skip
