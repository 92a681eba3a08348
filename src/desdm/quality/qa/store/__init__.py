"""The SQL of quality assessment, and nothing but SQL: verdicts, marks, the review queue, thresholds and dispatches."""

from __future__ import annotations

from desdm.quality.qa.store.desk import *  # noqa: F403
from desdm.quality.qa.store.dispatches import *  # noqa: F403
from desdm.quality.qa.store.marks import *  # noqa: F403
from desdm.quality.qa.store.review import *  # noqa: F403
from desdm.quality.qa.store.thresholds import *  # noqa: F403
from desdm.quality.qa.store.verdicts import *  # noqa: F403
