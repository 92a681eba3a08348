"""Files that the framework itself makes: logs, WCL, junk tarballs, reports, plots, lists."""

from __future__ import annotations

from desdm.archive.filetypes.filetype import FileType, begins_with

TYPES = (
    FileType("log", "log of a wrapper or a run", "miscfile", r".+\.log", "log"),
    FileType("wcl", "Workflow Control Language of a run or a job", "miscfile", r".+\.(?:wcl|des)", "wcl"),
    FileType(
        "junktar",
        "work folder of a failed job",
        "miscfile",
        r".+\.tar\.gz",
        "junktar",
        begins_with(b"\x1f\x8b"),
    ),
    FileType(
        "report", "page on a run, made for looking", "miscfile", r".+\.html", "report", begins_with(b"<")
    ),
    FileType("plot", "picture made for looking", "miscfile", r".+\.png", "plot", begins_with(b"\x89PNG")),
    FileType("list", "list of files or values", "miscfile", r".+\.(?:txt|list)", "list"),
)
