"""Find the inputs of a run: the query of a file set, within the run's scope, with the rules of assessment."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from desdm.archive import catalog, store
from desdm.archive.catalogfile import CatalogFile, FileIdentity
from desdm.archive.model import Scope
from desdm.archive.withheld import withheld
from desdm.config import Config
from desdm.errors import UsageError
from desdm.framework.sections import Settings, section
from desdm.quality.qa.selection import (
    AssessmentPolicy,
    Omitted,
    companions,
    drop_excluded,
    omissions,
    replaced,
    select_images,
)
from desdm.schema.states import RunClass

__all__ = ["ASSESSMENT", "InputFinder", "Scopes", "run_class_of", "scopes_of"]

#: Keys of a query that this module answers: which exposures may be used, and whose companions the files are.
ASSESSMENT, COMPANION = "assessment", "companion_of"
#: Reasons that a message names.
_REASONS = 4


@dataclass(frozen=True, slots=True)
class Scopes:
    """Where a run looks for its inputs.

    Attributes
    ----------
    inputs
        For images and catalogues: the run's own project and campaign. Production sees ``survey`` attempts only; a trial
        sees those of its own class first, then production.
    calibrations
        For calibrations, in this order: the run's own scope, then the installation's production.
    """

    inputs: Scope
    calibrations: tuple[Scope, ...]


def run_class_of(run: Settings) -> RunClass:
    """Return the run class of a run's settings; `UsageError` if there is no such class."""
    value = str(run.get("run_class") or RunClass.SURVEY.value).strip().lower()
    try:
        return RunClass(value)
    except ValueError as err:
        names = ", ".join(c.value for c in RunClass)
        raise UsageError(f"run_class = {value}: not a run class; there are {names}") from err


def scopes_of(config: Config, run: Settings) -> Scopes:
    """Return the scopes of a run.

    Section ``inputs`` of the settings (``--set inputs.campaign=Y5A1``) says otherwise: ``project``, ``campaign`` and
    ``run_class`` (a comma list); the value ``any`` takes every one.
    """
    project = str(run.get("project") or config.project)
    campaign = str(run.get("campaign") or config.campaign)
    run_class = run_class_of(run)
    classes: tuple[RunClass, ...] = (
        (run_class,) if run_class is RunClass.SURVEY else (run_class, RunClass.SURVEY)
    )
    other = section(run, "inputs")
    unknown = sorted(set(other) - {"project", "campaign", "run_class"})
    if unknown:
        raise UsageError(
            f"inputs.{unknown[0]} is not a setting; known: inputs.project, inputs.campaign, inputs.run_class"
        )
    named = str(other.get("run_class", "")).strip().lower()
    if named == "any":
        classes = (run_class, *(c for c in reversed(RunClass) if c is not run_class))
    elif named:
        classes = tuple(dict.fromkeys(run_class_of({"run_class": part}) for part in named.split(",")))
    scope = Scope(_or_any(other.get("project"), project), _or_any(other.get("campaign"), campaign), classes)
    production = Scope(config.project, config.campaign)
    return Scopes(scope, (scope,) if scope == production else (scope, production))


def _or_any(value: object, default: str) -> str:
    """The value of a setting; ``any`` is the empty text."""
    text = str(value or default).strip()
    return "" if text.lower() == "any" else text


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a query found, and what it left out, by file and CCD."""

    query: Mapping[str, str]
    files: list[CatalogFile]
    omitted: Mapping[tuple[int, int], Omitted]


@dataclass(slots=True)
class InputFinder:
    """Answers the queries of one submission; files that it omits are listed in ``omitted``.

    Attributes
    ----------
    own
        Exposure that the submission processes by itself: its exclusion does not keep it from being looked at anew.
    """

    conn: Connection
    scope: Scope
    own: int | None = None
    omitted: dict[tuple[int, int], Omitted] = field(default_factory=dict)
    _answers: dict[str, _Answer] = field(default_factory=dict)

    def find(self, query: Mapping[str, str], images: Sequence[CatalogFile] = ()) -> list[CatalogFile]:
        """Return the files of a query.

        Parameters
        ----------
        query
            As of `desdm.archive.catalog.find`; further ``assessment`` (see `AssessmentPolicy`), which also takes the best
            image of each exposure, and ``companion_of``.
        images
            The images whose companions are wanted.
        """
        files = self._answer(query).files
        return companions(files, images) if COMPANION in query else files

    def _answer(self, query: Mapping[str, str]) -> _Answer:
        """Ask a query once."""
        text = repr(sorted(query.items()))
        if text not in self._answers:
            answer = self._ask(query)
            self.omitted |= answer.omitted
            self._answers[text] = answer
        return self._answers[text]

    def _ask(self, query: Mapping[str, str]) -> _Answer:
        """Find the files of a query that may be used."""
        policy = query.get(ASSESSMENT, "")
        catalogue_query = _of_catalogue(query)
        sound, spoiled = catalog.find_sound(self.conn, catalogue_query, self.scope, replaced=bool(policy))
        subjects = {file.subject for file in sound}
        faulty: list[tuple[FileIdentity, str]] = [one for one in spoiled if one[0].subject in subjects]
        spoiled = [one for one in spoiled if one[0].subject not in subjects]
        omitted = _by_file(_omitted(file, reason) for file, reason in spoiled if policy or not sound)
        if not policy:
            # Others of a kind serve in place of what is defective, which is listed all the same.
            marked = store.defective_files(self.conn, [file.id for file, _ in (*faulty, *spoiled)])
            omitted |= _by_file(_omitted(file, why) for file, why in (*faulty, *spoiled) if file.id in marked)
            selection = drop_excluded(self.conn, sound, self.own)
            return _Answer(query, selection.files, omitted | _by_file(selection.omitted))
        selection = select_images(self.conn, sound, policy_of(policy), self.scope)
        omitted |= _by_file(selection.omitted)
        unseen: list[Omitted] = []
        for one in withheld(self.conn, catalogue_query, self.scope):
            if one.file.subject in subjects:
                faulty.append((one.file, one.reason))
            else:
                unseen.append(_omitted(one.file, one.reason))
        # The first reason that is known of a file stands.
        for left_out in (*unseen, *replaced(self.conn, faulty, selection.files, self.scope)):
            omitted.setdefault((left_out.desfile_id, left_out.ccdnum), left_out)
        return _Answer(query, selection.files, omitted)

    def find_named(self, filename: str, scope: Scope | None) -> tuple[list[CatalogFile], bool]:
        """Return the files of a name (or one with ``%``), and whether others of it are omitted: they must not be used."""
        sound, spoiled = catalog.find_sound(self.conn, {"filename": filename}, scope)
        selection = drop_excluded(self.conn, sound, self.own)
        self.omitted |= _by_file(_omitted(file, reason) for file, reason in spoiled)
        self.omitted |= _by_file(selection.omitted)
        return selection.files, bool(spoiled) or len(selection.files) < len(sound)

    def describe_excluded(self, query: Mapping[str, str]) -> str:
        """Say how many files a query without result has beyond the scope and the rules; empty: none."""
        answer = self._answer(query)
        if tag := self._missing_tag(query):
            return f"; there is no tag {tag}, see: desdm tag"
        if answer.omitted:
            return _describe_reasons(answer.omitted.values())
        sound, spoiled = catalog.find_sound(self.conn, _of_catalogue(query))
        if spoiled and not sound:
            return f"; {len(spoiled)} files that fit must not be used: {spoiled[0][1]}"
        count = len(sound)
        if not count:
            return ""
        return (
            f"; {count} files fit outside {self.scope.describe()}: to use them set inputs.project, inputs.campaign or "
            "inputs.run_class"
        )

    def describe_omitted(self) -> str:
        """Describe the tag that is not there, or the omitted files, of the queries so far that have no result."""
        without_result = [answer for answer in self._answers.values() if not answer.files]
        for answer in without_result:
            if tag := self._missing_tag(answer.query):
                return f"; there is no tag {tag}, see: desdm tag"
        omitted: dict[tuple[int, int], Omitted] = {}
        for answer in without_result:
            omitted |= answer.omitted
        return _describe_reasons(omitted.values()) if omitted else ""

    def _missing_tag(self, query: Mapping[str, str]) -> str:
        """The first tag that a query names and that does not exist; empty: none."""
        return catalog.missing_tag(self.conn, query["tag"]) if "tag" in query else ""


def _of_catalogue(query: Mapping[str, str]) -> dict[str, str]:
    """The keys of a query that the catalogue answers."""
    return {key: value for key, value in query.items() if key not in (ASSESSMENT, COMPANION)}


def _omitted(file: FileIdentity, reason: str) -> Omitted:
    """A file that must not be used."""
    return Omitted(file.id, file.filename, file.expnum, file.ccdnum or 0, reason)


def _by_file(omitted: Iterable[Omitted]) -> dict[tuple[int, int], Omitted]:
    """Omitted files by their identity and CCD."""
    return {(one.desfile_id, one.ccdnum): one for one in omitted}


def _describe_reasons(omitted: Collection[Omitted]) -> str:
    """How many images were left out, by reason."""
    reasons = omissions(omitted)
    more = f"; {len(reasons) - _REASONS} more reasons" if len(reasons) > _REASONS else ""
    words = "; ".join(reasons[:_REASONS])
    count = "1 image was" if len(omitted) == 1 else f"{len(omitted)} images were"
    return f"; {count} left out ({words}{more})"


def policy_of(text: str) -> AssessmentPolicy:
    """Return the policy of a setting's text; `UsageError` if there is none such."""
    try:
        return AssessmentPolicy(text.strip().lower())
    except ValueError as err:
        names = ", ".join(p.value for p in AssessmentPolicy)
        raise UsageError(f"assessment = {text}: known are {names}") from err
