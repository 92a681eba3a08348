"""The steps by which a release is built from its selection; this is their table of contents."""

from __future__ import annotations

from desdm.release.steps import Step

__all__ = ["STEPS"]

#: In this order. A new step is a file ``release/<name>.py`` with ``make(context) -> list[Made]``, and its line here.
STEPS: tuple[Step, ...] = ()
