"""vllm#38321: cross-attention with more than one query goes through the kernel that takes new K/V for the queries' tokens"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from wildcache import attend, claims


class Bug:
    name, version, about = "bug", "1.0", "encoder keys in a cache"
    capabilities = claims(("cross",), ("prefill", "append", "decode", "reorder", "fork", "reset"), ("ragged",))
    BUG = True

    def run(self, case, t):
        p = case["problem"]
        B, scale = p["batch"], p["scale"] or p["head_dim"] ** -0.5
        K = [None] * B
        for n, step in enumerate(case["steps"]):
            op = step["op"]
            if op == "reset":
                K = [None] * B
            elif op == "reorder":
                K = [K[i] for i in step["rows"]]
            elif op == "fork":
                K[step["to"]] = K[step["from"]]
            if op not in ("prefill", "append", "decode"):
                yield {"lengths": [0 if x is None else x[0].shape[1] for x in K]}
                continue
            if step["kv_len"]:
                lens = step.get("lens") or [step["kv_len"]] * B
                K = [(t[f"k.{n}"][b, :, : lens[b]], t[f"v.{n}"][b, :, : lens[b]]) for b in range(B)]
            q, out = t[f"q.{n}"], []
            for b in range(B):
                k, v = K[b]
                S, N = q.shape[2], k.shape[1]
                if self.BUG and op == "append" and S > 1 and N >= S:
                    ctx = N - S  # BUG: context_len = seq_len - query_len, the rest is causal among the "new" tokens
                    k2, v2 = np.concatenate([k[:, :ctx], k[:, :S]], 1), np.concatenate([v[:, :ctx], v[:, :S]], 1)
                    seen = np.arange(N)[None, :] <= np.arange(ctx, N)[:, None]
                    out.append(attend(q[b], k2, v2, seen[None], scale))
                else:
                    out.append(attend(q[b], k, v, np.ones((1, S, N), bool), scale))
            yield {"out": np.stack(out).astype(np.float32), "lengths": [x[0].shape[1] for x in K]}


def targets():
    return both(Bug, __file__)
