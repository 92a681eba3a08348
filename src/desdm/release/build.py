"""Build a release from its selection, step by step; this is the table of contents of the steps."""

from __future__ import annotations

from collections.abc import Sequence

from desdm.release import footprint, hips, images, manifest, store, tables
from desdm.release.steps import BuildContext, BuiltFile, Step

__all__ = ["STEPS", "build"]

#: In this order. A new step is a file ``release/<name>.py`` with ``make(context) -> list[BuiltFile]``, and its line here.
STEPS: tuple[Step, ...] = (
    Step("tables", tables.make),
    Step("images", images.make),
    Step("footprint", footprint.make),
    Step("hips", hips.make),
)


def build(context: BuildContext, steps: Sequence[Step] = STEPS) -> list[BuiltFile]:
    """Run the steps and enter their files, each with size and digest; the draft then holds these and no others."""
    built: list[BuiltFile] = []
    for step in steps:
        context.progress(step.name)
        built += step.make(context)
    paths = {file.path for file in built}
    rest = manifest.list_files(path for path in manifest.on_disk(context.root) if path not in paths)
    rows = manifest.measure(context.root, context.release, [*built, *rest])
    with context.database.write() as conn:
        store.replace_files(conn, context.release, rows)
    return built
