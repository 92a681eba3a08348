"""What other people's validators say: taplint, votlint, xsdvalidate with the IVOA's schemas."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.support.server import Served

#: Where Debian's stilts keeps the schemas of the IVOA.
_JAR = Path("/usr/share/java/starlink-ttools.jar")
_SCHEMAS = {
    "http://www.ivoa.net/xml/VOSIAvailability/v1.0": "VOSIAvailability-v1.0.xsd",
    "http://www.ivoa.net/xml/VOSICapabilities/v1.0": "VOSICapabilities-v1.0.xsd",
    "http://www.ivoa.net/xml/VOSITables/v1.0": "VOSITables-v1.1.xsd",
    "http://www.ivoa.net/xml/VODataService/v1.1": "VODataService-v1.2.xsd",
    "http://www.ivoa.net/xml/VOResource/v1.0": "VOResource-v1.1.xsd",
    "http://www.ivoa.net/xml/TAPRegExt/v1.0": "TAPRegExt-v1.0-Erratum1.xsd",
    "http://www.ivoa.net/xml/UWS/v1.0": "UWS-v1.1.xsd",
    "http://www.ivoa.net/xml/STC/stc-v1.30.xsd": "stc-v1.30.xsd",
    "http://www.w3.org/1999/xlink": "xlink.xsd",
}


def stilts(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["stilts", *words], capture_output=True, text=True, timeout=180)


def judged(paths: list[Path], judge: Callable[[Path], subprocess.CompletedProcess[str]]) -> None:
    with ThreadPoolExecutor(2) as pool:
        for path, done in zip(paths, pool.map(judge, paths), strict=True):
            assert done.returncode == 0, (path.name, done.stdout, done.stderr)
            assert "ERROR" not in done.stdout and "WARN" not in done.stdout.replace(
                "WARNING: Unused custom", ""
            )


def test_taplint_finds_nothing(service: Served) -> None:
    said = stilts("taplint", f"tapurl={service}/tap").stdout
    found = [line for line in said.splitlines() if re.match(r"[EWF]-", line)]
    assert found == []
    assert re.search(r"Totals: Errors: 0; Warnings: 0; .*Failures: 0", said)


@pytest.fixture(scope="module")
def documents(service: Served, images: Served, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What each engine's service says, as files."""
    folder = tmp_path_factory.mktemp("documents")
    given = {"LANG": "ADQL", "QUERY": "SELECT TOP 5 * FROM T1.objects", "PHASE": "RUN"}
    job = requests.post(f"{service}/tap/async", given, timeout=10).url
    requests.get(job, {"WAIT": "10"}, timeout=20)
    said = f"{service}/tap/sync?LANG=ADQL&QUERY=SELECT+"
    addresses = {
        "capabilities": f"{service}/tap/capabilities",
        "capabilities-sia": f"{service}/sia/capabilities",
        "availability": f"{service}/tap/availability",
        "tables": f"{service}/tap/tables",
        "table": f"{service}/tap/tables/T1.objects",
        "job": job,
        "jobs": f"{service}/tap/async",
        "results": f"{job}/results",
        "vot-tabledata": f"{said}*+FROM+T1.objects&RESPONSEFORMAT=votable/td",
        "vot-binary2": f"{said}*+FROM+T1.objects&MAXREC=7",
        "vot-error": f"{said}nothing",
        "vot-scs": f"{service}/scs/T1.objects?RA=30&DEC=-5&SR=1&VERB=3",
        "vot-sia": f"{images}/sia/query?POS=CIRCLE+30+-5+1",
        "vot-datalink": f"{images}/datalink/links?ID=ivo://desdm/nothing",
    }
    made = {}
    for name, address in addresses.items():
        made[name] = folder / f"{name}.xml"
        made[name].write_bytes(requests.get(address, timeout=30).content)
    return made


def test_documents_follow_the_schemas_of_the_ivoa(documents: dict[str, Path]) -> None:
    assert _JAR.is_file()
    places = [
        f"schemaloc={space}=jar:file:{_JAR}!/uk/ac/starlink/ttools/taplint/{name}"
        for space, name in _SCHEMAS.items()
    ]
    plain = [path for name, path in documents.items() if not name.startswith("vot-")]
    assert len(plain) == 8
    judged(plain, lambda path: stilts("xsdvalidate", f"doc={path}", *places))


def test_tables_and_errors_are_right_votables(documents: dict[str, Path]) -> None:
    tables = [path for name, path in documents.items() if name.startswith("vot-")]
    assert len(tables) == 6
    judged(tables, lambda path: stilts("votlint", f"votable={path}", "maxrepeat=5"))
