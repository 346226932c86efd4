"""Arrays of the function under test: made from NumPy's by DLPack, and taken back."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, Optional

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
_RAW = {"bf16": np.uint16, "e4m3": np.uint8, "e5m2": np.uint8}  # types that NumPy lacks: how their bits travel

Give = Callable[[Array, str], Any]
"""Makes the function's array of a NumPy array (raw bits where NumPy lacks the type) and its dtype's word."""


def dtype_word(value: Any) -> str:
    """The word for an element type said in any way: "f16", "float16", torch.float16, numpy.float16, jax's."""
    text = value if isinstance(value, str) else getattr(value, "__name__", None) or str(value)
    text = text.rpartition(".")[2]
    short = {"half": "float16", "float": "float32", "double": "float64", "fp16": "float16", "fp32": "float32",
             "fp64": "float64"}
    name = short.get(text, text)
    return DTYPES.get(name, name)


def _module(name: str) -> Any:
    """An optional package; type checkers need not read it."""
    return importlib.import_module(name)


def _numpy(raw: Array, dtype: str, device: Optional[str]) -> Any:
    if dtype not in _RAW:
        return raw
    try:
        ml_dtypes = _module("ml_dtypes")
    except ModuleNotFoundError:
        raise InputError(f"NumPy has no {_NAMES[dtype]}: expected the package ml_dtypes, or arrays='torch'") from None
    return raw.view(getattr(ml_dtypes, _NAMES[dtype]))


def _torch(raw: Array, dtype: str, device: Optional[str]) -> Any:
    torch = _module("torch")
    bits = raw.view(np.int16) if dtype == "bf16" else raw
    tensor = torch.from_dlpack(bits)
    if device is not None:
        tensor = tensor.to(device)
    return tensor.view(getattr(torch, _NAMES[dtype])) if dtype in _RAW else tensor


def _jax(raw: Array, dtype: str, device: Optional[str]) -> Any:
    jax = _module("jax")
    if dtype == "f64" and not jax.config.jax_enable_x64:
        raise InputError("JAX has no float64 by default: expected jax.config.update('jax_enable_x64', True) before")
    array = jax.numpy.asarray(_numpy(raw, dtype, None))
    return array if device is None else jax.device_put(array, _jax_device(jax, device))


def _jax_device(jax: Any, device: str) -> Any:
    platform, _, index = device.partition(":")
    return jax.devices(platform)[int(index or 0)]


GIVE = {"numpy": _numpy, "torch": _torch, "jax": _jax}
DEVICES = ("torch", "jax")
"""Packages whose arrays can be put on a device by name."""


def giver(arrays: str | ModuleType, device: str | None = None) -> Give:
    """How arrays are made: for one of GIVE, or any module with from_dlpack() or asarray() (the array API standard).

    Raises InputError where the package is not there, or can't put arrays on `device`.
    """
    name = arrays if isinstance(arrays, str) else arrays.__name__
    if name in GIVE:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            raise InputError(f"arrays: {name} is not installed") from None
        check_device(name, device)
        return lambda raw, dtype: GIVE[name](raw, dtype, device)
    if isinstance(arrays, str):
        try:
            arrays = importlib.import_module(arrays)
        except ModuleNotFoundError:
            known = ", ".join(GIVE)
            raise InputError(f"arrays: expected one of {known} or an installed module, not {name!r}") from None
    if device is not None:
        raise InputError(f"device: attnfuzz can't put {name}'s arrays on a device; expected torch or jax")
    make = maker(arrays)
    if make is None:
        raise InputError(f"arrays: expected a module with {', '.join(MAKERS[:-1])} or {MAKERS[-1]} that takes NumPy's "
                         f"arrays, not {name}")
    return lambda raw, dtype: _made(make, arrays, raw, dtype)


MAKERS = ("asarray", "from_dlpack", "array", "tensor", "to_tensor", "convert_to_tensor", "from_numpy", "Tensor")
"""What the functions are called by which packages make an array of their own of one of NumPy's."""


STANDARD = MAKERS[:2]
"""Those of the array API standard: what they make is taken at its word."""


def maker(module: ModuleType) -> Callable[[Any], Any] | None:
    """The function of a module that makes an array of one of NumPy's.

    The array is of a class of the module's package, or the function is one of the standard.
    """
    given = np.arange(6, dtype=np.float32).reshape(2, 3)
    package = module.__name__.partition(".")[0]
    standard = None
    for name in MAKERS:
        make = getattr(module, name, None)
        if not callable(make):
            continue
        try:
            made = make(given)
            kind, same = kind_of(made), np.array_equal(take(made)[1], given)
        except Exception:  # it makes something else
            continue
        if same and kind == package:
            return make  # type: ignore[no-any-return]
        if same and name in STANDARD:
            standard = standard or make
    return standard


def _made(make: Callable[[Any], Any], module: ModuleType, raw: Array, dtype: str) -> Any:
    """An array of a module that need not know the element types that NumPy lacks: those are reached through f32."""
    if dtype not in _RAW:
        return make(raw)
    array, name = _numpy(raw, dtype, None), _NAMES[dtype]
    try:
        made = make(array)
        if str(made.dtype).rpartition(".")[2] == name:
            return made
    except Exception:
        pass
    return _cast(make(array.astype(np.float32)), module, name)


def _cast(array: Any, module: ModuleType | None, name: str) -> Any:
    """An array of a package in another of its element types: an attribute of its modules, or the type's name."""
    homes = (module, getattr(module, "dtypes", None))
    element = next((getattr(home, name) for home in homes if hasattr(home, name)), name)
    for way in ("astype", "cast", "to"):
        if hasattr(array, way):
            return getattr(array, way)(element)
    raise TypeError(f"{type(array).__name__} has none of astype(), cast() and to(), by which attnfuzz gets to {name}")


def check_device(arrays: str, device: str | None) -> None:
    """Raises InputError unless the package has this device here."""
    if device is None:
        return
    if arrays not in DEVICES:
        raise InputError(f"device={device!r}: NumPy's arrays are on the CPU; expected arrays='torch' or 'jax'")
    try:
        if arrays == "torch":
            _module("torch").empty(0, device=device)
        else:
            _jax_device(_module("jax"), device)
    except (RuntimeError, AssertionError, ValueError, IndexError, NotImplementedError) as e:
        raise InputError(f"device={device!r}: {arrays} has no such device here: {str(e).splitlines()[0]}") from None


def synchronise(arrays: str | ModuleType, device: str | None) -> None:
    """Waits for the device, so that what it fails at is told of this call."""
    if device is None or arrays != "torch":
        return  # jax waits when an output is taken
    module = getattr(_module("torch"), device.partition(":")[0], None)
    if module is not None and hasattr(module, "synchronize"):
        module.synchronize()


def kind_of(output: Any) -> str:
    """The package that an array is of."""
    return (type(output).__module__ or "").partition(".")[0].removesuffix("lib")


def take(output: Any) -> tuple[str, Array]:
    """An array's dtype (a case's word) and its elements as a contiguous NumPy array, raw where NumPy lacks the type."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(output, torch.Tensor):
        name = str(output.dtype).rpartition(".")[2]
        output = output.detach().cpu().contiguous()
        if DTYPES.get(name) in _RAW:
            output = output.view(torch.int16 if name == "bfloat16" else torch.uint8)
        array = output.numpy()
    elif str(getattr(output, "dtype", "")).rpartition(".")[2] == "bfloat16" and not _numpy_reads(output):
        return _narrowed(output)
    elif hasattr(output, "__array__"):
        array = np.asarray(output)
        name = array.dtype.name
    elif hasattr(output, "get") and hasattr(output, "__cuda_array_interface__"):  # CuPy's way back to the host
        array = np.asarray(output.get())
        name = array.dtype.name
    elif hasattr(output, "__dlpack__"):
        array = np.from_dlpack(output)
        name = array.dtype.name
    elif callable(getattr(output, "numpy", None)):
        array = output.numpy()
        name = array.dtype.name
    else:
        raise TypeError(f"the function returned {type(output).__name__}, expected an array")
    if name not in DTYPES:
        raise TypeError(f"the output's dtype is {name}")
    dtype = DTYPES[name]
    array = np.ascontiguousarray(array).reshape(np.shape(array))
    return dtype, array.view(_RAW[dtype]) if dtype in _RAW else array


def _numpy_reads(output: Any) -> bool:
    try:
        return np.asarray(output).dtype.name == "bfloat16"
    except Exception:
        return False


def _narrowed(output: Any) -> tuple[str, Array]:
    """bf16 of a package whose arrays NumPy can't read: through f32, which holds each bf16 as it is."""
    wide = take(_cast(output, sys.modules.get(type(output).__module__), "float32"))[1]
    return "bf16", (wide.view(np.uint32) >> 16).astype(np.uint16)


def raw(output: Any) -> Array:
    """The same without the dtype's word, which the element type of the array stands for."""
    return take(output)[1]


def first(output: Any) -> Any:
    """The array of an output (out, weights), as many functions give it."""
    return output[0] if isinstance(output, (tuple, list)) and output else output
