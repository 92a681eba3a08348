"""Detection of artefacts in single pixels of one exposure: cosmic rays, bleed trails, satellites' streaks."""

from __future__ import annotations
