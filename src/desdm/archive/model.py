"""Records of the archive: a file, a deposit, and its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from desdm.errors import DesdmError
from desdm.schema.states import RunClass
from desdm.survey.findings import Finding

if TYPE_CHECKING:
    from desdm.archive.flight import Flight

__all__ = ["Deposit", "DepositReport", "FileRecord", "Place", "Refusal", "Registered", "Scope", "Staged"]


class FileRecord(NamedTuple):
    """A registered file and where one copy of it lies.

    Attributes
    ----------
    filename, compression
        Name without, and suffix of, compression (``""``, ``.fz`` or ``.gz``).
    filesize
        Bytes.
    sha256, md5sum
        Digests, hexadecimal.
    pfw_attempt_id
        Attempt that produced it, if one did.
    archive_name, path
        Archive that holds the copy, and directory relative to its root.
    """

    id: int
    filename: str
    compression: str
    filetype: str
    filesize: int
    sha256: str
    md5sum: str
    pfw_attempt_id: int | None
    archive_name: str
    path: str
    band: str | None

    @property
    def name(self) -> str:
        """Full name: with compression suffix."""
        return self.filename + self.compression

    @property
    def relpath(self) -> str:
        """Path relative to the archive's root."""
        return f"{self.path}/{self.name}" if self.path else self.name


@dataclass(frozen=True, slots=True)
class Scope:
    """The attempts whose files a query may return; files that no attempt produced are always in scope.

    Attributes
    ----------
    project, campaign
        Of the attempts' request; empty: any.
    run_classes
        Run classes in the order of preference: of files that two classes have, that of the first counts.
    """

    project: str
    campaign: str
    run_classes: tuple[RunClass, ...] = (RunClass.SURVEY,)

    def describe(self) -> str:
        """Return words for messages: ``project OPS, campaign Y6A1, run class survey``."""
        classes = " or ".join(c.value for c in self.run_classes)
        return f"project {self.project or 'any'}, campaign {self.campaign or 'any'}, run class {classes}"


@dataclass(frozen=True, slots=True)
class Deposit:
    """A file that is to be deposited.

    Attributes
    ----------
    source
        Where it lies now.
    filetype
        Its type; empty: to be recognised.
    filename
        Name in the archive, with compression suffix; empty: that of ``source``.
    directory
        Relative directory in the archive; empty: the file type's own.
    metadata
        Columns of the type's metadata table; they overrule what the header says.
    parents
        Names, or numbers as text, of the files that it was derived from.
    task_id
        Task that produced it.
    pfw_attempt_id
        Attempt that produced it.
    move
        The source may be moved instead of copied when it lies on the archive's file system. A re-run that
        finds the source gone and the file in its place goes on from there; for this ``filetype`` and
        ``directory`` is required.
    """

    source: Path
    filetype: str = ""
    filename: str = ""
    directory: str = ""
    metadata: Mapping[str, object] = field(default_factory=dict)
    parents: tuple[str, ...] = ()
    task_id: int | None = None
    pfw_attempt_id: int | None = None
    move: bool = False


class Place(Enum):
    """Where the bytes of a staged file are."""

    STAGED = "ours are staged, without a final name yet"
    PUBLISHED = "this deposit put them under their final name"
    FOUND = "they stood under their final name already"
    CLASH = "other bytes stand under the final name; ours are still staged"


@dataclass(slots=True)
class Staged:
    """A file whose bytes are safe on the archive's disk, and that is not registered yet."""

    item: Deposit
    filename: str
    compression: str
    filetype: str
    table: str
    filesize: int
    sha256: str
    md5sum: str
    metadata: dict[str, object]
    directory: str
    temporary: Path
    place: Place
    findings: tuple[Finding, ...]
    #: a further delivery of this type may carry the same name with other bytes, and is renamed
    names_repeat: bool
    #: number of the inode that holds the bytes: what stands under the name later may be another's
    inode: int = 0
    #: the source itself was moved here, it has no other copy
    moved: bool = False
    #: keeps audits from taking the file for an orphan while its registration is under way
    flight: Flight | None = None

    @property
    def name(self) -> str:
        """Full name: with compression suffix."""
        return self.filename + self.compression

    @property
    def relpath(self) -> str:
        """Final path relative to the archive's root."""
        return f"{self.directory}/{self.name}" if self.directory else self.name


class Refusal(NamedTuple):
    """A file that was not taken: its path, the reason in words, and the typed error."""

    path: str
    reason: str
    error: DesdmError


class Registered(NamedTuple):
    """What `register` did: files newly registered, files that were there already, files refused."""

    records: list[FileRecord]
    present: list[FileRecord]
    refused: list[Refusal]


@dataclass(slots=True)
class DepositReport:
    """What a deposit did, over all its transactions.

    ``findings`` are (file name, finding) pairs of what is odd but no reason to refuse.
    """

    registered: list[FileRecord] = field(default_factory=list)
    present: list[FileRecord] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    findings: list[tuple[str, Finding]] = field(default_factory=list)
