"""A target that keeps something from case to case: what is reported fails in a new process too."""
import json
import os
import subprocess

from program import PROGRAM, attnfuzz, summary

ADAPTER = """
import numpy as np
from attnfuzz_worker import visible

REQUIRES = ["numpy"]
MASKS = {}

class Cached:
    name, version, about = "cached:mask", "1", "attention whose mask is cached by its lengths alone"
    capabilities = {"sizes": {n: [1, 6] for n in ("batch", "num_heads", "num_kv_heads", "q_len", "kv_len", "head_dim", "head_dim_v")},
                    "equal": [["num_heads", "num_kv_heads"], ["head_dim", "head_dim_v"]],
                    "features": ["dtype:f32", "layout:bhsd", "cross", "rule:causal", "align:top_left"]}

    def run(self, case, tensors):
        q, k, v = (tensors[name] for name in "qkv")
        seen = visible(tensors)
        seen = MASKS.setdefault((q.shape[2], k.shape[2]), np.ones((1, 1, 1, 1), bool) if seen is None else np.array(seen[:1, :1]))
        scores = np.where(seen, q @ k.swapaxes(2, 3) / np.float32(np.sqrt(q.shape[3])), -np.inf)
        p = np.exp(scores - scores.max(-1, keepdims=True))
        return [{"out": p / p.sum(-1, keepdims=True) @ v}]

def targets():
    return [Cached()]
"""


def test_a_mask_cached_by_lengths_alone(tmp_path):
    (tmp_path / "cached.py").write_text(ADAPTER)
    adapters = {"ATTNFUZZ_ADAPTERS": str(tmp_path)}
    out = tmp_path / "out"
    attnfuzz("run", "-t", "cached:mask", "--cases", 300, "--seed", 1, "--no-corpus", "-q", "-o", out, expect=1, **adapters)
    (finding,) = summary(out)["findings"]
    folder = out / "findings" / finding["signature"]
    assert "passes alone in a new process, and fails there after before-1.case.json" in finding["happened"]
    before, case = (json.loads((folder / name).read_text())["problem"] for name in ("before-1.case.json", "case.json"))
    assert bool(before["mask"]["rules"]) != bool(case["mask"]["rules"])
    assert [before[n] for n in ("q_len", "kv_len")] == [case[n] for n in ("q_len", "kv_len")]
    assert "kept-between-calls" in (folder / "report.md").read_text()
    assert not (folder / "before-2.case.json").exists()

    replay = ["replay", folder / "case.json", "-t", "cached:mask"]
    attnfuzz(*replay, expect=0, **adapters)
    attnfuzz(*replay, "--after", folder / "before-1.case.json", expect=1, **adapters)
    missing = attnfuzz(*replay, "--after", folder / "none.json", expect=2, **adapters)
    assert "none.json" in missing.stderr
    done = subprocess.run(["sh", folder / "repro.sh"], env={**os.environ, **adapters, "ATTNFUZZ": str(PROGRAM)})
    assert done.returncode == 1
