"""``$FUNC{}`` and ``$HEAD{}``: values that a function or the header of a file supplies."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from desdm.errors import WCLError

__all__ = ["Functions", "HeaderReader", "call_function", "fits_header", "named_function"]

HeaderReader: TypeAlias = Callable[[str, Sequence[str]], Sequence[object]]
"""Give the values of the keys in the header of a file, in their order."""

Functions: TypeAlias = Mapping[str, Callable[..., object]]

_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


def named_function(name: str) -> Callable[..., object]:
    """Import the function of a dotted name.

    Raises
    ------
    WCLError
        The name is not dotted, does not import, or is nothing that can be called.
    """
    if _DOTTED.fullmatch(name) is None:
        raise WCLError(f"{name[:80]!r} is not a dotted name of a function (package.module.function)")
    module, _, attribute = name.rpartition(".")
    try:
        target = getattr(importlib.import_module(module), attribute)
    except AttributeError as err:
        raise WCLError(f"module {module} has no function {attribute}") from err
    except Exception as err:  # a module that is imported by name may fail in any way; it becomes one error
        raise WCLError(f"module {module} cannot be imported: {err}") from err
    if not callable(target):
        raise WCLError(f"{name} is not a function")
    function: Callable[..., object] = target
    return function


def call_function(text: str, functions: Functions) -> str:
    """Do ``pkg.mod.func,arg,…`` and give the answer as text.

    DESDM's functions take one list of strings; a function that cannot be called so gets the arguments one by
    one.

    Raises
    ------
    WCLError
        There is no such function, or it fails.
    """
    name, *arguments = [word.strip() for word in text.split(",")]
    function = functions.get(name) or named_function(name)
    try:
        answer = function(arguments) if _takes_list(function) else function(*arguments)
    except Exception as err:  # code named by the document may fail in any way; it becomes one error
        raise WCLError(f"$FUNC{{{text}}}: {type(err).__name__}: {err}") from err
    return str(answer)


def _takes_list(function: Callable[..., object]) -> bool:
    """Tell whether a function has one parameter, which gets the list of all arguments."""
    import inspect  # late: it costs more than the rest of this package

    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # a built-in that does not say
        return False
    if any(one.kind is one.VAR_POSITIONAL for one in signature.parameters.values()):
        return False
    try:
        signature.bind([])
    except TypeError:
        return False
    return True


def fits_header(file: str, keys: Sequence[str]) -> list[object]:
    """Read keys from the primary header of a FITS file, as the original did.

    Raises
    ------
    WCLError
        The file cannot be read or lacks a key.
    """
    import fitsio  # late: reading WCL must not load an image library

    try:
        header: Any = fitsio.read_header(file, ext=0)
    except OSError as err:
        raise WCLError(f"$HEAD{{{file}}}: {err}") from err
    missing = [key for key in keys if key.upper() not in header]
    if missing:
        raise WCLError(f"$HEAD{{{file}}}: no key {', '.join(missing)} in the primary header")
    return [header[key.upper()] for key in keys]
