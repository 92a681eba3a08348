"""Words that people try before they have read the help: what they do here, or what to do instead."""

from __future__ import annotations

__all__ = ["ALIASES", "HINTS"]

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
    "metrics": "desdm show RUN --metrics",
    "plot": "desdm report RUN, or desdm quicklook FILE",
}
