"""The command line: one file a command; this is its table of contents."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["COMMANDS", "Entry"]


class Entry(NamedTuple):
    """A command: its name, its section in ``--help``, and its description."""

    name: str
    section: str
    text: str


#: A new command is a file ``cli/<name>.py`` with ``command`` in it, and its line here.
COMMANDS: tuple[Entry, ...] = (
    Entry("init", "Installation", "Make an installation: settings, database and archive."),
    Entry("doctor", "Installation", "Check an installation, and say what to do about what is wrong."),
    Entry("ingest", "Archive", "Register files and folders of files."),
    Entry("dts", "Archive", "Deliveries of the telescope: accept, watch, expected and arrived, quarantine."),
    Entry("files", "Archive", "List files by attempt, type, band or tag."),
    Entry("lineage", "Archive", "What a file came from, and what came from it."),
    Entry("fetch", "Archive", "Copy files out of the archive, verified."),
    Entry("audit", "Archive", "Re-read the archive and report every file that is not as registered."),
    Entry("tag", "Archive", "Tag files or attempts; list tags."),
    Entry("delete", "Archive", "Delete files: shows its plan first, recoverable for a time."),
    Entry("pipeline", "Runs", "List pipelines, show one, write one as submit WCL."),
    Entry("tile", "Runs", "Tiles of the sky by name, for submit WCLs."),
    Entry("submit", "Runs", "Plan and run a pipeline or a submit WCL."),
    Entry("status", "Runs", "Where runs stand."),
    Entry("show", "Runs", "One run in full: blocks, jobs, wrappers, messages."),
    Entry("compare", "Runs", "What differs between two runs."),
    Entry("log", "Runs", "Logs of a run, or their messages."),
    Entry("history", "Runs", "What was run, when, by whom, and how it ended."),
    Entry("events", "Runs", "Every act with author, time, subject and reason."),
    Entry("logbook", "Runs", "Entries of people and all acts in one order; write an entry."),
    Entry("notice", "Runs", "Who is told what by mail, webhook or chat."),
    Entry("resume", "Runs", "Go on with a run at the first module that is not done."),
    Entry("retry", "Runs", "Repeat a run with a reason, as it was or with named changes."),
    Entry("cancel", "Runs", "End a run."),
    Entry("run", "Runs", "What has arrived of a night: calibrations, exposures, verdicts."),
    Entry("queue", "Runs", "The nightly queue: run it, list it, change its order, say why."),
    Entry("night", "Runs", "What became of a night: report and page of plots."),
    Entry("explain", "Quality", "Which calibrations a run uses, and why these."),
    Entry("verdict", "Quality", "Verdicts on exposures, and an analyst's own word."),
    Entry("epoch", "Quality", "Epochs of the camera, and which calibrations serve in them."),
    Entry("exclude", "Quality", "Exposures and CCDs that must not be used."),
    Entry("survey", "Quality", "The survey table: what is accepted of each field, and what is owed."),
    Entry("mark", "Quality", "Bless data or mark them defective: exposures, CCDs, tiles, runs, files."),
    Entry("review", "Quality", "The queue of what people are asked to look at."),
    Entry("qa", "Quality", "QA numbers across runs, and their thresholds."),
    Entry("dispatch", "Quality", "Data sent to working groups with a question, and their answers."),
    Entry("problem", "Quality", "The problem list; what is open holds back what has its subject."),
    Entry("release", "Releases", "Make, fill, check, publish and announce releases."),
    Entry("report", "Looking", "A self-contained page on a run."),
    Entry("quicklook", "Looking", "A picture of any image file, with its mask."),
    Entry("wcl", "Tools", "Read, check, expand and explain Workflow Control Language."),
    Entry("simulate", "Tools", "Nights of known truth: raw files, calibrations and the truth beside them."),
    Entry("demo", "Tools", "The main job on a simulated night, or on a folder of calibrated exposures."),
    Entry("completion", "Tools", "Completion of commands and options for bash, zsh and fish."),
    Entry("serve", "Services", "Serve the published releases: queries, cutouts, files, pages."),
    Entry("sql", "Services", "A shell for queries: completion, answers into files, tables of your own."),
    Entry("footprint", "Services", "Is it inside, how deep, how many exposures: a place, a table, a region."),
    Entry("cutout", "Services", "Cut places, objects or a table of them out of a release's images."),
    Entry("get", "Services", "Download a release or a part of it from a server, verified and resumed."),
    Entry("account", "Services", "People, roles, tokens, data rights, and what was denied."),
)
