"""PyTorch's torch.nn.attention.flex_attention on the CPU and on CUDA, with the mask as mask_mod in a block mask, and softcap and bias as
score_mod: uncompiled, traced or not (its module's debug flag), and compiled by Inductor with the case's sizes fixed or as symbols
(torch.compile's dynamic).

What is claimed is what its documentation says (PyTorch 2.13): score_mod sees the scaled score; a row that sees no key gives
zeros; enable_gqa repeats KV heads in groups; f32 here, computed in f32; return_lse gives the natural logarithm. By its own error
texts there is no backward pass on the CPU, and no return_lse compiled for it. The compiled forms need a C++ compiler, and take
their time: each case is compiled anew (torch.compiler.reset), so that no earlier one decides which sizes are symbols. compiled-kept
is for many cases: few sizes, each compiled once and kept, as in a program that calls its compiled function with ever other masks.
"""
from __future__ import annotations

import importlib.metadata
import os
import re

import numpy as np
from attnfuzz_worker import PATTERNS, RELATIVE_BIAS, to_layout, visible

REQUIRES = ["torch", "numpy"]
RULES = ["causal", "window", "chunk", "prefix", "documents", "padding", "boolean", "bias", "alibi"]
# Two key lengths, under and over a block of the mask (128 keys), two query lengths; heads alone and in groups.
KEPT_SIZES = {"batch": [2, 2], "num_heads": [4, 4], "num_kv_heads": [2, 4, 2], "q_len": [40, 80, 40], "kv_len": [90, 180, 90],
              "head_dim": [16, 16], "head_dim_v": [16, 16]}


class FlexAttention:
    version = importlib.metadata.version("torch")
    capabilities = {
        "sizes": {"batch": [1, 4], "num_heads": [1, 8], "num_kv_heads": [1, 8], "q_len": [1, 70], "kv_len": [1, 200],
                  "head_dim": [1, 64], "head_dim_v": [1, 64]},
        "features": ["dtype:f32", "layout:bhsd", "layout:bshd", "gqa", "mqa", "cross", "longer_q", "head_dim_v", "scale", "softcap", "lse",
                     "fully_masked:zero", "bias_order:before_softcap", "align:top_left", "align:bottom_right",
                     "chunk.origin:slot", "chunk.origin:token", "padding.side:left", "padding.side:right", "data:large",
                     "data:constant", "data:one_hot", *(f"rule:{name}" for name in RULES),
                     *(f"{name}.shape:{shape}" for name in ("boolean", "bias") for shape in ("qk", "bqk", "hqk", "bhqk")),
                     *PATTERNS, *RELATIVE_BIAS, "data:far_below", "data:cancelling"],
        "precision": {"f32": {"exp_ulps": 20}},
    }

    def __init__(self, name: str, about: str, compiled: dict | None = None, kept: bool = False, traced: bool = True, device: str = "cpu"):
        self.name, self.about, self.compiled, self.device = f"torch-flex:{name}", f"flex_attention, {about}", compiled, device
        self.kept, self.traced = kept, traced
        if kept:
            self.capabilities = self.capabilities | {"sizes": KEPT_SIZES}
        if compiled is not None and device == "cpu":
            self.capabilities = self.capabilities | {
                "features": [f for f in self.capabilities["features"] if f != "lse"],
                "precision": {"f32": {"exp_ulps": 20, "flush_subnormals": True}}}  # its exp, exp_u20, gives no subnormal numbers
        if kept:  # each scale is compiled anew
            self.capabilities = self.capabilities | {"features": [f for f in self.capabilities["features"] if f != "scale"]}
        elif device == "cuda":  # its kernel's blocks are 16 wide at least
            sizes = self.capabilities["sizes"] | {"head_dim": [16, 64, 16], "head_dim_v": [16, 64, 16]}
            self.capabilities = self.capabilities | {"sizes": sizes}

    def load(self) -> None:
        import warnings

        if self.device == "cuda":  # a worker's memory is its process group's: no pool of compilers in it
            os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
        import torch
        from torch.nn.attention import flex_attention

        warnings.filterwarnings("ignore")
        torch.set_num_threads(1)
        self.torch, self.flex = torch, flex_attention
        if self.kept:
            torch._dynamo.config.recompile_limit = torch._dynamo.config.accumulated_recompile_limit = 1 << 20
            self.call = torch.compile(flex_attention.flex_attention, **self.compiled)
        one = torch.zeros(1, 1, 16, 16, device=self.device)
        flex_attention.flex_attention(one, one, one)  # the first call imports the compiler

    def block_mask(self, case: dict, tensors: dict):
        seen = visible(tensors)
        if seen is None:
            return None
        seen = self.torch.from_numpy(np.array(seen)).to(self.device)
        return self.flex.create_block_mask(lambda b, h, i, j: seen[b, h, i, j], *seen.shape, device=self.device)

    def score_mod(self, case: dict, tensors: dict):
        p = case["problem"]
        cap = p["softcap"] or None
        if cap and self.kept:  # a number would be compiled in
            cap = self.torch.tensor(cap, device=self.device)
        bias = self.torch.from_numpy(np.array(tensors["bias"])).to(self.device) if "bias" in tensors else None
        first = p["bias_order"] == "before_softcap"

        def modify(score, b, h, i, j):
            if bias is not None and first:
                score = score + bias[b, h, i, j]
            if cap is not None:
                score = cap * self.torch.tanh(score / cap)
            if bias is not None and not first:
                score = score + bias[b, h, i, j]
            return score

        return modify if cap is not None or bias is not None else None

    def run(self, case: dict, tensors: dict) -> list[dict]:
        p = case["problem"]
        lse = "lse" in p.get("outputs", ())
        q, k, v = (self.torch.from_numpy(np.ascontiguousarray(to_layout(case, tensors[name], "bhsd"))).to(self.device) for name in "qkv")
        self.flex._FLEX_ATTENTION_DISABLE_COMPILE_DEBUG = not self.traced
        call = self.call if self.kept else self.flex.flex_attention
        if self.compiled is not None and not self.kept:
            self.torch.compiler.reset()
            call = self.torch.compile(call, **self.compiled)
        try:
            with self.torch.inference_mode():
                out = call(q, k, v, score_mod=self.score_mod(case, tensors), block_mask=self.block_mask(case, tensors),
                           scale=p["scale"], enable_gqa=p["num_heads"] != p["num_kv_heads"], return_lse=lse)
        except Exception as e:
            if said := re.findall(r"\berror: (.+)", str(e)):  # a compiler's, among pages of warnings and temporary names
                raise RuntimeError(f"{type(e).__name__}: C++ compile error: {said[0]}") from e
            raise
        out, sums = out if lse else (out, None)
        step = {"out": to_layout(case, out.cpu().contiguous().numpy(), "bhsd")}
        return [step | {"lse": sums.cpu().contiguous().numpy()} if lse else step]


def targets() -> list:
    return [FlexAttention("eager", "not compiled"), FlexAttention("untraced", "neither compiled nor traced", traced=False),
            FlexAttention("compiled-kept", "compiled once for each size and kept", {"dynamic": False}, kept=True),
            FlexAttention("compiled", "compiled for each size", {"dynamic": False}),
            FlexAttention("compiled-dynamic", "compiled with symbolic sizes", {"dynamic": True}),
            FlexAttention("compiled-kept-cuda", "compiled once for each size and kept, on CUDA", {"dynamic": False}, kept=True, device="cuda"),
            FlexAttention("compiled-cuda", "compiled for each size, on CUDA", {"dynamic": False}, device="cuda"),
            FlexAttention("compiled-dynamic-cuda", "compiled with symbolic sizes, on CUDA", {"dynamic": True}, device="cuda")]
