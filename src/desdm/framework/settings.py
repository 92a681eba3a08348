"""Which settings a run knows: an unknown ``--set`` key is refused, since it would change nothing and say nothing.

Known are the settings of every run (`RUN_SETTINGS`), those that the pipeline declares (its own, its unit, the ``SETTINGS``
beside its ``inclfunc``, the values that a submit WCL has at its top), the variables that its queries and command lines
name, and ``<module>.<key>`` for each value that the module or the ``config.wcl`` of its code has. There ``further_keys``
lists keys that a run may add, and ``keywords`` of a program names the sections that hold keywords of that program, which
are read from the installed program.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from importlib import import_module

from desdm.errors import UsageError
from desdm.framework.configs import FURTHER, module_configs
from desdm.framework.keywords import KeywordSection, keyword_sections
from desdm.framework.pipeline import Pipeline, texts
from desdm.framework.sections import Settings, Tree
from desdm.numbers import finite_number
from desdm.survey.bands import BANDS

__all__ = ["CALIBRATION_SETTINGS", "RUN_SETTINGS", "UNIT_KEYS", "KnownSettings", "settings_of_unit"]

#: Settings of every run, with what they say; a name that ends with a dot is a section.
RUN_SETTINGS: Mapping[str, str] = {
    "unitname": "what the attempt is called, instead of the name that follows from its unit",
    "project": "project of the run",
    "campaign": "campaign of the run",
    "reqnum": "request number",
    "jira_id": "number of the ticket",
    "run_class": "survey, study, qualify or dev",
    "inputs.project": "project in which inputs are looked for; any: every one",
    "inputs.campaign": "campaign in which inputs are looked for; any: every one",
    "inputs.run_class": "run classes whose files are used; any: every one",
    "hold_memory": "MB of images that a job may hold in memory",
    "ops_run_dir": "directory of the attempt in the archive",
    "use_qcf": "whether logs are read by the quality controls",
    "qcf.": "patterns of the quality controls",
}
#: Settings of the runs that take calibrations; further ``calibration.<file type>=<run>``, which pins one.
CALIBRATION_SETTINGS: Mapping[str, str] = {
    "calibration_nights": "nights around the exposure's in which calibrations are looked for",
    "calibration_tag": "tag of the calibrations that are preferred",
}
#: The setting that names the unit of a pipeline.
UNIT_KEYS = {"tile": "tilename", "exposure": "expnum"}
#: Further settings that say what the unit is: where a tile lies, which nights are meant.
_UNIT_FURTHER = {
    "tile": ("tile_ra", "tile_dec", "tile_size", "tile_naxis", "tile_pixscale"),
    "nites": ("nitemin", "nitemax"),
}
#: Words for a switch, whose own value is 0 or 1; see `desdm.wcl.truth`.
_TRUTHS = frozenset({"y", "yes", "true", "n", "no", "false"})
#: Variables that the plan itself fills.
_PLANNED = frozenset({"attnum", "flabel", "fsuffix", "pfw_attempt_id", "run"})
_VARIABLE = re.compile(r"\$(opt)?\{\s*([^${}:]+?)\s*(?::\d+)?\}", re.IGNORECASE)


class KnownSettings:
    """The settings that a pipeline knows.

    Parameters
    ----------
    pipeline
        The pipeline.
    configs
        Module → its settings, as `module_configs` gives them; None: they are read.
    top
        Keys at the top of the submit WCL, if the pipeline is one.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        configs: Mapping[str, Settings] | None = None,
        top: Collection[str] = (),
    ) -> None:
        self._pipeline = pipeline.name
        self._configs = module_configs(pipeline)[0] if configs is None else configs
        #: dotted keys; one that ends with a dot is a section with keys of any name
        self.keys = {*_run_keys(pipeline), *(key.lower() for key in top)}
        self._declared = _declared(pipeline)
        #: Variables that the ``inclfunc`` finds out: a run shows them among its settings, and nobody may set them.
        self._derived = (
            frozenset(n.lower() for t in texts(pipeline) for _, n in _VARIABLE.findall(t)) - self.keys
        )
        self._derived = (
            (self._derived | frozenset(_inclfunc_names(pipeline, "FOUND"))) - _PLANNED
            if self._declared
            else frozenset()
        )
        self._further: list[str] = []
        #: dotted name of a section → the program whose keywords it holds
        self._programs: dict[str, KeywordSection] = {}
        for name, config in self._configs.items():
            self.keys.update(f"{name}.{path}" for path in _paths(config) if path != FURTHER)
            further = str(config.get(FURTHER, "")).split(",")
            self._further += [f"{name}.{path.strip()}".lower() for path in further if path.strip()]
            self._programs.update({f"{name}.{s}": p for s, p in keyword_sections(config).items()})

    def programs(self) -> Mapping[str, KeywordSection]:
        """Return the sections of program keywords by dotted name."""
        return self._programs

    def contains(self, key: str) -> bool:
        """Say whether a dotted key is known; programs are started only for keywords that no ``config.wcl`` has."""
        name = key.strip().lower()
        if name in self.keys or _in_open_section(name, self.keys, self._configs):
            return True
        if any(_matches_pattern(name, pattern) for pattern in self._further):
            return True
        section = self._section_of(name)
        if section is None:
            return False
        keywords = self._programs[section].keywords()
        # Without the program there is nothing to compare with, and no run either.
        word = name.removeprefix(f"{section}.")
        return "." not in word and (keywords is None or word in keywords)

    def check(self, settings: Collection[str]) -> None:
        """Refuse unknown keys; the `UsageError` suggests the key that was meant."""
        for key in settings:
            if not self.contains(key):
                raise UsageError(f"--set {key}: {self._explain_unknown(key.strip().lower())}")

    def check_values(self, settings: Mapping[str, str]) -> None:
        """Refuse a text where the code's own value is a number: it would fail in the job, after other work.

        Parameters
        ----------
        settings
            Dotted key → value; keys that no ``config.wcl`` has are not looked at, nor are keywords of programs.

        Raises
        ------
        UsageError
            A value is not a number; the message names the key and the code's own value.
        """
        for key, text in settings.items():
            name = key.strip().lower()
            default = self._code_value(name)
            if default is None or "$" in text or self._section_of(name) or not _is_number(default):
                continue
            if not (_is_number(text) or (default in ("0", "1") and text.strip().lower() in _TRUTHS)):
                raise UsageError(
                    f"--set {key}={text}: a number is needed, as the code's own value {default} is"
                )

    def _code_value(self, name: str) -> str | None:
        """Return the value of a dotted key in the settings of its module; None if there is none."""
        module, *path = name.split(".")
        node: str | Tree | None = dict(self._configs.get(module, {}))
        for part in path:
            node = {k.lower(): v for k, v in node.items()}.get(part) if isinstance(node, Mapping) else None
        return node if isinstance(node, str) else None

    def check_modules(self, pipeline: Pipeline) -> None:
        """Refuse keywords in the modules of a submit WCL that their programs do not have."""
        for _, module in pipeline.modules():
            for path in _paths(module.settings, f"{module.name}."):
                section = self._section_of(path.lower())
                keywords = self._programs[section].keywords() if section else None
                if (
                    section
                    and keywords is not None
                    and path.lower().removeprefix(f"{section}.") not in keywords
                ):
                    raise UsageError(f"module {path}: {self._explain_unknown(path.lower())}")

    def _section_of(self, name: str) -> str | None:
        """The section of program keywords in which a key lies."""
        return next((s for s in self._programs if name.startswith(f"{s}.")), None)

    def _explain_unknown(self, name: str) -> str:
        """What is wrong with an unknown key, and what was probably meant."""
        section = self._section_of(name)
        if section is not None:
            module = self._programs[section]
            near = get_close_matches(name.removeprefix(f"{section}."), module.keywords() or (), 1, 0.6)
            hint = (
                f"did you mean {section}.{near[0].upper()}?"
                if near
                else f"{module.program} {module.flag} prints them all"
            )
            return f"{module.program} has no such keyword; {hint}"
        if name in self._derived:
            return (
                f"pipeline {self._pipeline} has no such setting: {name} follows from the images of the run, "
                f"which are chosen by {', '.join(self._declared)}"
            )
        further = {p.replace("*", "NAME") for p in self._further if _same_section(name, p)}
        hint = f"; known there are {', '.join(sorted(further))}" if further else _hint(name, self.keys)
        return f"pipeline {self._pipeline} has no such setting{hint}"


def settings_of_unit(pipeline: Pipeline) -> frozenset[str]:
    """Return the settings that say which unit a run of a pipeline works on, and what its attempt is called."""
    key = UNIT_KEYS.get(pipeline.unit, pipeline.unit)
    return frozenset({key, "unitname", "reqnum", "nite", *_UNIT_FURTHER.get(pipeline.unit, ())})


def _is_number(text: str) -> bool:
    """Whether a text is a finite number."""
    try:
        finite_number(text)
    except ValueError:
        return False
    return True


def _declared(pipeline: Pipeline) -> Collection[str]:
    """Settings that stand beside the pipeline's ``inclfunc``."""
    return _inclfunc_names(pipeline, "SETTINGS")


def _inclfunc_names(pipeline: Pipeline, name: str) -> Collection[str]:
    """What is called so in the module of the pipeline's ``inclfunc``; nothing if there is no such thing."""
    if not pipeline.inclfunc:
        return ()
    try:
        names: Collection[str] = getattr(import_module(pipeline.inclfunc.rpartition(".")[0]), name, ())
    except (ImportError, ValueError):  # the submission itself names a function that cannot be found
        return ()
    return names


def _run_keys(pipeline: Pipeline) -> Iterator[str]:
    """Keys that are of no single module: of every run, of the pipeline and of its ``inclfunc``, and its variables."""
    yield from RUN_SETTINGS
    yield UNIT_KEYS.get(pipeline.unit, pipeline.unit)
    yield from _paths(pipeline.settings)
    declared = _declared(pipeline)
    yield from declared
    for text in texts(pipeline):
        for optional, name in _VARIABLE.findall(text):
            # What an inclfunc finds out is not for the operator to say; what it leaves open is marked $opt.
            if (optional or not declared) and name.lower() not in _PLANNED:
                yield name.lower()
    pins = {f.filetype for _, module in pipeline.modules() for f in module.inputs if f.calibration}
    yield from (*CALIBRATION_SETTINGS, *(f"calibration.{filetype}" for filetype in pins)) if pins else ()
    for _, module in pipeline.modules():
        if not module.loopobj and not declared:
            yield from module.loop
        if "." not in module.wrapper:
            # A program without a code of its own has the variables that its command line names.
            yield from (f"{module.name}.{n.lower()}" for t in texts(module) for _, n in _VARIABLE.findall(t))


def _in_open_section(name: str, keys: Collection[str], configs: Mapping[str, Settings]) -> bool:
    """Whether a key lies in a section with a key for each pattern or band."""
    head, _, rest = name.partition(".")
    if rest and f"{head}." in keys:
        return True
    if head not in configs:
        return False
    *sections, last = rest.split(".")
    by_band = configs[head].get(sections[0], {}) if len(sections) == 1 else {}
    bands = {band.lower() for band in BANDS}
    return isinstance(by_band, Mapping) and bool(by_band) and last in bands and set(by_band) <= bands


def _matches_pattern(name: str, pattern: str) -> bool:
    """Whether a dotted key is one of ``further_keys``."""
    words, parts = name.split("."), pattern.split(".")
    return len(words) == len(parts) and all(
        part in ("*", word) and word for word, part in zip(words, parts, strict=True)
    )


def _same_section(name: str, pattern: str) -> bool:
    """Whether a key lies in the same section of a module as one of ``further_keys``."""
    return name.split(".")[:2] == pattern.split(".")[:2]


def _hint(name: str, keys: Collection[str]) -> str:
    """What was probably meant, or where the known settings are listed."""
    places = sorted(key for key in keys if key.endswith(f".{name}"))
    if places:
        return f"; it is one of a module: {' or '.join(places[:4])}"
    names = [key.rstrip(".") for key in keys]
    similar = get_close_matches(name, names, 1, 0.6)
    if not similar and "." not in name:
        similar = get_close_matches(name, {key.rpartition(".")[2]: key for key in names}, 1, 0.75)
        similar = sorted(key for key in names if similar and key.rpartition(".")[2] == similar[0])[:1]
    if similar:
        return f"; did you mean {similar[0]}?"
    head = name.partition(".")[0]
    # Keywords of external programs would bury the module's own settings.
    own_keys = sorted(
        k for k in names if k.startswith(f"{head}.") and "_keys." not in k and ".exec." not in k
    )
    return f"; known are {', '.join(own_keys or sorted(k for k in names if '.' not in k))}"


def _paths(tree: Settings, path: str = "") -> Iterator[str]:
    """Dotted keys of every value of nested settings."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _paths(value, f"{path}{key}.")
        else:
            yield f"{path}{key}".lower()
