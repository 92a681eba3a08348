"""Build a release from its selection, step by step; this is the table of contents of the steps."""

from __future__ import annotations

from collections.abc import Sequence

from desdm.release import footprint, hips, images, manifest, store, tables
from desdm.release.steps import BuildContext, Made, Step

__all__ = ["STEPS", "build"]

#: In this order. A new step is a file ``release/<name>.py`` with ``make(context) -> list[Made]``, and its line here.
STEPS: tuple[Step, ...] = (
    Step("tables", tables.make),
    Step("images", images.make),
    Step("footprint", footprint.make),
    Step("hips", hips.make),
)


def build(context: BuildContext, steps: Sequence[Step] = STEPS) -> list[Made]:
    """Run the steps and enter their files, each with size and digest; the draft then holds these and no others."""
    made: list[Made] = []
    for step in steps:
        context.progress(step.name)
        made += step.make(context)
    known = {one.path for one in made}
    rest = manifest.listed(path for path in manifest.on_disk(context.root) if path not in known)
    rows = manifest.measured(context.root, context.release, [*made, *rest])
    with context.database.write() as conn:
        store.replace_files(conn, context.release, rows)
    return made
