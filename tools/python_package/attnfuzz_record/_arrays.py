"""Tensors of any package as plain memory, and the file that keeps them (safetensors, by its published format).

The file is written here, without the package of that name: the recorder runs inside somebody's program, and must not
ask for more than NumPy there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from attnfuzz_record._errors import NotSaid

CODES = {"f64": "F64", "f32": "F32", "f16": "F16", "bf16": "BF16", "e4m3": "F8_E4M3", "e5m2": "F8_E5M2", "bool": "BOOL"}
"""A case's word for an element type → safetensors' word."""
NUMPY = {"f64": np.float64, "f32": np.float32, "f16": np.float16, "bf16": np.uint16, "e4m3": np.uint8, "e5m2": np.uint8,
         "bool": np.bool_, "i32": np.int32, "i64": np.int64}
"""The array type that holds it: NumPy has no bfloat16 and no 8-bit floats, so their bits."""
TYPES = {"float64": "f64", "float32": "f32", "float16": "f16", "bfloat16": "bf16", "float8_e4m3fn": "e4m3",
         "float8_e5m2": "e5m2", "bool": "bool",
         "int32": "i32", "int64": "i64"}
"""The last word of a package's own name of a type → a case's word."""


@dataclass(frozen=True)
class Array:
    """A tensor that was caught: its elements, dense, and a case's word for their type."""

    data: np.ndarray[Any, Any]
    dtype: str

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.data.shape)

    @property
    def nbytes(self) -> int:
        return int(self.data.nbytes)

    def wide(self) -> np.ndarray[Any, Any]:
        """The numbers as float64 (bool: as they are)."""
        if self.dtype == "bf16":
            return (self.data.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
        if self.dtype in ("e4m3", "e5m2"):
            raise NotSaid(f"numbers of {self.dtype} in a place where their values are needed")
        return self.data if self.dtype == "bool" else self.data.astype(np.float64)

    def of(self, data: np.ndarray[Any, Any]) -> Array:
        return Array(data, self.dtype)

    def swapped(self) -> Array:
        """[batch, heads, len, dim] ↔ [batch, len, heads, dim]."""
        return self.of(self.data.swapaxes(1, 2))


def type_word(tensor: Any) -> str:
    """A case's word for the element type of a tensor of PyTorch, JAX or NumPy. Raises NotSaid for one that a Case has
    not.
    """
    name = str(tensor.dtype).rpartition(".")[2]
    if name not in TYPES:
        raise NotSaid(f"tensors of the type {name}")
    return TYPES[name]


def from_torch(tensor: Any) -> Array:
    import torch

    word = type_word(tensor)
    tensor = tensor.detach().to("cpu", copy=True).contiguous()
    if word == "bf16":
        return Array(tensor.view(torch.int16).numpy().view(np.uint16), word)
    if word in ("e4m3", "e5m2"):
        return Array(tensor.view(torch.uint8).numpy(), word)
    return Array(tensor.numpy(), word)


def from_numpy(tensor: Any) -> Array:
    """NumPy's arrays, and what becomes one (JAX's; the types that NumPy has not are those of ml_dtypes)."""
    word = type_word(tensor)
    array = np.array(tensor)
    return Array(np.ascontiguousarray(array).view(NUMPY[word]).reshape(array.shape), word)


def encode(numbers: np.ndarray[Any, Any], dtype: str) -> Array:
    """Numbers in a case's type. Raises NotSaid where one would be rounded: a recording holds what there was."""
    if dtype == "bf16":
        bits = np.ascontiguousarray(numbers, np.float32).view(np.uint32)
        result = Array((bits >> 16).astype(np.uint16), dtype)
    elif dtype in ("e4m3", "e5m2"):
        raise NotSaid(f"numbers of {dtype} in a place where their values are needed")
    else:
        with np.errstate(over="ignore"):
            result = Array(numbers.astype(NUMPY[dtype]), dtype)
    if not np.array_equal(result.wide(), numbers, equal_nan=True):
        raise NotSaid(f"a bias with numbers that {dtype} has not")
    return result


def write_safetensors(path: Path, tensors: dict[str, Array]) -> int:
    """Writes the file whole or not at all; its size in bytes."""
    header: dict[str, Any] = {}
    at = 0
    for name, array in tensors.items():
        end = at + array.nbytes
        header[name] = {"dtype": CODES[array.dtype], "shape": list(array.shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    unfinished = path.with_name(path.name + ".part")
    with unfinished.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in tensors.values():
            file.write(np.ascontiguousarray(array.data).data if array.data.size else b"")
    unfinished.replace(path)
    return 8 + len(text) + at
