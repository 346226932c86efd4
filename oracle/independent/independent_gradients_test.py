"""The C++ oracle's log-sum-exp and gradients are those of an implementation written apart from it."""
import json
import random

import numpy as np

import independent_gradients
from dump_reader import dumped_cases
from independent_answer_test import packed_rules, random_problem, rules_without_cache

BY_LAYOUT = ("out", "dq", "dk", "dv")


def random_case(draw):
    p = random_problem(draw) | {"q_len": draw.randint(0, 5), "kv_len": draw.randint(0, 6), "fully_masked": "zero"}
    p |= {"head_dim": draw.randint(1, 5), "head_dim_v": draw.randint(1, 5), "dtype": draw.choice(["f64", "f32", "bf16"])}
    rules = [rule for rule in rules_without_cache(draw, p) if p["kv_len"] or rule["rule"] != "documents"]
    p["mask"]["rules"] = packed_rules(draw, p) if draw.random() < 0.2 else draw.sample(rules, draw.randint(0, 3))
    if draw.random() < 0.4:
        p["dropout_keep"] = draw.choice([30, 50, 90])
    biased = any(rule["rule"] in ("bias", "alibi", "relative_bias") for rule in p["mask"]["rules"])
    p["outputs"] = ["out", "lse", "dq", "dk", "dv", *(["dbias"] if biased else []), *(["dsinks"] if p["sinks"] else []),
                    *(["dmem_k", "dmem_v"] if p["memory_kv"] else [])]
    return {"attnfuzz": 1, "problem": p,
            "data": {"seed": draw.getrandbits(32), "dist": draw.choice(["normal", "normal", "large", "one_hot"]),
                     "nonfinite": "none"}}


def differences(case, want, got):
    """Words for what differs, empty if nothing does."""
    swap = case["problem"]["layout"] == "bshd"
    for name, right in want.items():
        array, bound = got[f"{name}.0"], got["bound.0" if name == "out" else f"{name}.bound.0"]
        if swap and name in BY_LAYOUT:
            array, bound = array.swapaxes(1, 2), bound.swapaxes(1, 2)
        if array.shape != right.shape:
            yield f"{name}: shape {array.shape}, want {right.shape}"
            continue
        checked = np.isfinite(bound) & np.isfinite(right)
        if name != "lse" and not checked.all():
            yield f"{name}: unchecked elements"
        error = np.abs(array[checked] - right[checked])
        size = 1 + np.abs(right[checked]).max(initial=0)
        if (error > bound[checked] + 1e-12 * size).any() or (error > 1e-9 * size).any():
            yield f"{name}: off by up to {error.max()}"


def test_gradients_agree(tmp_path):
    draw = random.Random(5)
    cases = [random_case(draw) for _ in range(60)]
    answers = dumped_cases("ATTNFUZZ_DUMP_ANSWERS", cases, tmp_path)
    compared = 0
    for case, got in zip(cases, answers):
        want = independent_gradients.more_outputs(case)
        assert not list(differences(case, want, got)), json.dumps(case)
        compared += sum(array.size for array in want.values())
    assert compared > 5000


def test_a_wrong_gradient_is_noticed(tmp_path):
    case = random_case(random.Random(8))
    case["problem"] |= {"q_len": 3, "kv_len": 3, "scale": 2}
    case["problem"]["mask"]["rules"], case["problem"]["outputs"] = [], ["out", "dq"]
    got = dumped_cases("ATTNFUZZ_DUMP_ANSWERS", [case], tmp_path)[0]
    assert not list(differences(case, independent_gradients.more_outputs(case), got))
    got["dq.0"] = got["dq.0"] / 2
    assert list(differences(case, independent_gradients.more_outputs(case), got))
