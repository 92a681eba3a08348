"""Names of files as patterns, filled with the values of a wrapper; and the patterns of DESDM's database."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from desdm.errors import WCLError
from desdm.framework.pipeline import FileSet, Pipeline
from desdm.framework.sections import Settings
from desdm.wcl import Resolver, Template

__all__ = [
    "FILENAME_PATTERNS",
    "NamePattern",
    "base_name",
    "directory_pattern",
    "expand_value",
    "name_pattern",
    "query_name",
]

_REFERENCE = re.compile(r"\$(opt)?\{([^${}:.]+)(?::(\d{1,2}))?\}", re.IGNORECASE)
_RANGE = re.compile(r"\d+:\d+")
_RUN = "r${reqnum}p${attnum:2}"
#: ``ops_filename_pattern`` of the original, as the names of its public products show them. A pipeline's own come first.
FILENAME_PATTERNS = {
    "exposure": f"${{camsym}}${{expnum:8}}_${{band}}_{_RUN}_${{flabel}}.${{fsuffix}}",
    "ccdnum_band": f"${{camsym}}${{expnum:8}}_${{band}}_c${{ccdnum:2}}_{_RUN}_${{flabel}}.${{fsuffix}}",
    "ccdnum_noband": f"${{camsym}}${{expnum:8}}_c${{ccdnum:2}}_{_RUN}_${{flabel}}.${{fsuffix}}",
    "nite_band": f"D_n${{nite}}_${{band}}_{_RUN}_${{flabel}}.${{fsuffix}}",
    "nite_ccdnum_band": f"D_n${{nite}}_${{band}}_c${{ccdnum:2}}_{_RUN}_${{flabel}}.${{fsuffix}}",
    "nite_ccdnum_noband": f"D_n${{nite}}_c${{ccdnum:2}}_{_RUN}_${{flabel}}.${{fsuffix}}",
    "unitname_generic": f"${{unitname}}_{_RUN}_${{flabel}}.${{fsuffix}}",
    "unitname_ccdnum_band": f"${{unitname}}_${{band}}_c${{ccdnum:2}}_{_RUN}_${{flabel}}.${{fsuffix}}",
    "unitname_ccdnum_noband": f"${{unitname}}_c${{ccdnum:2}}_{_RUN}_${{flabel}}.${{fsuffix}}",
    "tile_generic": f"${{tilename}}_{_RUN}_${{flabel}}.${{fsuffix}}",
    "tile_generic_nolabel": f"${{tilename}}_{_RUN}.${{fsuffix}}",
    "tile_band": f"${{tilename}}_{_RUN}_${{band}}_${{flabel}}.${{fsuffix}}",
    "tile_band_nolabel": f"${{tilename}}_{_RUN}_${{band}}.${{fsuffix}}",
    "tilename_band": f"${{tilename}}_{_RUN}_${{band}}_${{flabel}}.${{fsuffix}}",
    "tile_det": f"${{tilename}}_{_RUN}_det_${{flabel}}.${{fsuffix}}",
    "tile_det_nolabel": f"${{tilename}}_{_RUN}_det.${{fsuffix}}",
    "tile_expband": f"${{tilename}}_{_RUN}_D${{expnum:8}}_${{band}}_${{flabel}}.${{fsuffix}}",
    "tile_expbandccd": f"${{tilename}}_{_RUN}_D${{expnum:8}}_${{band}}_c${{ccdnum:2}}_${{flabel}}.${{fsuffix}}",
    "sn_exposure": f"${{camsym}}${{expnum:8}}_${{field}}_${{band}}_{_RUN}_${{flabel}}.${{fsuffix}}",
    "sn_ccdnum_band": f"${{camsym}}${{expnum:8}}_${{field}}_${{band}}_c${{ccdnum:2}}_{_RUN}_${{flabel}}.${{fsuffix}}",
    "sn_ccdnum_band_combined": (
        f"D_n${{nite}}_${{field}}_${{band}}_c${{ccdnum:2}}_s${{seqnum}}_{_RUN}_${{flabel}}.${{fsuffix}}"
    ),
    "sn_field_ccdnum_band": f"${{field}}_${{band}}_c${{ccdnum:2}}_{_RUN}_${{flabel}}.${{fsuffix}}",
    "sntmpl": "${field}_${band}_c${ccdnum:2}_${flabel}.${fsuffix}",
}


def name_pattern(pipeline: Pipeline, fileset: FileSet) -> NamePattern:
    """The pattern of a file set's names.

    Raises
    ------
    WCLError
        It names a pattern that nobody knows.
    """
    if fileset.filename:
        return NamePattern.of(fileset.filename)
    text = pipeline.filename_patterns.get(fileset.filepat, FILENAME_PATTERNS.get(fileset.filepat))
    if text is None:
        patterns = ", ".join(dict.fromkeys([*pipeline.filename_patterns, *FILENAME_PATTERNS]))
        raise WCLError(f"no filename pattern {fileset.filepat!r}; known: {patterns}")
    return NamePattern.of(text)


def directory_pattern(pipeline: Pipeline, fileset: FileSet) -> NamePattern:
    """The pattern of the directory in the archive that a file set's files go to.

    Raises
    ------
    WCLError
        It names a pattern that is none of the pipeline's, and no directory below the run's.
    """
    text = pipeline.directory_patterns.get(fileset.dirpat)
    # A production file relies on the patterns of the original's database; its ops_enddir says the same.
    if text is None and fileset.dirpat and not fileset.enddir and pipeline.directory_patterns:
        patterns = ", ".join(pipeline.directory_patterns) or "none"
        raise WCLError(f"no directory pattern {fileset.dirpat!r} and no ops_enddir; known: {patterns}")
    if text is None:
        text = f"${{ops_run_dir}}/{fileset.enddir or fileset.filetype}"
    return NamePattern.of(text.replace("${ops_enddir}", fileset.enddir or fileset.filetype))


def base_name(path: str) -> str:
    """The name of a file without the directories of the work folder."""
    return path.rpartition("/")[2]


def expand_value(text: str, scope: Settings) -> str:
    """A text with every ``${}`` in it and in its values replaced; `WCLError` if one has no value."""
    return Resolver(dict(scope)).replace(text) if "$" in text else text


class NamePattern:
    """A name with variables: compiled where it holds plain references, resolved where its values hold more.

    A name may stand for several: a comma list, or a variable whose value is a list or a range.
    """

    __slots__ = ("_latest", "_template", "parts", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.parts = tuple(_split_names(text))
        #: The latest values and the name that they gave: most files of a run go into one directory.
        self._latest: tuple[list[str | None], str] = ([], "")
        try:
            self._template: Template | None = Template(text) if len(self.parts) == 1 else None
        except WCLError:  # nested references or functions
            self._template = None

    @staticmethod
    @lru_cache(maxsize=4096)
    def of(text: str) -> NamePattern:
        """The pattern of a text, compiled once."""
        return NamePattern(text)

    def fill(self, scope: Mapping[str, str]) -> str:
        """The one name; `WCLError` if a value is missing or it stands for several."""
        values = [] if self._template is None else [scope.get(n) for n in self._template.names]
        latest = self._latest
        if values and values == latest[0]:
            return latest[1]
        names = self.all_names(scope)
        if len(names) != 1:
            raise WCLError(f"{self.text} stands for {len(names)} names, where one is wanted: {names[0][0]} …")
        if values and _is_single([value or "" for value in values]):
            self._latest = values, names[0][0]
        return names[0][0]

    def all_names(self, scope: Mapping[str, str]) -> list[tuple[str, dict[str, str]]]:
        """Every name, with the values of the variables that have more than one.

        Raises
        ------
        WCLError
            A value is missing.
        """
        if self._template is not None and _is_single([scope.get(n, "") for n in self._template.names]):
            return [(self._template.fill(scope), {})]
        # A bare range says more than one value, as one in parentheses does.
        resolver = Resolver({k: f"({v})" if _RANGE.fullmatch(v) else v for k, v in scope.items()})
        names: list[tuple[str, dict[str, str]]] = []
        for part in self.parts:
            text = resolver.replace(part)
            if "," not in text and "(" not in text:
                names.append((text, {}))
                continue
            names += [
                (expansion.value, {k.lower(): v for k, v in expansion.kept.items()})
                for expansion in resolver.expand(part)
            ]
        return names


def _is_single(values: list[str]) -> bool:
    """Whether no value is a list, a range or holds a reference."""
    text = "\n".join(values)
    if "$" not in text and "," not in text and "(" not in text and ":" not in text:
        return True  # nearly always, and this is done for every file of a plan
    return not any("$" in v or "," in v or v[:1] == "(" or _RANGE.fullmatch(v) for v in values)


def _split_names(text: str) -> list[str]:
    """The names of a comma list; commas within braces part nothing."""
    parts, depth = [""], 0
    for char in text:
        depth += (char in "{(") - (char in "})")
        if char == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return [p.strip() for p in parts if p.strip()]


def query_name(pattern: NamePattern, scope: Settings) -> str:
    """What to ask the archive for: the names, with ``%`` for what only a wrapper or this attempt knows.

    Raises
    ------
    WCLError
        A value calls what fails, or hardly anything of a name is known.
    """
    return ",".join(dict.fromkeys(_wildcards(part, scope) for part in pattern.parts))


def _wildcards(part: str, scope: Settings) -> str:
    """One name with ``%`` for each variable that has no value or several."""

    def value(match: re.Match[str]) -> str:
        text = str(scope.get(match[2].strip().lower(), "" if match[1] else "%"))
        if "," in text or text[:1] == "(" or _RANGE.fullmatch(text):
            return "%"
        return f"{int(text):0{int(match[3])}d}" if match[3] and text.isdecimal() else text

    text = part
    for _ in range(100):
        replaced = _REFERENCE.sub(value, text)
        if replaced == text:
            break
        text = replaced
    text = re.sub("%+", "%", base_name(expand_value(text, scope)))
    if len(text.replace("%", "")) < 3:
        raise WCLError(f"hardly anything of the name {part} has a value; set its variables")
    return text
