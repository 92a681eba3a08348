"""SQL of releases, and nothing but SQL."""

from __future__ import annotations

from desdm.release.store.catalogue import *  # noqa: F403
from desdm.release.store.filelist import *  # noqa: F403
from desdm.release.store.lifecycle import *  # noqa: F403
from desdm.release.store.notices import *  # noqa: F403
from desdm.release.store.problems import *  # noqa: F403
from desdm.release.store.sources import *  # noqa: F403
