"""A run: its state, modules, messages, numbers, files and plots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TypeVar

from astropy.table import Table
from typing_extensions import override

from desdm.archive.model import FileRecord
from desdm.errors import CorruptFile, NotFoundError
from desdm.facility import Facility
from desdm.look.display import Drawing, Panel, draw_panels
from desdm.look.installation import listed
from desdm.look.numbers import assessed_metrics, named, names_of
from desdm.operations.report.exposures import assessed_exposures
from desdm.operations.report.gather import MessageGroup, Metric, RunFacts, gather
from desdm.operations.report.plots import Figure, metric_figures, residual_figures
from desdm.operations.report.science import UnreadableFile, residuals
from desdm.operations.report.tables import Failure, ModuleRow, failures, modules
from desdm.schema.states import AttemptState, DataState

__all__ = ["Run", "read_run"]

_Read = TypeVar("_Read")


@dataclass(frozen=True)
class Run:
    """A run.

    Attributes
    ----------
    name
        Name of the run.
    pipeline
        Its pipeline.
    state, data_state
        What became of it, and what its data are good for.
    submitted, ended
        Times (UTC); a run that is under way has no end.
    operator
        Who submitted it.
    facts
        Everything that the report on the run is made from.
    """

    name: str
    pipeline: str
    state: AttemptState
    data_state: DataState
    submitted: datetime
    ended: datetime | None
    operator: str
    facts: RunFacts = field(repr=False, compare=False)
    facility: Facility = field(repr=False, compare=False)

    @property
    def standing(self) -> tuple[str, ...]:
        """What stands against the use of its data, in words; empty: nothing."""
        current = self.facts.current
        unfit = (current.unfit,) if current.unfit else ()
        return (*unfit, *current.unsound, *current.rejected, *current.excluded)

    @property
    def modules(self) -> tuple[ModuleRow, ...]:
        """Modules in running order, with their states and times."""
        return tuple(modules(self.facts))

    @property
    def messages(self) -> tuple[MessageGroup, ...]:
        """Messages of the quality controls, the gravest first; those that say the same of different files are one."""
        return tuple(self.facts.groups())

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Jobs that failed, with the end of their logs."""
        return tuple(failures(self.facts))

    @property
    def files(self) -> tuple[FileRecord, ...]:
        """Files that it produced and that are in the archive."""
        return self.facts.files

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        """Numbers of quality assurance, in running order, then those of the CCDs in the assessment."""
        return (*self.facts.metrics, *assessed_metrics(self.facts))

    @property
    def numbers(self) -> Table:
        """All numbers as a table: module, what they are of, band, name, value, unit."""
        rows = [(m.module, m.label, m.band, m.name, m.value, m.unit) for m in self.metrics]
        names = ("module", "of", "band", "name", "value", "unit")
        table = Table(rows=rows or None, names=names, dtype=(str, str, str, str, float, str))
        table["value"].format = ".6g"
        return table

    @property
    def names(self) -> tuple[str, ...]:
        """Names by which `metric` finds numbers."""
        return names_of(self.metrics)

    def metric(self, name: str) -> list[Metric]:
        """Return the numbers of a name; see `desdm.look.numbers.named` for names that several modules have."""
        return named(self.metrics, name, f"run {self.name}")

    def trend(self, name: str) -> Drawing:
        """Draw a number over the images of the run, by band.

        Raises
        ------
        NotFoundError
            No number has the name, or there is one alone, or all are equal.
        """
        figures = [figure for group in metric_figures(self.metric(name)) for figure in group]
        return self.draw(f"{self.name}: {name}", figures, f"different values of {name}")

    def draw(self, title: str, figures: Sequence[Figure], what: str) -> Drawing:
        """Put figures of the run's report into one drawing.

        Parameters
        ----------
        title
            Title of the drawing.
        figures
            The figures.
        what
            What is missing where there are none, for the message.

        Raises
        ------
        NotFoundError
            There are none.
        """
        if not figures:
            kinds = sorted({file.filetype for file in self.files})
            raise NotFoundError(f"run {self.name} has no {what}; its file types: {listed(kinds, 40)}")
        return draw_panels(title, [Panel(one.title, one.text, one.svg, one.bands) for one in figures])

    def residual_figures(self) -> list[Figure]:
        """Return the plots of positions and magnitudes against reference stars."""
        return residual_figures(self._read(residuals))

    def verdict_figures(self) -> tuple[Figure, ...]:
        """Return the plots of the verdict on the exposure: PSF over the field, counts, zero points of the CCDs."""
        return tuple(figure for one in self._read(assessed_exposures) for figure in one.figures)

    def _read(self, read: Callable[[RunFacts, list[UnreadableFile]], _Read]) -> _Read:
        """Read products of the run; a file that cannot be read is an error here, where nobody looks at a page."""
        unread: list[UnreadableFile] = []
        result = read(self.facts, unread)
        if unread:
            raise CorruptFile("; ".join(f"{file.name} cannot be read: {file.why}" for file in unread))
        return result

    @override
    def __str__(self) -> str:
        """Return the run in one line."""
        return f"{self.name}  {self.pipeline}  {self.state.value}  data {self.data_state.value}"


def read_run(facility: Facility, name: str) -> Run:
    """Return a run; see `desdm.look.run`."""
    facts = gather(facility.database, facility.archive, facility.config, name.strip())
    attempt = facts.attempt
    return Run(
        attempt.run,
        attempt.pipeline,
        attempt.state,
        attempt.data_state,
        attempt.submittime,
        attempt.endtime,
        attempt.operator,
        facts,
        facility,
    )
