"""Files and runs under a release whose newest mark of a person says that they are defective."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sqlalchemy import Connection

from desdm.archive.store import defective_attempts, defective_files
from desdm.archive.unsound import defect_spread
from desdm.release.contents import Contents, again
from desdm.release.findings import Check, correction, failed
from desdm.release.withdrawn import Withdrawn

__all__ = ["check_defects"]


def check_defects(
    conn: Connection,
    contents: Contents,
    withdrawn: Mapping[int, Withdrawn],
    release: str,
    *,
    published: bool = False,
) -> Iterator[Check]:
    """Check that no file of a release is defective, or was made from one that is.

    Parameters
    ----------
    conn
        Connection.
    contents
        What the files of the release were made from.
    withdrawn
        Runs that are JUNK or PRUNED, which another check names.
    release
        Name of the release.
    published
        Whether it is published, so that only a point release can correct it.
    """
    defects = defective_files(conn, sorted(contents.ancestors))
    attempts = {f.attempt_id for f in contents.ancestors.values() if f.attempt_id is not None}
    marks = defective_attempts(conn, sorted(attempts.difference(withdrawn)))
    for file in contents.ancestors.values():
        if file.attempt_id in marks:
            defects.setdefault(file.id, marks[file.attempt_id])
    if not defects:
        return
    edges = [(child, parent) for child, parents in contents.parents.items() for parent in parents]
    spread = defect_spread(conn, defects, edges)
    for number, path in sorted(contents.files.items(), key=lambda item: item[1]):
        chain = spread.chain(number)
        if chain:
            defect = defects[chain[-1]]
            name = contents.ancestors[chain[-1]].name
            relation = "it is" if len(chain) == 1 else f"it was made from {name}, which is"
            text = " <- ".join(contents.ancestors[n].name for n in chain)
            # A plan leaves the defective file out: what was made from it is made again, not the file itself.
            repeated = chain[:-1] or chain
            advice = correction(release) if published else again(conn, contents, repeated)
            yield failed("marks", path, f"{relation} {defect.text}; path: {text}; {advice}")
