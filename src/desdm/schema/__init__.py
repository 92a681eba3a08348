"""Every table once, with text, unit and UCD; the migrations; and the question whether a database is current."""

from __future__ import annotations

from desdm.schema.calibrations import exclude_list, ops_epoch, ops_epoch_inputs_per_band, pfw_calibration
from desdm.schema.columns import metadata
from desdm.schema.evaluation import EVALUATIONS, finalcut_eval, firstcut_eval, zeropoint
from desdm.schema.events import coaddtile_geom, event
from desdm.schema.filemeta import METADATA_TABLES, calibration, catalog, image, miscfile
from desdm.schema.files import (
    desfile,
    file_archive_info,
    file_tag,
    file_trash,
    opm_used,
    opm_was_derived_from,
    opm_was_generated_by,
    ops_archive,
    ops_filetype,
    ops_proctag_def,
    proctag,
)
from desdm.schema.quality import (
    ops_message_filter,
    ops_message_ignore,
    ops_message_pattern,
    qa_metric,
    task_message,
)
from desdm.schema.runs import (
    ops_data_state_def,
    ops_state_change,
    pfw_attempt,
    pfw_attempt_label,
    pfw_attempt_val,
    pfw_block,
    pfw_data_query,
    pfw_exec,
    pfw_job,
    pfw_request,
    pfw_unit,
    pfw_wrapper,
    task,
)
from desdm.schema.states import AttemptState, CopyState, DataState, JobState, WrapperState

__all__ = [
    "EVALUATIONS",
    "METADATA_TABLES",
    "AttemptState",
    "CopyState",
    "DataState",
    "JobState",
    "WrapperState",
    "calibration",
    "catalog",
    "coaddtile_geom",
    "desfile",
    "event",
    "exclude_list",
    "file_archive_info",
    "file_tag",
    "file_trash",
    "finalcut_eval",
    "firstcut_eval",
    "image",
    "metadata",
    "miscfile",
    "opm_used",
    "opm_was_derived_from",
    "opm_was_generated_by",
    "ops_archive",
    "ops_data_state_def",
    "ops_epoch",
    "ops_epoch_inputs_per_band",
    "ops_filetype",
    "ops_message_filter",
    "ops_message_ignore",
    "ops_message_pattern",
    "ops_proctag_def",
    "ops_state_change",
    "pfw_attempt",
    "pfw_attempt_label",
    "pfw_attempt_val",
    "pfw_block",
    "pfw_calibration",
    "pfw_data_query",
    "pfw_exec",
    "pfw_job",
    "pfw_request",
    "pfw_unit",
    "pfw_wrapper",
    "proctag",
    "qa_metric",
    "task",
    "task_message",
    "zeropoint",
]
