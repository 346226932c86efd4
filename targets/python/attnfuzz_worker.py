"""What an adapter needs: `from attnfuzz_worker import Declined, rule, visible, …`. The contract is in README.md here."""
from __future__ import annotations

import ctypes
from functools import cache

import numpy as np

NUMPY_TYPES = {"f64": np.float64, "f32": np.float32, "f16": np.float16, "bf16": np.uint16, "e4m3": np.uint8,
               "e5m2": np.uint8}
"""The array type that holds a case's dtype. NumPy has no bfloat16 and no 8-bit floats: their raw bits are handed over."""

PATTERNS = ["rule:block_sparse", *(f"block_sparse.shape:{shape}" for shape in ("qk", "bqk", "hqk", "bhqk")), "rule:dilated",
            "rule:spans", "rule:tree", "rule:packed", "rule:indices",
            *(f"indices.shape:{shape}" for shape in ("qk", "bqk", "hqk", "bhqk"))]
"""The features of mask rules that most packages have no option for, but that a mask of booleans can say."""
RELATIVE_BIAS = ["rule:relative_bias", "relative_bias.direction:both", "relative_bias.direction:past",
                 "relative_bias.spacing:linear", "relative_bias.spacing:log"]
"""Likewise of the bias by distance, which a dense bias can say."""


class Declined(Exception):
    """The package rejects this case by its own documentation; the text says where that is written.

    For what can't be said in the capabilities only: a campaign reports how many cases were declined, and why.
    """


@cache
def has_gpu() -> bool:
    """Whether an NVIDIA driver with a device is here (asked of the driver: no package is imported for it)."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int()
    return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0


def rule(case: dict, name: str) -> dict | None:
    """The case's mask rule of this name with its parameters, None if the mask has no such rule."""
    return next((r for r in case["problem"]["mask"]["rules"] if r["rule"] == name), None)


def only_rules(case: dict, *names: str) -> bool:
    """Whether the mask consists of these rules alone (so that an option of the package can say it all)."""
    return all(r["rule"] in names for r in case["problem"]["mask"]["rules"])


def visible(tensors: dict) -> np.ndarray | None:
    """The whole mask as booleans [batch, num_heads, q_len, kv_len], True = seen; None where every key is seen."""
    return None if (mask := tensors.get("mask")) is None else mask != 0


def additive(case: dict, tensors: dict, dtype=np.float32) -> np.ndarray | None:
    """Mask and bias as one additive tensor [batch, num_heads, q_len, kv_len], -inf = not seen; None without either."""
    seen, bias = visible(tensors), tensors.get("bias")
    if seen is None and bias is None:
        return None
    if bias is None:
        return np.where(seen, 0, -np.inf).astype(dtype)
    values = widen(bias, case["problem"]["dtype"])
    return (values if seen is None else np.where(seen, values, -np.inf)).astype(dtype)


def broadcastable(mask: np.ndarray) -> np.ndarray:
    """[batch, heads, …] with a size of 1 where all of the axis are equal, as packages let callers give it."""
    for axis in (0, 1):
        first = mask.take([0], axis)
        if mask.shape[axis] > 1 and (mask == first).all():
            mask = first
    return mask


def widen(array: np.ndarray, dtype: str) -> np.ndarray:
    """Values as float32 (float64 stays): a bf16 array's raw bits become the numbers they stand for."""
    if dtype == "bf16":
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array if dtype == "f64" else array.astype(np.float32)


def foreign_functions(library, signatures: dict) -> dict:
    """Functions of a shared library by name; signatures: name → [result, *arguments] in ctypes' types."""
    loaded, functions = ctypes.CDLL(str(library)), {}
    for name, (result, *arguments) in signatures.items():
        functions[name] = getattr(loaded, name)
        functions[name].restype, functions[name].argtypes = result, arguments
    return functions


def to_torch(array: np.ndarray, dtype: str, device: str = "cpu"):
    """A tensor of the case's dtype with the array's strides; a bf16 array's raw bits are taken for what they are."""
    import torch

    tensor = torch.from_numpy(array).to(device)
    return tensor.view(torch.bfloat16) if dtype == "bf16" else tensor


def from_torch(tensor, dtype: str) -> np.ndarray:
    """The other way round: a bf16 tensor's raw bits."""
    import torch

    tensor = tensor.detach().cpu().contiguous()
    return tensor.view(torch.int16).numpy().view(np.uint16) if dtype == "bf16" else tensor.numpy()


def to_layout(case: dict, array: np.ndarray, layout: str) -> np.ndarray:
    """A [batch, heads, len, dim] tensor in the case's layout, seen in another ("bhsd", "bshd"); its own inverse."""
    return array if case["problem"]["layout"] == layout else array.swapaxes(1, 2)


def merge_heads(case: dict, array: np.ndarray) -> np.ndarray:
    """From the case's layout to [batch, len, heads * dim]."""
    batch, length, heads, dim = (a := to_layout(case, array, "bshd")).shape
    return np.ascontiguousarray(a).reshape(batch, length, heads * dim)


def split_heads(case: dict, array: np.ndarray, heads: int) -> np.ndarray:
    """From [batch, len, heads * dim] to the case's layout."""
    batch, length, hidden = array.shape
    return to_layout(case, array.reshape(batch, length, heads, hidden // heads), "bshd")
