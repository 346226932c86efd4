"""The C++ oracle gives what a NumPy implementation written apart from it gives."""
import json
import random

import numpy as np

import independent_answer
import independent_state
from dump_reader import dumped_cases

DTYPES = ["f64", "f32", "f16", "bf16", "e4m3", "e5m2"]


def random_problem(draw):
    kv_heads = draw.randint(1, 3)
    return {"batch": draw.randint(1, 3), "num_heads": kv_heads * draw.randint(1, 3), "num_kv_heads": kv_heads,
            "q_len": draw.randint(0, 9), "kv_len": draw.randint(0, 14), "head_dim": draw.randint(1, 12),
            "head_dim_v": draw.randint(1, 12), "dtype": draw.choice(DTYPES), "layout": draw.choice(["bhsd", "bshd"]),
            "scale": draw.choice([None, 0.25, -0.5, 2]), "softcap": draw.choice([0, 0, 1.5, 30]),
            "sinks": draw.random() < 0.3, "memory_kv": draw.choice([0, 0, 1, 3]),
            "head_map": draw.choice(["grouped", "interleaved"]),
            "bias_order": draw.choice(["after_softcap", "before_softcap"]),
            "fully_masked": draw.choice(["zero", "nan", "uniform", "any"]),
            "mask": {"align": draw.choice(["top_left", "bottom_right"]), "rules": []}}


def rules_for_caches(draw):
    return [{"rule": "causal"}, {"rule": "window", "left": draw.randint(0, 6), "right": draw.randint(0, 3)},
            {"rule": "chunk", "size": draw.randint(1, 6), "origin": "slot"}, {"rule": "alibi"},
            {"rule": "dilated", "step": draw.randint(1, 4)},
            {"rule": "relative_bias", "buckets": draw.randint(4, 9), "max_distance": draw.randint(1, 12),
             "direction": draw.choice(["both", "past"]), "spacing": draw.choice(["linear", "log"])}]


def rules_without_cache(draw, p):
    lens = lambda: [draw.randint(0, p["kv_len"]) for _ in range(p["batch"])]
    shape = lambda: draw.choice(["qk", "bqk", "hqk", "bhqk"])
    cut = draw.randint(1, p["kv_len"]) if p["kv_len"] else 0
    return rules_for_caches(draw) + [
        {"rule": "prefix", "lens": lens()},
        {"rule": "documents", "lens": [n for n in (cut, p["kv_len"] - cut) if n]},
        {"rule": "padding", "side": draw.choice(["left", "right"]), "lens": lens()},
        {"rule": "spans", "lens": [n for n in (cut, p["kv_len"] - cut) if n]},
        {"rule": "tree", "parents": [draw.randint(-1, n - 1) for n in range(draw.randint(0, p["kv_len"]))]},
        {"rule": "block_sparse", "shape": shape(), "q_block": draw.randint(1, 5), "kv_block": draw.randint(1, 5),
         "keep": draw.randint(20, 100)},
        {"rule": "indices", "shape": shape(), "q_block": draw.randint(1, 3), "count": draw.randint(1, 16),
         "keep": draw.randint(20, 100)},
        {"rule": "boolean", "shape": shape(), "keep": draw.randint(20, 100)},
        {"rule": "bias", "shape": shape()},
    ]


def packed_rules(draw, p):
    """Sequences of different lengths, some of 0, with rules that may stand beside them."""

    def lens(total, count):
        cuts = sorted(draw.randint(0, total) for _ in range(count - 1))
        return [end - begin for begin, end in zip([0, *cuts], [*cuts, total])]

    count = draw.randint(1, 5)
    beside = [rule for rule in rules_without_cache(draw, p) if rule["rule"] in
              ("causal", "window", "alibi", "dilated", "relative_bias", "boolean", "bias")]
    return [*draw.sample(beside, draw.randint(0, 2)),
            {"rule": "packed", "q_lens": lens(p["q_len"], count), "kv_lens": lens(p["kv_len"], count)}]


def longest(batch, steps):
    """The most tokens that a row has after the steps."""
    rows = [independent_answer.Row() for _ in range(batch)]
    for step in steps:
        if "q_len" not in step:
            rows = independent_answer.change(step, rows, {})
            continue
        for row, count in zip(rows, step.get("lens") or [step.get("kv_len", step["q_len"])] * batch):
            for _ in range(count):
                row.add(None)
    return max(len(row.at) for row in rows)


def random_steps(draw, batch, cache):
    """Rows of up to 12 tokens; what a cache that has forgotten tokens cannot do is left out."""
    kind = cache["kind"]
    cross, forgets = kind == "cross", kind in ("ring", "chunked", "hybrid", "sink_window")
    ragged = lambda most, chance: ({"lens": [draw.randint(int(cross), most) for _ in range(batch)],
                                    "side": draw.choice(["left", "right"])} if draw.random() < chance else {})
    fill = lambda: {"op": "prefill", "q_len": 5, **({"kv_len": 7} if cross else {}), **ragged(7 if cross else 5, 0.5)}
    steps = [fill()]
    for _ in range(draw.randint(1, 5)):
        ops = ["append", "decode", "reorder", "fork"] + ([] if cross or forgets else ["crop", "evict"])
        op = draw.choice(ops)
        if op == "reorder":
            steps.append({"op": op, "rows": [draw.randrange(batch) for _ in range(batch)]})
        elif op == "fork":
            steps.append({"op": op, "from": draw.randrange(batch), "to": draw.randrange(batch)})
        elif op == "crop":
            steps.append({"op": op, "length": 0})
        elif op == "evict":
            steps.append({"op": op, "start": draw.randint(0, 4), "count": draw.randint(1, 3)})
        else:
            q_len = 1 if op == "decode" else draw.randint(0, 4)
            steps.append({"op": op, "q_len": q_len, **({"kv_len": 0} if cross else ragged(q_len, 0.3))})
        if op == "crop":
            steps[-1]["length"] = draw.randint(0, longest(batch, steps[:-1]))
    if draw.random() < 0.3:
        steps += [{"op": "reset"}, fill()]
    return steps


LIMITS = {"dynamic": lambda draw: {}, "fixed": lambda draw: {"capacity": 64}, "cross": lambda draw: {},
          "paged": lambda draw: {"capacity": 64, "page_size": 4}, "ring": lambda draw: {"capacity": draw.randint(1, 6)},
          "chunked": lambda draw: {"capacity": draw.randint(1, 6)}, "hybrid": lambda draw: {"capacity": draw.randint(1, 6)},
          "sink_window": lambda draw: {"capacity": draw.randint(3, 6), "keep": draw.randint(1, 2)}}


def random_cache(draw, case):
    kind = draw.choice(list(LIMITS))
    cache = {"kind": kind, **LIMITS[kind](draw), "positions": draw.choice(["kept", "shifted"])}
    if case["data"]["nonfinite"] != "inf_value" and draw.random() < 0.3:
        cache |= {"quant": draw.choice(["int8", "e4m3", "e5m2"]), "scales": draw.choice(["token", "head"])}
    if "quant" in cache and "rope" in case["problem"]:
        cache["positions"] = "kept"
    return cache


def random_scaling(draw):
    law = draw.choice(["linear", "ntk", "dynamic_ntk", "yarn", "llama3"])
    scaling = {"law": law, "factor": draw.choice([1.5, 2, 4, 8])}
    if law in ("dynamic_ntk", "yarn", "llama3"):
        scaling["original_len"] = draw.choice([3, 5, 10, 31, 100])
    if law in ("yarn", "llama3"):
        low = scaling["original_len"] / draw.choice([9, 20, 70])  # yarn's ramp ends behind the first pair
        scaling |= {"low": low, "high": low * draw.choice([2.5, 4, 32])}
    if draw.random() < 0.4:
        scaling["magnitude"] = draw.choice([0.75, 1.1, 1.2])
    if law == "yarn" and draw.random() < 0.3:
        scaling["truncate"] = False
    return scaling


def random_case(draw):
    p = random_problem(draw)
    case = {"attnfuzz": 1, "problem": p,
            "data": {"seed": draw.getrandbits(32), "dist": draw.choice(
                ["normal", "normal", "large", "one_hot", "tiny", "huge", "far_below", "cancelling"]),
                     "nonfinite": draw.choice(["none", "none", "nan_padding", "inf_padding", "inf_value"])}}
    if p["head_dim"] % 2 == 0 and draw.random() < 0.4:
        p |= {"rope": draw.choice(["half", "interleaved"]), "rope_base": draw.choice([10000, 500000, 7.5])}
    if p["head_dim"] > 2 and draw.random() < 0.2:
        p |= {"rope": draw.choice(["half", "interleaved"]), "rope_dim": 2 * draw.randint(1, (p["head_dim"] - 1) // 2),
              "rope_part": draw.choice(["first", "last"])}
    if "rope" in p and draw.random() < 0.5:
        p["rope_scaling"] = random_scaling(draw)
    if draw.random() < 0.5:
        rules = rules_without_cache(draw, p)
        if not p["kv_len"]:
            rules = [rule for rule in rules if rule["rule"] not in ("documents", "spans")]
        dynamic = p.get("rope_scaling", {}).get("law") == "dynamic_ntk"
        packed = draw.random() < 0.25 and not dynamic
        p["mask"]["rules"] = packed_rules(draw, p) if packed else draw.sample(rules, draw.randint(0, 3))
        longer = any(q > kv for rule in p["mask"]["rules"] if rule["rule"] == "packed"
                     for q, kv in zip(rule["q_lens"], rule["kv_lens"]))
        if "rope" in p and p["q_len"] <= p["kv_len"] and not longer and draw.random() < 0.4:
            p["rope_positions"] = [draw.randint(0, 60) for _ in range(p["kv_len"])]
        above = p["softcap"] and p["bias_order"] == "before_softcap"
        if draw.random() < 0.2:
            case["data"]["nonfinite"] = draw.choice(["nan_hidden", "inf_hidden"])
        used = {r["rule"] for r in p["mask"]["rules"]}
        if "bias" in used and "relative_bias" not in used and p["dtype"] != "e4m3" and not above:
            case["data"]["nonfinite"] = draw.choice(["none", "inf_bias", "inf_bias"])
        if case["data"]["nonfinite"] == "none" and draw.random() < 0.2:
            p["strides"] = "shared"
        return case
    del p["q_len"], p["kv_len"]
    if p.get("rope_scaling", {}).get("law") == "dynamic_ntk":
        del p["rope_scaling"]
    case["cache"] = random_cache(draw, case)
    case["steps"] = random_steps(draw, p["batch"], case["cache"])
    p["mask"]["rules"] = draw.sample(rules_for_caches(draw), draw.randint(0, 3))
    if case["cache"]["kind"] == "cross":
        p["mask"]["rules"] = []
        for key in ("rope", "rope_base", "rope_dim", "rope_part", "rope_scaling"):
            p.pop(key, None)
    return case


def differences(case, want, got):
    """Words for what differs, empty if nothing does."""
    for n, step in enumerate(want):
        for what in ("lengths", "positions"):
            if what in step and list(got[f"{what}.{n}"]) != step[what]:
                yield f"step {n}: {what} {got[f'{what}.{n}']}, want {step[what]}"
        if "capacity" in step and got[f"capacity.{n}"][0] != step["capacity"]:
            yield f"step {n}: capacity {got[f'capacity.{n}'][0]}, want {step['capacity']}"
        if step["out"] is None:
            if f"out.{n}" in got:
                yield f"step {n}: an output that nobody asked for"
            continue
        out, bound = got[f"out.{n}"], got[f"bound.{n}"]
        if case["problem"]["layout"] == "bshd":
            out, bound = out.swapaxes(1, 2), bound.swapaxes(1, 2)
        if out.shape != step["out"].shape:
            yield f"step {n}: shape {out.shape}, want {step['out'].shape}"
            continue
        checked = np.isfinite(bound)
        finite = np.isfinite(step["out"]) & checked
        other = ~np.isfinite(step["out"]) & checked
        if not np.array_equal(out[other], step["out"][other].astype(np.float64), equal_nan=True):
            yield f"step {n}: infinities and NaNs differ"
        error = np.abs(out[finite] - step["out"][finite])
        size = 1 + np.abs(step["out"][finite]).max(initial=0)
        if (error > 1e-12 * (1 + step["scores"]) * size).any() or (error > bound[finite]).any():
            yield f"step {n}: off by up to {error.max()}"


def test_oracle_agrees(tmp_path):
    draw = random.Random(20)
    cases = [random_case(draw) for _ in range(400)]
    answers = dumped_cases("ATTNFUZZ_DUMP_ANSWERS", cases, tmp_path)
    compared = 0
    for case, got in zip(cases, answers):
        want = independent_answer.answer(case)
        assert not list(differences(case, want, got)), json.dumps(case)
        compared += sum(0 if step["out"] is None else step["out"].size for step in want)
    assert compared > 50000


def random_state_case(draw):
    kv_heads = draw.randint(1, 3)
    p = {"kind": draw.choice(["linear", "retnet", "ssd", "delta", "gated_delta"]), **random_problem(draw)}
    p.update(num_kv_heads=kv_heads, num_heads=kv_heads * draw.randint(1, 3), softcap=0, sinks=False, memory_kv=0,
             bias_order="after_softcap", fully_masked="zero")
    p["kv_len"] = p["q_len"] = draw.randint(0, 20)
    p["mask"] = {"align": "top_left", "rules": [{"rule": "causal"}]}
    dist = ["normal", "normal", "constant", "one_hot", "tiny"] + ([] if "delta" in p["kind"] else ["large"])
    case = {"attnfuzz": 1, "problem": p,
            "data": {"seed": draw.getrandbits(32), "dist": draw.choice(dist), "nonfinite": "none"}}
    if draw.random() < 0.5:
        cut = draw.randint(1, p["kv_len"]) if p["kv_len"] else 0
        if draw.random() < 0.4:
            p["mask"]["rules"].append({"rule": "documents", "lens": [n for n in (cut, p["kv_len"] - cut) if n]})
        return case
    del p["q_len"], p["kv_len"]
    case["cache"] = {"kind": "dynamic"}
    case["steps"] = [step for step in random_steps(draw, p["batch"], {"kind": "ring"})]
    for step in case["steps"]:
        if step.get("lens") and draw.random() < 0.5:
            step["side"] = "left"
    if draw.random() < 0.3:
        case["steps"] += [{"op": "fork", "from": 0, "to": p["batch"] - 1}, {"op": "decode", "q_len": 1}]
    case["data"]["nonfinite"] = draw.choice(["none", "nan_padding", "inf_padding"])
    return case


def test_states_agree(tmp_path):
    draw = random.Random(21)
    cases = [random_state_case(draw) for _ in range(250)]
    compared = 0
    for case, got in zip(cases, dumped_cases("ATTNFUZZ_DUMP_ANSWERS", cases, tmp_path), strict=True):
        want = independent_state.answer(case)
        assert not list(differences(case, want, got)), json.dumps(case)
        compared += sum(0 if step["out"] is None else np.isfinite(step["out"]).sum() for step in want)
    assert compared > 20000


def test_a_wrong_answer_is_noticed(tmp_path):
    case = random_case(random.Random(3))
    case["problem"]["q_len"] = case["problem"]["kv_len"] = 3
    case["problem"]["mask"]["rules"] = []
    case["data"]["nonfinite"] = "none"
    case = {key: case[key] for key in ("attnfuzz", "problem", "data")}
    got = dumped_cases("ATTNFUZZ_DUMP_ANSWERS", [case], tmp_path)[0]
    case["problem"]["scale"] = 0.123
    assert list(differences(case, independent_answer.answer(case), got))
