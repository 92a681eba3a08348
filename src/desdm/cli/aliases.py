"""Words that people try before they have read the help: what they do here, or what to do instead."""

from __future__ import annotations

import re

import click

__all__ = ["ALIASES", "HINTS", "advice"]

#: Word → the command, with arguments, that it stands for.
ALIASES: dict[str, tuple[str, ...]] = {
    "ls": ("files",),
    "list": ("files",),
    "runs": ("status",),
    "jobs": ("status",),
    "ps": ("status",),
    "logs": ("log",),
    "stop": ("cancel",),
    "kill": ("cancel",),
    "query": ("sql",),
    "shell": ("sql",),
    "tables": ("sql", "-q", "-c", "find_tables"),
    "download": ("get",),
    "web": ("serve",),
    "server": ("serve",),
    "users": ("account", "list"),
    "accounts": ("account", "list"),
    "releases": ("release", "list"),
    "tags": ("tag",),
    "problems": ("problem", "list"),
    "pipelines": ("pipeline", "list"),
    "verdicts": ("verdict",),
}
#: Word → what to do instead.
HINTS: dict[str, str] = {
    "config": "settings of the installation are in its desdm.toml; those of a run: desdm show RUN --configuration",
    "settings": "settings of the installation are in its desdm.toml; those of a run: desdm show RUN --configuration",
    "info": "of a run: desdm show RUN; of a file: desdm lineage FILE; of all runs: desdm status",
    "check": "files: desdm audit; a release: desdm release validate NAME",
    "rm": "desdm delete FILE",
    "remove": "desdm delete FILE",
    "cp": "desdm fetch FILE --to FOLDER",
    "copy": "desdm fetch FILE --to FOLDER",
    "start": "a run: desdm submit PIPELINE; a night: desdm run night YYYYMMDD; the server: desdm serve",
    "retry": "desdm resume RUN; a new attempt: desdm submit PIPELINE --again",
    "restart": "desdm resume RUN; a new attempt: desdm submit PIPELINE --again",
    "login": "no login is needed at one's own installation; for a server: --token, or DESDM_TOKEN",
    "upgrade": "desdm init FOLDER --upgrade",
    "publish": "desdm release publish NAME",
    "night": "desdm run night YYYYMMDD",
    "process": "a run: desdm submit PIPELINE; a night: desdm run night YYYYMMDD",
    "reduce": "a run: desdm submit PIPELINE; a night: desdm run night YYYYMMDD",
    "coadd": "desdm submit coadd",
    "whoami": "to this installation you are the operator of its desdm.toml; to a server: desdm sql --url URL -c whoami",
    "search": "files: desdm files --query KEY=VALUE; places: desdm footprint RA DEC; tables: desdm sql",
    "find": "files: desdm files --query KEY=VALUE; places: desdm footprint RA DEC; tables: desdm sql",
    "exposures": "with verdicts: desdm verdict; their files: desdm files --query expnum=NUMBER",
    "exposure": "with verdicts: desdm verdict NUMBER; its files: desdm files --query expnum=NUMBER",
    "metrics": "desdm show RUN --metrics",
    "plot": "desdm report RUN, or desdm quicklook FILE",
}

#: Command and word (a command of a group, an option) that it does not have → what is meant.
_WORDS: dict[tuple[str, str], str] = {
    ("release", "notes"): "desdm release show NAME tells of a release; its pages are those of desdm serve",
    ("release", "delete"): "a draft: desdm release discard NAME; a published release stays",
    ("release", "remove"): "a draft: desdm release discard NAME; a published release stays",
    ("release", "info"): "desdm release show NAME",
    ("release", "new"): "desdm release create NAME",
    ("release", "make"): "desdm release create NAME",
    ("release", "check"): "desdm release validate NAME; a published one: desdm release verify NAME",
    ("tile", "show"): "desdm tile list shows every tile",
    ("tile", "delete"): "a tile stays, for products of it may exist",
    ("tile", "remove"): "a tile stays, for products of it may exist",
    ("problem", "add"): "desdm problem open KIND SUBJECT TEXT",
    ("problem", "new"): "desdm problem open KIND SUBJECT TEXT",
    ("account", "show"): "desdm account list",
    ("account", "delete"): "desdm account disable LOGIN closes one; its tables and jobs stay",
    ("account", "remove"): "desdm account disable LOGIN closes one; its tables and jobs stay",
    ("account", "create"): "desdm account add LOGIN",
    ("verdict", "--night"): "desdm verdict lists every exposure, desdm verdict NUMBER one",
    ("verdict", "--nite"): "desdm verdict lists every exposure, desdm verdict NUMBER one",
}
#: Command that takes no (further) argument → what is meant by one.
_EXTRA = {
    "sql": "pass a query with -c TEXT, a file of queries with -l FILE",
    "files": "of a type: --filetype TYPE; of a run: --attempt RUN; one file: desdm lineage NAME",
    "status": "one run: desdm show RUN",
    "history": "of one run: --where run=RUN",
    "events": "of a run, exposure or file: --subject NAME",
    "doctor": "another installation: desdm --home DIR doctor",
    "audit": "desdm audit reads the whole archive; a release: desdm release verify NAME",
    "cutout": "give RA DEC, or --id, or --table",
    "footprint": "give RA DEC, or --region, or --table",
    "verdict": "one exposure only; --set True or --set False gives a verdict",
    "exclude": "one exposure only; a CCD of it: --ccd NUMBER",
}
_NIGHT = re.compile(r"\d{8}|\d{4}-\d\d-\d\d")


def advice(err: click.UsageError) -> str:
    """Return the probable meaning of an unknown word, option or argument; empty if there is none."""
    name = err.ctx.info_name if err.ctx is not None and err.ctx.info_name else ""
    match = re.match(r"No such (?:command|option):? '?(.+?)'?\.(?:\s|$)", err.message)
    if match:
        word = match[1]
        if name == "run" and _NIGHT.fullmatch(word):
            return f"desdm run night {word.replace('-', '')}"
        if (name, word) in _WORDS:
            return _WORDS[name, word]
        group = err.ctx.command if err.ctx is not None else None
        if isinstance(group, click.Group) and err.ctx is not None and not getattr(err, "possibilities", None):
            return f"there are: {', '.join(group.list_commands(err.ctx))}"
        return ""
    return _EXTRA.get(name, "") if err.message.startswith("Got unexpected extra argument") else ""
