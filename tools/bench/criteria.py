#!/usr/bin/env python3
"""How well rules for "is it right?" tell right attention from wrong, in bfloat16: prints the table of docs/comparison.md.

    PYTHONPATH=build/release/python .venv/bin/python tools/bench/criteria.py [CASES]

Right: PyTorch's math in float32, rounded to bfloat16 (p too). Wrong: the same with the last visible key of one query row
left out, when that row sees 64 keys or more. Each rule is asked about both. A rule should never call right wrong.
"""
import json
import sys

import torch

from attnfuzz import Case, _core

CLAIMS = json.dumps({
    "sizes": {"batch": [1, 4], "num_heads": [1, 8], "num_kv_heads": [1, 8], "q_len": [8, 96], "kv_len": [64, 512],
              "head_dim": [8, 64, 8], "head_dim_v": [8, 64, 8]},
    "features": ["dtype:bf16", "layout:bhsd", "cross", "longer_q", "rule:causal", "rule:window", "align:top_left",
                 "align:bottom_right"],
    "equal": [["head_dim", "head_dim_v"]],
})


def attention(q, k, v, seen, dtype):
    """softmax(q·kᵀ/√d)·v, computed in float32 with p rounded to `dtype`."""
    scores = q.float() @ k.float().transpose(-1, -2) * q.shape[-1] ** -0.5
    p = scores.masked_fill(~seen, -torch.inf).softmax(-1).to(dtype).float()
    return (p @ v.float()).to(dtype)


def in_half(q, k, v, seen):
    """PyTorch's own arithmetic in the inputs' type, as flash-attention's tests take for a yardstick."""
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    return scores.masked_fill(~seen, -torch.inf).softmax(-1) @ v


def attnfuzz_bound(case, t, out, exact):
    try:
        case.check(out)
    except AssertionError:
        return False
    return True


def assert_close(case, t, out, exact):
    return torch.allclose(out.float(), exact, rtol=1.6e-2, atol=1e-5)  # the defaults for bfloat16


def allclose_1e2(case, t, out, exact):
    return torch.allclose(out.float(), exact, rtol=1e-2, atol=1e-2)


def twice_the_yardstick(case, t, out, exact):
    yardstick = (in_half(t["q"], t["k"], t["v"], t["seen"]).float() - exact).abs().max()
    return bool((out.float() - exact).abs().max() <= 2 * yardstick)


RULES = {
    "attnfuzz: the derived bound, element by element": attnfuzz_bound,
    "torch.testing.assert_close, its defaults for bfloat16": assert_close,
    "allclose with rtol = atol = 1e-2": allclose_1e2,
    "largest error ≤ 2 × that of PyTorch in bfloat16 (flash-attention's tests)": twice_the_yardstick,
}


def main(count):
    alarms, caught, asked, wrongs, index = dict.fromkeys(RULES, 0), dict.fromkeys(RULES, 0), 0, 0, 0
    while wrongs < count:
        case = Case(_core.generate(CLAIMS, 1, index))
        index += 1
        t = case.inputs("torch")
        shape = (*t["q"].shape[:3], t["k"].shape[2])
        t["seen"] = seen = t.get("mask", torch.ones(shape, dtype=torch.bool))
        if not seen.any(-1).all():
            continue
        asked += 1
        exact = torch.from_numpy(case.expected()[0]).float()
        right = attention(t["q"], t["k"], t["v"], seen, torch.bfloat16)
        for name, rule in RULES.items():
            alarms[name] += not rule(case, t, right, exact)
        rows = (seen.sum(-1) >= 64).nonzero()
        if not len(rows):
            continue
        row = tuple(rows[len(rows) // 2].tolist())
        fewer = seen.clone()
        fewer[row][seen[row].nonzero()[-1]] = False
        wrong = attention(t["q"], t["k"], t["v"], fewer, torch.bfloat16)
        wrongs += 1
        for name, rule in RULES.items():
            caught[name] += not rule(case, t, wrong, exact)
    print(f"| rule | right called wrong, of {asked} | a dropped key seen, of {wrongs} |")
    print("|---|---|---|")
    for name in RULES:
        print(f"| {name} | {alarms[name]} | {caught[name]} ({100 * caught[name] / wrongs:.0f}%) |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
