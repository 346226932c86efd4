"""Case files are valid by case.schema.json, and files that are wrong are not."""
import copy
import json
from pathlib import Path

import jsonschema
import pytest

HERE = Path(__file__).resolve().parent
SCHEMA = json.loads((HERE / "case.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
CASES = sorted(HERE.glob("*/*.case.json"))

PROBLEM = {"batch": 2, "num_heads": 4, "num_kv_heads": 2, "q_len": 8, "kv_len": 11, "head_dim": 16, "head_dim_v": 16,
           "dtype": "f32", "layout": "bhsd", "scale": None, "softcap": 0, "sinks": False, "memory_kv": 0,
           "head_map": "grouped", "bias_order": "after_softcap", "fully_masked": "zero",
           "mask": {"align": "top_left", "rules": [{"rule": "causal"}, {"rule": "window", "left": 3, "right": 0},
                                                   {"rule": "padding", "side": "left", "lens": [3, 11]}]}}
PLAIN = {"attnfuzz": 1, "problem": PROBLEM, "data": {"seed": 7, "dist": "normal", "nonfinite": "none"},
         "expect": {"cpu:naive": "pass", "specimen:x": "fail:error", "specimen:y": "fail:shape kv-heads"}}
CACHED = {**PLAIN, "problem": {**{k: v for k, v in PROBLEM.items() if k not in ("q_len", "kv_len")},
                               "mask": {"align": "top_left", "rules": []}},
          "cache": {"kind": "paged", "capacity": 64, "page_size": 16},
          "steps": [{"op": "prefill", "q_len": 5, "lens": [5, 3]}, {"op": "decode", "q_len": 1},
                    {"op": "reorder", "rows": [1, 0]}, {"op": "crop", "length": 4}, {"op": "reset"}]}


def test_the_schema_itself():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert CASES


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_corpus(file):
    VALIDATOR.validate(json.loads(file.read_text()))


LISTS = {**PLAIN, "data": {"given": {"q": [1, -0.5, "NaN"], "k": ["inf", "-inf"], "mask": [0, 1]}}}
FILE = {**PLAIN, "data": {"given": "0003.safetensors"}}
BYTES = {**CACHED, "data": {"given": "base64:AAAA"}}


@pytest.mark.parametrize("case", [PLAIN, CACHED, LISTS, FILE, BYTES], ids=["plain", "cached", "lists", "file", "bytes"])
def test_valid(case):
    VALIDATOR.validate(case)


GONE = object()


@pytest.mark.parametrize(("case", "path", "value"), [
    (PLAIN, "attnfuzz", 2),
    (PLAIN, "data", GONE),
    (LISTS, "data/seed", 1),
    (LISTS, "data/given/q", 1),
    (LISTS, "data/given/q/0", "one"),
    (FILE, "data/given", "0003.npz"),
    (BYTES, "data/given", "base64:*"),
    (PLAIN, "problem/batch", "2"),
    (PLAIN, "problem/batch", -1),
    (PLAIN, "problem/batch", 2.5),
    (PLAIN, "problem/head_dim", 0),
    (PLAIN, "problem/q_len", GONE),
    (PLAIN, "problem/dtype", "fp32"),
    (PLAIN, "problem/scale", "auto"),
    (PLAIN, "problem/softcap", -1),
    (PLAIN, "problem/soft_cap", 1),
    (PLAIN, "problem/mask/rules/0/rule", "casual"),
    (PLAIN, "problem/mask/rules/0/left", 3),
    (PLAIN, "problem/mask/rules/1/left", -1),
    (PLAIN, "problem/mask/rules/1/right", GONE),
    (PLAIN, "problem/mask/rules/2/side", 0),
    (PLAIN, "problem/mask/rules/2/lens", 3),
    (PLAIN, "data/seed", -1),
    (PLAIN, "data/seed", 2**64),
    (PLAIN, "expect/cpu:naive", "fail"),
    (PLAIN, "expect/cpu:naive", "pass kv-heads"),
    (PLAIN, "steps", []),
    (CACHED, "steps", GONE),
    (CACHED, "problem/q_len", 1),
    (CACHED, "cache/kind", "fixed"),
    (CACHED, "cache/page_size", GONE),
    (CACHED, "steps/1/q_len", 2),
    (CACHED, "steps/4/q_len", 1),
    (CACHED, "steps/2/rows", GONE),
    (CACHED, "steps/3/op", "cut"),
])
def test_broken(case, path, value):
    broken = copy.deepcopy(case)
    *parents, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    place = broken
    for part in parents:
        place = place[part]
    if value is GONE:
        del place[last]
    else:
        place[last] = value
    assert not VALIDATOR.is_valid(broken)
