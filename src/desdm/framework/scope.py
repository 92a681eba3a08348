"""Find the inputs of a run: the query of a file set, within the run's scope, with the rules of assessment."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from desdm.archive import catalog
from desdm.archive.model import Scope
from desdm.archive.withheld import withheld
from desdm.config import Config
from desdm.errors import UsageError
from desdm.framework.plan import Row
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
    _answers: dict[str, list[Row]] = field(default_factory=dict)
    _empty: bool = False
    _missing_tag: str = ""

    def find(self, query: Mapping[str, str], images: Sequence[Row] = ()) -> list[Row]:
        """Return the rows of a query.

        Parameters
        ----------
        query
            As of `desdm.archive.catalog.find`; further ``assessment`` (see `AssessmentPolicy`), which also takes the best
            image of each exposure, and ``companion_of``.
        images
            The images whose companions are wanted.
        """
        policy = query.get(ASSESSMENT, "")
        catalogue_query = {key: value for key, value in query.items() if key not in (ASSESSMENT, COMPANION)}
        text = repr(sorted(query.items()))
        if text not in self._answers:
            sound, spoiled = catalog.find_sound(self.conn, catalogue_query, self.scope, replaced=bool(policy))
            rows: list[Row] = list(sound)
            if not rows and "tag" in query:
                self._missing_tag = catalog.missing_tag(self.conn, query["tag"])
            subjects = {_subject(row) for row in rows}
            faulty: list[tuple[Row, str]] = [one for one in spoiled if _subject(one[0]) in subjects]
            spoiled = [one for one in spoiled if _subject(one[0]) not in subjects]
            if policy or not rows:
                for one_row, reason in spoiled:
                    self._omit(one_row, reason)
            if policy:
                selection = select_images(self.conn, rows, policy_of(policy), self.scope)
                self.omitted |= {(o.desfile_id, o.ccdnum): o for o in selection.omitted}
                for withheld_file in withheld(self.conn, catalogue_query, (), self.scope):
                    row = withheld_file.row
                    if _subject(row) in subjects:
                        faulty.append((row, withheld_file.reason))
                        continue
                    omitted_image = Omitted(
                        int(row["id"]), str(row["filename"]), row["expnum"], _ccd(row), withheld_file.reason
                    )
                    self.omitted.setdefault((omitted_image.desfile_id, omitted_image.ccdnum), omitted_image)
                for one in replaced(self.conn, faulty, selection.rows, self.scope):
                    self.omitted.setdefault((one.desfile_id, one.ccdnum), one)
                rows = selection.rows
                self._empty |= not rows
            else:
                rows = self._drop_excluded(rows)
            self._answers[text] = rows
        rows_of_query = self._answers[text]
        return companions(rows_of_query, images) if COMPANION in query else rows_of_query

    def find_named(self, filename: str, scope: Scope | None) -> tuple[list[Row], bool]:
        """Return the files of a name (or one with ``%``), and whether others of it are omitted: they must not be used."""
        sound, spoiled = catalog.find_sound(self.conn, {"filename": filename}, scope)
        for row, reason in spoiled:
            self._omit(row, reason)
        rows = self._drop_excluded(sound)
        return rows, bool(spoiled) or len(rows) < len(sound)

    def _drop_excluded(self, rows: Sequence[Row]) -> list[Row]:
        """Leave out files of excluded exposures and CCDs, and note them."""
        selection = drop_excluded(self.conn, rows, self.own)
        self.omitted |= {(o.desfile_id, o.ccdnum): o for o in selection.omitted}
        self._empty |= bool(rows) and not selection.rows
        return selection.rows

    def _omit(self, row: Row, reason: str) -> None:
        """Note a file that must not be used."""
        expnum = row.get("expnum")
        exposure = expnum if isinstance(expnum, int) else None
        one = Omitted(int(str(row["id"])), str(row["filename"]), exposure, _ccd(row), reason)
        self.omitted[one.desfile_id, one.ccdnum] = one

    def describe_excluded(self, query: Mapping[str, str]) -> str:
        """Say how many files a query without result has beyond the scope and the rules; empty: none."""
        catalogue_query = {key: value for key, value in query.items() if key not in (ASSESSMENT, COMPANION)}
        if self._missing_tag:
            return f"; there is no tag {self._missing_tag}, see: desdm tag"
        if self.omitted and (query.get(ASSESSMENT) or self._empty):
            return _describe_reasons(self.omitted.values())
        rows, spoiled = catalog.find_sound(self.conn, catalogue_query)
        if spoiled and not rows:
            return f"; {len(spoiled)} files that fit must not be used: {spoiled[0][1]}"
        count = len(rows)
        if not count:
            return ""
        return (
            f"; {count} files fit outside {self.scope.describe()}: to use them set inputs.project, inputs.campaign or "
            "inputs.run_class"
        )

    def describe_omitted(self) -> str:
        """Describe a tag that is not there, or omitted files if a query with rules of assessment has no result."""
        if self._missing_tag:
            return f"; there is no tag {self._missing_tag}, see: desdm tag"
        return _describe_reasons(self.omitted.values()) if self.omitted and self._empty else ""


def _subject(row: Row) -> tuple[object, ...]:
    """Exposure, CCD and band that a file is of: another of the same may stand for it."""
    return row.get("expnum"), row.get("ccdnum"), row.get("band")


def _ccd(row: Row) -> int:
    """The CCD that a file is of; 0: none or several."""
    return int(str(row.get("ccdnum") or 0))


def _describe_reasons(omitted: Collection[Omitted]) -> str:
    """How many images were left out, by reason."""
    reasons = omissions(omitted)
    more = f"; {len(reasons) - _REASONS} more reasons" if len(reasons) > _REASONS else ""
    words = "; ".join(reasons[:_REASONS])
    return f"; {len(omitted)} images were left out ({words}{more})"


def policy_of(text: str) -> AssessmentPolicy:
    """Return the policy of a setting's text; `UsageError` if there is none such."""
    try:
        return AssessmentPolicy(text.strip().lower())
    except ValueError as err:
        names = ", ".join(p.value for p in AssessmentPolicy)
        raise UsageError(f"assessment = {text}: known are {names}") from err
