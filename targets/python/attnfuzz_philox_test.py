"""attnfuzz_philox gives the same bits as the C++ side, and Philox itself what its authors published."""
import random

import numpy as np
import pytest

import attnfuzz_normal
import attnfuzz_philox as philox
from dump_reader import dumped_cases

TYPES = {"f64": np.float64, "f32": np.float32, "f16": np.float16, "bf16": np.uint16, "e4m3": np.uint8, "e5m2": np.uint8}


# Random123's kat_vectors, philox4x32 with 10 rounds: counter, key, result.
@pytest.mark.parametrize(("counter", "key", "result"), [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
])
def test_published_vectors(counter, key, result):
    c, k, want = ([int(word, 16) for word in text.split()] for text in (counter, key, result))
    words = attnfuzz_normal.philox(k[0] | k[1] << 32, np.array([c[0] | c[1] << 32], np.uint64), c[2] | c[3] << 32)
    assert [int(word[0]) for word in words] == want


def random_rules(draw, p):
    """A few mask rules for a problem without a cache; documents only where there are tokens to share out."""
    lens = lambda: [draw.randint(0, p["kv_len"]) for _ in range(p["batch"])]
    shape = lambda: draw.choice(["qk", "bqk", "hqk", "bhqk"])
    cut = draw.randint(1, p["kv_len"]) if p["kv_len"] else 0
    known = [
        {"rule": "causal"},
        {"rule": "window", "left": draw.randint(0, 5), "right": draw.randint(0, 5)},
        {"rule": "chunk", "size": draw.randint(1, 5), "origin": draw.choice(["slot", "token"])},
        {"rule": "prefix", "lens": lens()},
        {"rule": "documents", "lens": [n for n in (cut, p["kv_len"] - cut) if n]},
        {"rule": "padding", "side": draw.choice(["left", "right"]), "lens": lens()},
        {"rule": "boolean", "shape": shape(), "keep": draw.randint(0, 100)},
        {"rule": "bias", "shape": shape()},
        {"rule": "alibi"},
        {"rule": "block_sparse", "shape": shape(), "q_block": draw.randint(1, 5), "kv_block": draw.randint(1, 5),
         "keep": draw.randint(0, 100)},
        {"rule": "indices", "shape": shape(), "q_block": draw.randint(1, 3), "count": draw.randint(1, 14), "keep": draw.randint(0, 100)},
        {"rule": "dilated", "step": draw.randint(1, 4)},
        {"rule": "spans", "lens": [n for n in (cut, p["kv_len"] - cut) if n]},
        {"rule": "tree", "parents": [draw.randint(-1, n - 1) for n in range(draw.randint(0, p["kv_len"]))]},
        {"rule": "relative_bias", "buckets": draw.randint(4, 9), "max_distance": draw.randint(1, 12),
         "direction": draw.choice(["both", "past"]), "spacing": draw.choice(["linear", "log"])},
    ]
    return draw.sample(known, draw.randint(0, 4))


def packed_rules(draw, p):
    """Two sequences, with rules of positions beside them."""
    q_len, kv_len = draw.randint(0, p["q_len"]), draw.randint(0, p["kv_len"])
    return [{"rule": "causal"}, {"rule": "alibi"}, {"rule": "bias", "shape": "qk"},
            {"rule": "packed", "q_lens": [q_len, p["q_len"] - q_len], "kv_lens": [kv_len, p["kv_len"] - kv_len]}]


def random_case(draw):
    kv_heads = draw.randint(1, 3)
    p = {"batch": draw.randint(1, 3), "num_heads": kv_heads * draw.randint(1, 3), "num_kv_heads": kv_heads,
         "q_len": draw.randint(0, 9), "kv_len": draw.randint(0, 12), "head_dim": draw.randint(1, 9),
         "head_dim_v": draw.randint(1, 9), "dtype": draw.choice(list(TYPES)), "layout": draw.choice(["bhsd", "bshd"]),
         "scale": None, "softcap": 0, "sinks": draw.random() < 0.5, "memory_kv": draw.randint(0, 2),
         "head_map": "grouped", "bias_order": "after_softcap", "fully_masked": "zero",
         "mask": {"align": draw.choice(["top_left", "bottom_right"]), "rules": []}}
    case = {"attnfuzz": 1, "problem": p,
            "data": {"seed": draw.choice([0, 7, 2**32, 2**64 - 1, draw.getrandbits(64)]),
                     "dist": draw.choice(["normal", "large", "constant", "one_hot", "tiny", "huge", "far_below", "cancelling"]),
                     "nonfinite": draw.choice(["none", "nan_padding", "inf_padding", "inf_value"])}}
    if draw.random() < 0.7:
        p["mask"]["rules"] = packed_rules(draw, p) if draw.random() < 0.2 else random_rules(draw, p)
        if draw.random() < 0.2:
            case["data"]["nonfinite"] = draw.choice(["nan_hidden", "inf_hidden"])
        used = {r["rule"] for r in p["mask"]["rules"]}
        if "bias" in used and "relative_bias" not in used and p["dtype"] != "e4m3" and draw.random() < 0.5:
            case["data"]["nonfinite"] = "inf_bias"
        if draw.random() < 0.2 and case["data"]["nonfinite"] == "none":
            p["strides"] = "shared"
        if draw.random() < 0.4:
            p["dropout_keep"] = draw.randint(1, 99)
        if draw.random() < 0.4:
            p["outputs"] = ["out", draw.choice(["dq", "dk", "dv"])]
        return case
    del p["q_len"], p["kv_len"]
    case["cache"] = {"kind": "dynamic"}
    case["steps"] = [{"op": "prefill", "q_len": 5, "lens": [draw.randint(0, 5) for _ in range(p["batch"])]},
                     {"op": "reorder", "rows": [0] * p["batch"]}, {"op": "decode", "q_len": 1},
                     {"op": "append", "q_len": draw.randint(0, 4)}]
    return case


def with_a_state(draw, case):
    """The case made one of attention with a state."""
    p = case["problem"]
    p.update(kind=draw.choice(["linear", "retnet", "ssd", "delta", "gated_delta"]), sinks=False, memory_kv=0)
    p["mask"] = {"align": "top_left", "rules": [{"rule": "causal"}]}
    for option in ("dropout_keep", "outputs", "rope", "rope_base", "strides"):
        p.pop(option, None)
    for option in ("quant", "scales"):
        case.get("cache", {}).pop(option, None)
    case["data"].update(dist=draw.choice(["normal", "constant", "one_hot", "tiny"]), nonfinite="none")
    if "cache" not in case:
        p["kv_len"] = p["q_len"]
    return case


def test_same_bits_as_cpp(tmp_path):
    draw = random.Random(1)
    cases = [random_case(draw) for _ in range(300)]
    others = [random_case(draw) for _ in range(100)]
    cases += [with_a_state(draw, case) for case in others if case.get("cache", {}).get("kind") != "cross"]
    made = dumped_cases("ATTNFUZZ_DUMP_INPUTS", cases, tmp_path, TYPES)
    for case, want in zip(cases, made):
        got = philox.inputs(case)
        assert set(got) == set(want)
        for name, array in want.items():
            assert got[name].dtype == array.dtype and got[name].shape == array.shape, (name, case)
            assert got[name].tobytes() == array.tobytes(), (name, case)


@pytest.mark.parametrize("dtype", ["bf16", "e4m3", "e5m2"])
def test_raw_types_round_trip(dtype):
    codes = np.arange(2 ** (8 * np.dtype(TYPES[dtype]).itemsize)).astype(TYPES[dtype])
    values = philox.decode(codes, dtype)
    numbers = ~np.isnan(values)
    assert (philox.encode(values, dtype)[numbers] == codes[numbers]).all()
