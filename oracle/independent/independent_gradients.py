"""Attention's log-sum-exp and gradients in NumPy, written apart from the C++ oracle, to be held against it.

No derivative is written down here: each element's comes from one forward pass with that element moved by i·1e-30 (the
complex step, Squire and Trapp 1998), which is exact to rounding. The words of oracle/case.h are the only source.
"""
from __future__ import annotations

import math

import numpy as np

import attnfuzz_philox as philox

STEP = 1e-30
INPUT_OF = {"dq": "q", "dk": "k", "dv": "v", "dbias": "bias", "dsinks": "sinks", "dmem_k": "mem_k", "dmem_v": "mem_v"}
BY_LAYOUT = ("q", "k", "v", "grad_out")


def tensors_of(case: dict) -> dict[str, np.ndarray]:
    """All inputs as complex numbers, [batch, heads, len, dim] whatever the layout."""
    problem = case["problem"]
    tensors = {name: philox.decode(array, problem["dtype"]) for name, array in philox.inputs(case).items()}
    if problem["layout"] == "bshd":
        tensors |= {name: tensors[name].swapaxes(1, 2) for name in BY_LAYOUT if name in tensors}
    if "bias" in tensors:  # what the oracle adds, before it is rounded to the case's dtype
        tensors["bias"] = philox.dense_mask(problem, case["data"])[1]
    return {name: array.astype(np.complex128) for name, array in tensors.items()}


def forward(problem: dict, t: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(out, lse); 0 and -inf for rows that see nothing."""
    group = problem["num_heads"] // problem["num_kv_heads"]
    heads = np.arange(problem["num_heads"])
    serving = heads // group if problem["head_map"] == "grouped" else heads % problem["num_kv_heads"]
    k, v = t["k"][:, serving], t["v"][:, serving]
    memory = problem["memory_kv"]
    if memory:
        shared = lambda x: np.broadcast_to(x[None, serving], (len(k), len(heads), *x.shape[1:]))
        k, v = np.concatenate([shared(t["mem_k"]), k], 2), np.concatenate([shared(t["mem_v"]), v], 2)
    shape = (*t["q"].shape[:3], k.shape[2])
    seen, bias = np.ones(shape, bool), np.zeros(shape, np.complex128)
    if "mask" in t:
        seen[..., memory:] = t["mask"] != 0
    if "bias" in t:
        bias[..., memory:] = t["bias"]
    scale = 1 / math.sqrt(problem["head_dim"]) if problem["scale"] is None else problem["scale"]
    s = scale * (t["q"][:, :, :, None] * k[:, :, None]).sum(-1)
    if problem["bias_order"] == "before_softcap":
        s = s + bias
    if cap := problem["softcap"]:
        s = cap * np.tanh(s / cap)
    if problem["bias_order"] == "after_softcap":
        s = s + bias
    top = np.where(seen, s.real, -np.inf).max(-1, keepdims=True, initial=-1e300)
    if "sinks" in t:
        top = np.maximum(top, t["sinks"].real[:, None, None])
    p = np.where(seen, np.exp(np.where(seen, s - top, 0)), 0)
    total = p.sum(-1, keepdims=True)
    if "sinks" in t:
        total = total + np.exp(t["sinks"][:, None, None] - top)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = np.where(total == 0, 0, p / total)
        lse = (np.log(total) + top)[..., 0]
    if "dropout" in t:
        p = p * t["dropout"] * (100 / problem["dropout_keep"])
    return (p[..., None] * v[:, :, None]).sum(3), lse


def more_outputs(case: dict) -> dict[str, np.ndarray]:
    """out and what the case asks for beside it, in logical order."""
    problem, t = case["problem"], tensors_of(case)
    out, lse = forward(problem, t)
    found = {"out": out.real, "lse": lse.real}
    for name in problem["outputs"]:
        if name not in INPUT_OF:
            continue
        array = t[INPUT_OF[name]]
        found[name] = np.zeros(array.shape)
        for at in np.ndindex(array.shape):
            kept = array[at]
            array[at] = kept + 1j * STEP
            found[name][at] = (forward(problem, t)[0] * t["grad_out"]).sum().imag / STEP
            array[at] = kept
    return {name: found[name] for name in problem["outputs"]}
