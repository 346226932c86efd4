"""Cases for our kernels on a device, of the sizes that ship: each type and head size, lengths over many tiles, masks, groups, layouts;
long rows with few queries, so that the oracle on the host keeps up. f64 is the device oracle's alone, which has no cache and whose
tiles of 256 elements would need more shared memory than a block has. Usage: cases.py DIR
"""
from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path

TYPES = ("f16", "bf16", "f32", "f64")
HEAD_SIZES = (64, 128, 256)
CAUSAL = [{"rule": "causal"}]
FLAT = {
    "one-tile": {"q_len": 32, "kv_len": 32},
    "tiles": {"q_len": 161, "kv_len": 161, "rules": CAUSAL},
    "cross": {"q_len": 65, "kv_len": 353, "rules": CAUSAL, "align": "bottom_right", "num_heads": 6, "num_kv_heads": 2},
    "window": {"q_len": 257, "kv_len": 257, "rules": [*CAUSAL, {"rule": "window", "left": 47, "right": 0}], "layout": "bshd"},
    "padded": {"q_len": 33, "kv_len": 500, "rules": [{"rule": "padding", "side": "right", "lens": [500, 97]}]},
    "documents": {"q_len": 200, "kv_len": 200, "rules": [{"rule": "documents", "lens": [31, 1, 64, 104]}], "num_heads": 4, "num_kv_heads": 1},
    "long": {"q_len": 3, "kv_len": 2048},
    "long-causal": {"q_len": 40, "kv_len": 2047, "rules": CAUSAL, "align": "bottom_right", "batch": 1},
    "large": {"q_len": 96, "kv_len": 130, "dist": "large"},
    "capped": {"q_len": 70, "kv_len": 129, "softcap": 30, "sinks": True, "num_heads": 4, "num_kv_heads": 2},
}
PAGED = {
    "prefill-decode": {"page_size": 16, "steps": [("prefill", 130), ("decode", 1), ("decode", 1)]},
    "long-decode": {"page_size": 64, "steps": [("prefill", 250), *[("append", 250)] * 3, ("decode", 1)], "batch": 1},
    "small-pages": {"page_size": 3, "steps": [("prefill", 70), ("append", 33), ("decode", 1)], "rules": CAUSAL},
}


def problem(dtype: str, head_dim: int, given: dict) -> dict:
    return {"batch": given.get("batch", 2), "num_heads": given.get("num_heads", 2), "num_kv_heads": given.get("num_kv_heads", 2),
            "head_dim": head_dim, "head_dim_v": head_dim, "dtype": dtype, "layout": given.get("layout", "bhsd"), "scale": None,
            "softcap": given.get("softcap", 0), "sinks": given.get("sinks", False), "memory_kv": 0, "head_map": "grouped",
            "bias_order": "after_softcap", "fully_masked": "zero",
            "mask": {"align": given.get("align", "top_left"), "rules": given.get("rules", [])}}


def cases() -> dict[str, dict]:
    """By name."""
    made = {}
    for seed, (dtype, head_dim) in enumerate(itertools.product(TYPES, HEAD_SIZES)):
        if (dtype, head_dim) == ("f64", 256):
            continue
        for name, given in FLAT.items():
            made[f"{name}-{dtype}-{head_dim}"] = {
                "attnfuzz": 1, "problem": problem(dtype, head_dim, given) | {"q_len": given["q_len"], "kv_len": given["kv_len"]},
                "data": {"seed": seed, "dist": given.get("dist", "normal"), "nonfinite": "none"}}
        for name, given in PAGED.items() if dtype != "f64" else ():
            steps = [{"op": op, "q_len": count} for op, count in given["steps"]]
            made[f"{name}-{dtype}-{head_dim}"] = {
                "attnfuzz": 1, "problem": problem(dtype, head_dim, {"rules": CAUSAL} | given),
                "data": {"seed": seed, "dist": "normal", "nonfinite": "none"},
                "cache": {"kind": "paged", "capacity": sum(count for _, count in given["steps"]), "page_size": given["page_size"]},
                "steps": steps}
    return made


def write(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    for name, case in cases().items():
        (folder / f"{name}.case.json").write_text(json.dumps(case, indent=1) + "\n")
    return len(cases())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(f"{write(Path(sys.argv[1]))} cases in {sys.argv[1]}")
