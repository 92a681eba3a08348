"""The archive's SQL, and nothing but SQL: what deposits, queries, provenance and upkeep ask and write."""

from __future__ import annotations

from desdm.archive.store.common import *  # noqa: F403
from desdm.archive.store.defects import *  # noqa: F403
from desdm.archive.store.entry import *  # noqa: F403
from desdm.archive.store.epochs import *  # noqa: F403
from desdm.archive.store.findings import *  # noqa: F403
from desdm.archive.store.provenance import *  # noqa: F403
from desdm.archive.store.search import *  # noqa: F403
from desdm.archive.store.standing import *  # noqa: F403
from desdm.archive.store.superseding import *  # noqa: F403
from desdm.archive.store.suspects import *  # noqa: F403
from desdm.archive.store.unsound import *  # noqa: F403
from desdm.archive.store.upkeep import *  # noqa: F403
from desdm.archive.store.withheld import *  # noqa: F403
