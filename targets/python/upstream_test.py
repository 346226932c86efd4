"""The documented bugs in the releases that have them, and the same cases in the releases that don't.

Each row runs one case on one target in its pinned environment (environments.toml); an environment that is not installed is
skipped, by name. Texts are what the package itself said.
"""
from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import env

HERE = Path(__file__).resolve().parent
CAUSAL = {"rule": "causal"}
WINDOW = {"rule": "window", "left": 2, "right": 0}
LEFT = {"rule": "padding", "side": "left", "lens": [5, 8]}
GENERATE = [{"op": "prefill", "q_len": 8}, {"op": "decode", "q_len": 1}]


def chunk(size: int, origin: str = "slot") -> dict:
    return {"rule": "chunk", "size": size, "origin": origin}


def case(*rules: dict, steps: list | None = None, cache: dict | None = None, **sizes) -> dict:
    """A case of two rows of eight tokens, four heads over two, head size 16, unless said otherwise."""
    problem = {"batch": 2, "num_heads": 4, "num_kv_heads": 2, "head_dim": 16, "head_dim_v": 16, "dtype": "f32",
               "layout": "bhsd", "scale": None, "softcap": 0, "sinks": False, "memory_kv": 0, "head_map": "grouped",
               "bias_order": "after_softcap", "fully_masked": "any", "mask": {"align": "bottom_right", "rules": list(rules)}}
    problem |= ({} if steps else {"q_len": 8, "kv_len": 8}) | sizes
    return {"attnfuzz": 1, "problem": problem, "data": {"seed": 7, "dist": "normal", "nonfinite": "none"}} | (
        {"cache": cache or {"kind": "dynamic"}, "steps": steps} if steps else {})


EAGER = case(CAUSAL, chunk(4), LEFT)
FLEX = case(CAUSAL, chunk(8192), steps=GENERATE)
SWA = case(CAUSAL, WINDOW)
MEMORY = case(num_kv_heads=1, memory_kv=3, q_len=5, kv_len=5)
STATIC = case(CAUSAL, steps=[{"op": "prefill", "q_len": 2}, {"op": "decode", "q_len": 1}], batch=1, num_heads=1,
              num_kv_heads=1, cache={"kind": "fixed", "capacity": 4})
VALUE = case(memory_kv=3, head_dim_v=8)
A_B = "The size of tensor a (8) must match the size of tensor b (2) at non-singleton dimension 0"
BLOCK = "block_mask was created for block_mask.shape=(2, 1, 8, tensor(8192)) but got q_len=8 and kv_len=8"
PAD = "pad(): argument 'pad' failed to unpack the object at pos 2 with error \"type must be tuple of ints,but got NoneType\""
CAT = "Expected size 4 but got size 1 for tensor number 1 in the list."
EXPAND = "The expanded size of the tensor (5) must match the existing size (8) at non-singleton dimension 2"

ROWS = [  # environment, target, case, verdict, text
    ("transformers-4.51.0", "transformers:llama4-eager", EAGER, "error", A_B),
    ("transformers-4.51.0", "transformers:llama4-sdpa", EAGER, "error", A_B),
    ("transformers-4.51.1", "transformers:llama4-eager", EAGER, "error", A_B),
    ("transformers-4.51.2", "transformers:llama4-eager", EAGER, "pass", ""),
    ("transformers-4.51.3", "transformers:llama4-sdpa", EAGER, "pass", ""),
    ("transformers-5.24.0", "transformers:llama4-sdpa", EAGER, "mismatch", ""),  # counts chunks from the first token
    ("transformers-5.24.0", "transformers:llama4-sdpa", case(CAUSAL, chunk(4, "token"), LEFT), "pass", ""),
    ("transformers-4.51.0", "transformers:llama4-flex-uncompiled", FLEX, "error", PAD),
    ("transformers-4.51.1", "transformers:llama4-flex-uncompiled", FLEX, "error", BLOCK),
    ("transformers-4.52.4", "transformers:llama4-flex-uncompiled", FLEX, "error", BLOCK),
    ("transformers-4.53.0", "transformers:llama4-flex-uncompiled", FLEX, "pass", ""),
    ("transformers-4.39.3", "transformers:mistral-sdpa", SWA, "mismatch", ""),
    ("transformers-4.45.2", "transformers:qwen2-sdpa", SWA, "mismatch", ""),
    ("transformers-4.46.3", "transformers:qwen2-sdpa", SWA, "pass", ""),
    ("transformers-4.48.3", "transformers:qwen2-sdpa", SWA, "mismatch", ""),
    ("transformers-4.49.0", "transformers:qwen2-sdpa", SWA, "pass", ""),
    ("llamafactory-0.9.2-transformers-4.48.3", "llamafactory:qwen2-auto", SWA, "mismatch", ""),
    ("llamafactory-0.9.2-transformers-4.48.3", "llamafactory:qwen2-fa2", SWA, "mismatch", ""),
    ("llamafactory-0.9.2-transformers-4.49.0", "llamafactory:qwen2-auto", SWA, "pass", ""),
    ("fla-before-fix", "fla:gla", case(CAUSAL, steps=GENERATE), "length", "step 0: 4, not 8"),
    ("fla-fix", "fla:gla", case(CAUSAL, steps=GENERATE), "pass", ""),
    ("flash-linear-attention-0.6.0", "fla:gla", case(CAUSAL, steps=GENERATE), "pass", ""),
    ("x-transformers-1.27.7", "x-transformers:attention-plain", MEMORY, "error", CAT),
    ("x-transformers-1.27.7", "x-transformers:attention-flash", MEMORY, "error", CAT),
    ("x-transformers-1.27.8", "x-transformers:attention-plain", MEMORY, "pass", ""),
    ("x-transformers-1.27.8", "x-transformers:attention-flash", MEMORY, "error", EXPAND),
    ("x-transformers-1.27.9", "x-transformers:attention-plain", MEMORY, "pass", ""),
    ("x-transformers-1.27.9", "x-transformers:attention-flash", MEMORY, "pass", ""),
    # not in the documents: docs/upstream-notes.md, "New"
    ("transformers-4.57.6", "transformers:llama-flex-uncompiled", STATIC, "pass", ""),
    ("transformers-5.24.0", "transformers:llama-flex-uncompiled", STATIC, "mismatch", ""),
    ("transformers-5.24.0", "transformers:llama-sdpa", STATIC, "pass", ""),
    ("x-transformers-2.31.10", "x-transformers:attention-plain", VALUE, "error", "Expected size 16 but got size 8"),
]


def check(environment: str, target: str, given: dict) -> dict:
    """The verdict from the environment's own interpreter."""
    with tempfile.NamedTemporaryFile("w", suffix=".case.json") as file:
        json.dump(given, file)
        file.flush()
        done = subprocess.run([env.python(environment), HERE / "upstream_check.py", target, file.name], text=True, check=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return json.loads(done.stdout.splitlines()[-1])


class Upstream(unittest.TestCase):
    def test_documented_verdicts(self):
        table = env.table()
        for environment, target, given, verdict, text in ROWS:
            with self.subTest(environment=environment, target=target):
                if not env.installed(table, environment):
                    print(f"skipped: environment {environment} is not installed", file=sys.stderr)
                    continue
                found = check(environment, target, given)
                print(f'{environment:40} {target:38} {found["verdict"]:9} {found["text"][:200]}')
                self.assertEqual(found["verdict"], verdict, found["text"])
                self.assertIn(text, found["text"])


if __name__ == "__main__":
    unittest.main()
