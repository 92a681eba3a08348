"""The schema version that this program works with."""

from __future__ import annotations

__all__ = ["HEAD"]

#: Revision of the newest migration; a test holds it against ``migrations/versions``.
HEAD = "0013"
