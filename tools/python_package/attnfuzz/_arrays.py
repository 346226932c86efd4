"""Arrays of the function under test: made from NumPy's by DLPack, and taken back."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from attnfuzz._core import InputError
from attnfuzz._types import Array

DTYPES = {
    "float64": "f64",
    "float32": "f32",
    "float16": "f16",
    "bfloat16": "bf16",
    "float8_e4m3fn": "e4m3",
    "float8_e5m2": "e5m2",
}
"""A package's name of an element type, and the word that cases have for it."""
_NAMES = {word: name for name, word in DTYPES.items()}
_RAW = {"bf16": np.int16, "e4m3": np.uint8, "e5m2": np.uint8}  # types that NumPy lacks: how their bits travel


def _module(name: str) -> Any:
    """An optional package; type checkers need not read it."""
    return importlib.import_module(name)


def _numpy(raw: Array, dtype: str) -> Any:
    if dtype not in _RAW:
        return raw
    try:
        ml_dtypes = _module("ml_dtypes")
    except ModuleNotFoundError:
        raise InputError(f"NumPy has no {_NAMES[dtype]}: expected the package ml_dtypes, or arrays='torch'") from None
    return raw.view(getattr(ml_dtypes, _NAMES[dtype]))


def _torch(raw: Array, dtype: str) -> Any:
    torch = _module("torch")
    if dtype not in _RAW:
        return torch.from_dlpack(raw)
    return torch.from_dlpack(raw.view(_RAW[dtype])).view(getattr(torch, _NAMES[dtype]))


def _jax(raw: Array, dtype: str) -> Any:
    jax = _module("jax")
    if dtype == "f64" and not jax.config.jax_enable_x64:
        raise InputError("JAX has no float64 by default: expected jax.config.update('jax_enable_x64', True) before")
    return jax.numpy.asarray(_numpy(raw, dtype))


GIVE: dict[str, Callable[[Array, str], Any]] = {"numpy": _numpy, "torch": _torch, "jax": _jax}
"""How each package's arrays are made of a NumPy array (raw bits where NumPy lacks the type) and its dtype's word."""


def giver(arrays: str | ModuleType) -> Callable[[Array, str], Any]:
    """How arrays are made: for one of GIVE, or any module with from_dlpack() (the array API standard)."""
    if isinstance(arrays, str):
        if arrays not in GIVE:
            raise InputError(f"arrays: expected one of {', '.join(GIVE)} or a module, not {arrays!r}")
        try:
            importlib.import_module(arrays)
        except ModuleNotFoundError:
            raise InputError(f"arrays: {arrays} is not installed") from None
        return GIVE[arrays]
    if (name := arrays.__name__) in GIVE:
        return GIVE[name]
    if not hasattr(arrays, "from_dlpack"):
        raise InputError(f"arrays: expected a module with from_dlpack(), not {name}")
    return lambda raw, dtype: arrays.from_dlpack(_numpy(raw, dtype))


def guess(fn: Callable[..., Any]) -> str:
    """The package whose arrays a function takes: by its annotations, its class, and the modules that it names."""
    code_of = inspect.unwrap(getattr(fn, "func", fn))
    seen: list[str] = [type(fn).__module__, *(base.__module__ for base in type(fn).__mro__)]
    seen.append(getattr(code_of, "__module__", None) or "")
    seen.extend(str(annotation) for annotation in getattr(code_of, "__annotations__", {}).values())
    if code := getattr(code_of, "__code__", None):
        scope = code_of.__globals__ | dict(zip(code.co_freevars, map(_content, code_of.__closure__ or ())))
        for name in (*code.co_names, *code.co_freevars):
            value = scope.get(name)
            seen.append(getattr(value, "__name__" if isinstance(value, ModuleType) else "__module__", None) or "")
    for package in ("torch", "jax"):
        if any(package in text.replace("'", ".").replace(" ", ".").split(".") for text in seen):
            return package
    return "numpy"


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a name that is not bound yet
        return None


def take(output: Any) -> tuple[str, Array]:
    """An output's dtype (a case's word) and its elements as a contiguous NumPy array, raw where NumPy lacks the type."""
    if isinstance(output, (tuple, list)) and output:
        output = output[0]  # (out, weights), as many functions give it
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(output, torch.Tensor):
        name = str(output.dtype).rpartition(".")[2]
        output = output.detach().cpu().contiguous()
        if DTYPES.get(name) in _RAW:
            output = output.view(torch.int16 if name == "bfloat16" else torch.uint8)
        array = output.numpy()
    elif hasattr(output, "__array__"):
        array = np.asarray(output)
        name = array.dtype.name
    elif hasattr(output, "__dlpack__"):
        array = np.from_dlpack(output)
        name = array.dtype.name
    else:
        raise TypeError(f"the function returned {type(output).__name__}, expected an array")
    if name not in DTYPES:
        raise TypeError(f"the output's dtype is {name}")
    dtype = DTYPES[name]
    array = np.ascontiguousarray(array).reshape(np.shape(array))
    return dtype, array.view(_RAW[dtype]) if dtype in _RAW else array
