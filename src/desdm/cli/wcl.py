"""desdm wcl: read, check, expand and explain Workflow Control Language."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from desdm.cli.context import CommandContext, CommandGroup, json_option, pass_command_context
from desdm.errors import WCLError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from desdm.cli.context import JsonValue
    from desdm.wcl import Origin
    from desdm.wcl.explain import Explanation

__all__ = ["command"]

compat_option = click.option("--compat", is_flag=True, help="Read as DESDM's own reader did.")
files_argument = click.argument("files", metavar="FILE…", nargs=-1, required=True, type=click.Path())
file_argument = click.argument("file", type=click.Path())
key_argument = click.argument("key", required=False)


@click.group(cls=CommandGroup)
def command() -> None:
    """Read, check, expand and explain Workflow Control Language."""


@command.command("read")
@files_argument
@compat_option
@json_option
@pass_command_context
def read_command(context: CommandContext, files: tuple[str, ...], compat: bool, as_json: bool) -> None:
    """Read FILEs and write them back, includes taken in, nothing substituted."""
    from desdm.wcl import dumps, read

    documents = {file: read(file, compat=compat) for file in files}
    for document in documents.values():
        for finding in document.warnings:
            click.echo("warning: " + finding.message, err=True)

    def human() -> None:
        for document in documents.values():
            click.echo(dumps(document.tree), nl=False)

    context.show({file: document.tree for file, document in documents.items()}, human, as_json)


@command.command("check")
@files_argument
@compat_option
@json_option
@pass_command_context
@click.pass_context
def check_command(
    ctx: click.Context, context: CommandContext, files: tuple[str, ...], compat: bool, as_json: bool
) -> None:
    """List what is wrong or surprising in FILEs; status 1 if anything is, 2 if one cannot be read."""
    from desdm.wcl import check

    findings: list[dict[str, str | int | None]] = []
    status = 0
    for file in files:
        warnings, err = check(file, compat=compat)
        severity = "warning" if compat else "error"
        findings += [
            {
                "file": finding.file,
                "line": finding.line,
                "severity": severity,
                "kind": finding.kind.name.lower(),
                "message": f"{finding.kind.value}: {finding.text}",
            }
            for finding in warnings
        ]
        if err is not None:
            status = 2
            findings.append(
                {
                    "file": err.file or file,
                    "line": err.line,
                    "severity": "error",
                    "kind": "unreadable",
                    "message": err.message,
                }
            )

    def human() -> None:
        for finding in findings:
            line = "" if finding["line"] is None else f":{finding['line']}"
            click.echo(f"{finding['file']}{line}: {finding['severity']}: {finding['message']}")
        if not findings:
            click.echo(f"{len(files)} file{'s' if len(files) > 1 else ''} clean")

    context.show({"files": list(files), "findings": findings}, human, as_json)
    ctx.exit(status or (1 if findings else 0))


@command.command("expand")
@file_argument
@key_argument
@compat_option
@json_option
@pass_command_context
@click.pass_context
def expand_command(
    ctx: click.Context, context: CommandContext, file: str, key: str | None, compat: bool, as_json: bool
) -> None:
    """Substitute the values of FILE, or of KEY in it (a.b.c); lists give one value per combination.

    Values known only at run time cannot be substituted here: they are named, and the status is 1.
    """
    from desdm.wcl import Resolver, read
    from desdm.wcl.explain import paths_of, scope_of

    document = read(file, compat=compat)
    resolver = Resolver(document.tree, compat=compat)
    values: dict[str, list[str]] = {}
    problems: dict[str, str] = {}
    for path, value in paths_of(document, key):
        current, searchobj, _ = scope_of(document.tree, path)
        try:
            expansions = resolver.expand(value, current=current, searchobj=searchobj)
        except WCLError as err:
            problems[".".join(path)] = err.message
        else:
            values[".".join(path)] = [expansion.value for expansion in expansions]

    def human() -> None:
        for name, expansions in values.items():
            for expansion in expansions:
                click.echo(f"{name} = {expansion}")
        for name, problem in problems.items():
            click.echo(f"{name}: {problem}", err=True)

    context.show({"file": file, "values": values, "unresolved": problems}, human, as_json)
    ctx.exit(1 if problems else 0)


@command.command("explain")
@file_argument
@key_argument
@compat_option
@json_option
@pass_command_context
def explain_command(context: CommandContext, file: str, key: str | None, compat: bool, as_json: bool) -> None:
    """Say which line gave the value of KEY, what it overrode, and where its references came from."""
    from desdm.wcl import read
    from desdm.wcl.explain import explain

    explanations = list(explain(read(file, compat=compat), key, compat=compat))
    context.show(
        {"file": file, "keys": [_explanation_document(explanation) for explanation in explanations]},
        lambda: _print_explanations(explanations),
        as_json,
    )


def _origin_document(origin: Origin | None) -> Mapping[str, JsonValue] | None:
    """Return the JSON document of an origin."""
    return None if origin is None else {"file": origin.file, "line": origin.line, "value": origin.value}


def _explanation_document(explanation: Explanation) -> Mapping[str, JsonValue]:
    """Return the JSON document of an explanation."""
    history = [] if explanation.origin is None else list(explanation.origin.history())
    return {
        "key": explanation.key,
        "value": explanation.value,
        "file": history[0].file if history else None,
        "line": history[0].line if history else None,
        "overrode": [_origin_document(origin) for origin in history[1:]],
        "resolved": explanation.resolved,
        "problem": explanation.problem,
        "references": [
            {
                "name": reference.name,
                "value": reference.value,
                "scope": reference.scope,
                "file": reference.origin.file if reference.origin else None,
                "line": reference.origin.line if reference.origin else None,
            }
            for reference in explanation.used
        ],
    }


def _print_explanations(explanations: Iterable[Explanation]) -> None:
    """Print explanations as text."""
    for explanation in explanations:
        click.echo(f"{explanation.key} = {explanation.value}")
        for at, origin in enumerate(() if explanation.origin is None else explanation.origin.history()):
            click.echo(f"    {origin.file}:{origin.line}" if at == 0 else _overridden_line(origin))
        for reference in explanation.used:
            origin_text = f", {reference.origin.file}:{reference.origin.line}" if reference.origin else ""
            text = (
                f"{reference.value}  ({reference.scope}{origin_text})" if reference.scope else "no value here"
            )
            click.echo(f"    ${{{reference.name}}} = {text}")
        if explanation.problem is not None:
            click.echo(f"    unresolved: {explanation.problem}")
        elif explanation.used:
            click.echo(f"    = {explanation.resolved}")


def _overridden_line(origin: Origin) -> str:
    """Return the line of an overridden value."""
    return f"    overrode {origin.value}  ({origin.file}:{origin.line})"
