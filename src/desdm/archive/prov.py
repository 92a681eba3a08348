"""A file's history as W3C PROV-JSON (member submission of 24 April 2013)."""

from __future__ import annotations

from typing import Any

from desdm.archive.provenance import Lineage, Task

__all__ = ["prov_json"]

_PREFIX = {"desdm": "urn:desdm:", "xsd": "http://www.w3.org/2001/XMLSchema#"}


def prov_json(lineage: Lineage) -> dict[str, Any]:
    """The lineage as a PROV-JSON document.

    Files are entities, tasks activities, the programs that tasks ran software agents by name and version, with
    whom the activities were associated. Identifiers are numbers of the catalogue; names stand as ``prov:label``,
    since a file name need not be a qualified name.
    """
    document: dict[str, Any] = {"prefix": dict(_PREFIX), "entity": {}}
    for file in lineage.files:
        document["entity"][f"desdm:file.{file.id}"] = {
            "prov:label": file.name,
            "prov:type": file.filetype,
            "desdm:sha256": file.sha256,
            "desdm:filesize": {"$": str(file.filesize), "type": "xsd:long"},
        }
    agents: dict[tuple[str, str], str] = {}
    for task in lineage.tasks:
        activity = f"desdm:task.{task.id}"
        document.setdefault("activity", {})[activity] = _activity(task)
        for program in dict.fromkeys((e.name, e.version) for e in task.execs):
            agent = agents.setdefault(program, f"desdm:software.{len(agents) + 1}")
            associations = document.setdefault("wasAssociatedWith", {})
            associations[f"_:a{len(associations) + 1}"] = {"prov:activity": activity, "prov:agent": agent}
    for (name, version), agent in agents.items():
        document.setdefault("agent", {})[agent] = {
            "prov:type": {"$": "prov:SoftwareAgent", "type": "prov:QUALIFIED_NAME"},
            "prov:label": f"{name} {version}",
            "desdm:name": name,
            "desdm:version": version,
        }
    for edge in lineage.edges:
        _edge(document, edge.kind, edge.origin, edge.to)
    return document


def _activity(task: Task) -> dict[str, Any]:
    """Return a task as an activity of a PROV document."""
    activity: dict[str, Any] = {"prov:label": task.name}
    for key, when in (("prov:startTime", task.start_time), ("prov:endTime", task.end_time)):
        if when is not None:
            activity[key] = when.isoformat(timespec="microseconds") + "Z"
    for key in ("module", "wrapper", "wrapkeys", "attempt", "exec_host"):
        value = getattr(task, key)
        if value:
            activity[f"desdm:{key}"] = value
    if task.status is not None:
        activity["desdm:status"] = {"$": str(task.status), "type": "xsd:int"}
    return activity


def _edge(document: dict[str, Any], kind: str, origin: int, to: int) -> None:
    """Add a relation between a file and a task, or between two files, to a PROV document."""
    file, task = "desdm:file.{}".format, "desdm:task.{}".format
    name, letter, row = {
        "used": ("used", "u", {"prov:activity": task(origin), "prov:entity": file(to)}),
        "was_generated_by": ("wasGeneratedBy", "g", {"prov:entity": file(origin), "prov:activity": task(to)}),
        "was_derived_from": (
            "wasDerivedFrom",
            "d",
            {"prov:generatedEntity": file(origin), "prov:usedEntity": file(to)},
        ),
    }[kind]
    rows = document.setdefault(name, {})
    rows[f"_:{letter}{len(rows) + 1}"] = row
