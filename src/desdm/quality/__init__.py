"""Quality: control of logs while they are written (qc), and assessment of data (qa)."""

from __future__ import annotations
