"""Arguments that name something: exposures by number or name; runs and pipelines, which completion offers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import override

    _NumberType = click.ParamType[int]
    _TextType = click.ParamType[str]
else:
    # Not generic at run time in every version of click.
    _NumberType = _TextType = click.ParamType

    def override(method: object) -> object:
        """Python 3.11 has no typing.override, and importing its stand-in costs what --help may not."""
        return method


__all__ = ["EXPOSURE", "NIGHT", "PIPELINE", "RUN"]

_EXPOSURE = re.compile(r"D?0*(\d{1,9})", re.IGNORECASE)
#: Names that completion offers at most.
_MOST = 200


class _Exposure(_NumberType):
    """The number of an exposure, of ``150029`` or ``D00150029``."""

    name = "expnum"

    @override
    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        match = _EXPOSURE.fullmatch(str(value).strip())
        if match is None:
            self.fail(
                f"{value!r} is not an exposure; give its number or name: 150029 or D00150029", param, ctx
            )
        return int(match[1])


class _Night(_TextType):
    """A night, YYYYMMDD, also of ``2012-11-20``."""

    name = "nite"

    @override
    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from datetime import datetime

        text = str(value).strip()
        digits = text.replace("-", "") if len(text) == len("2012-11-20") else text
        try:
            datetime.strptime(digits if len(digits) == len("20121120") else "", "%Y%m%d")
        except ValueError:
            self.fail(f"{text!r} is not a night; give its date, YYYYMMDD, for instance 20121120", param, ctx)
        return digits


class _Run(_TextType):
    """The name of a run."""

    name = "run"

    @override
    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return names of runs with this prefix, newest first; none without an installation."""
        from desdm.errors import DesdmError
        from desdm.facility import Facility
        from desdm.framework.watch.store import runs

        try:
            facility = Facility.open(ctx.find_root().params.get("home"))
        except DesdmError:
            return []
        try:
            with facility.database.read() as conn:
                return _items((row.run for row in runs(conn, {}, None)), incomplete)
        except DesdmError:
            return []
        finally:
            facility.close()


class _Pipeline(_TextType):
    """The name of a pipeline, or a submit WCL."""

    name = "pipeline"

    @override
    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return names of pipelines; the shell adds files."""
        from desdm.pipelines import PIPELINES

        return _items((p.name for p in PIPELINES), incomplete) or [CompletionItem(incomplete, type="file")]


def _items(names: Iterable[str], incomplete: str) -> list[CompletionItem]:
    """Return the completions that begin with a text."""
    return [CompletionItem(name) for name in names if name.startswith(incomplete)][:_MOST]


EXPOSURE, NIGHT, RUN, PIPELINE = _Exposure(), _Night(), _Run(), _Pipeline()
