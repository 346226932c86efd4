"""PyTorch's torch.nn.functional.scaled_dot_product_attention, one target for each backend of the CPU and of CUDA.

What is claimed is what its docstring says (PyTorch 2.13): is_causal is aligned to the upper left and excludes attn_mask;
attn_mask is boolean (True takes part) or of the query's type and added; the scale is free; 1/sqrt(E) by default. Further:
- A row that sees no key gives zeros (torch._safe_softmax, pytorch/pytorch#131863).
- q, k and v may have any strides; the flash kernel asks for a last axis of stride 1 (sdp_utils' check_last_dim_stride_equals_1).
- The flash kernel asks for head_dim_v = head_dim and lengths other than 0 (use_flash_attention_cpp).
- Gradients by autograd, of attn_mask too with the math backend (the fused kernels ask for one that needs none).
- On CUDA (torch.nn.attention.SDPBackend): the flash kernel takes no attn_mask, and is_causal of square problems alone; flash and cuDNN
  are of f16 and bf16, and of head sizes by 8; cuDNN is claimed without attn_mask too. What a row without keys holds is claimed of the
  math backend alone.
- The flash kernel's vectorised exp (exp_u20) gives 0 where its result is subnormal; its bf16 products may be VDPBF16PS's, which
  takes subnormal factors for 0 and gives no subnormal sums, whatever MXCSR says (Intel's manual).
- The math backend keeps all intermediates of f16 and bf16 in f32 (docstring); flash rounds p to the inputs' type.
- On CUDA the fused kernels multiply on tensor cores, which cut sums off ("truncates"). The memory-efficient one makes f32's products of
  three of TF32 (CUTLASS's OpMultiplyAddFastF32): x = big + small, big cut off after 11 bits and small rounded to 11, so that a product
  without small·small is off by 2^-20 + 2 · 2^-21, which is at most two factors' 2^-20.
"""
from __future__ import annotations

import importlib.metadata

import numpy as np
from attnfuzz_worker import (
    PATTERNS, RELATIVE_BIAS, additive, broadcastable, from_torch, only_rules, to_layout, to_torch, visible,
)

REQUIRES = ["torch", "numpy"]

RULES = ["causal", "window", "chunk", "prefix", "documents", "padding", "boolean", "bias", "alibi"]
FEATURES = [
    "dtype:f64", "dtype:f32", "dtype:f16", "dtype:bf16", "layout:bhsd", "layout:bshd", "gqa", "mqa", "cross", "longer_q",
    "scale", "fully_masked:zero", "align:top_left", "align:bottom_right", "chunk.origin:slot", "chunk.origin:token",
    "padding.side:left", "padding.side:right", "data:large", "data:constant", "data:one_hot", "data:tiny", "data:huge", "nonfinite:inf_bias",
    "dq", "dk", "dv", *(f"rule:{name}" for name in RULES),
    *(f"{name}.shape:{shape}" for name in ("boolean", "bias") for shape in ("qk", "bqk", "hqk", "bhqk")),
    *PATTERNS, *RELATIVE_BIAS, "data:far_below", "data:cancelling",
]
VIEWS = ["strides:gaps", "strides:fused", "strides:shared"]
SIZES = {"batch": [1, 4], "num_heads": [1, 8], "num_kv_heads": [1, 8], "q_len": [1, 70], "kv_len": [1, 70],
         "head_dim": [1, 64], "head_dim_v": [1, 64]}
LOW_PRECISION = ("f16", "bf16")


class Sdpa:
    """scaled_dot_product_attention held to one backend."""

    def __init__(self, name: str, backend: str, about: str, features: list[str], equal: list, precision: dict, device: str = "cpu",
                 sizes: dict = SIZES, excludes: list = []):  # noqa: B006
        self.name, self.backend, self.about, self.device = name, backend, about, device
        self.version = importlib.metadata.version("torch")
        self.capabilities = {"sizes": sizes, "equal": equal, "features": features, "precision": precision, "excludes": excludes,
                             "tiles": {"q_len": [32, 64], "kv_len": [16, 64], "head_dim": [16, 32]}}

    def load(self) -> None:
        import torch
        from torch.nn.attention import SDPBackend, sdpa_kernel

        torch.set_num_threads(1)
        self.torch, self.choose, self.kind = torch, sdpa_kernel, getattr(SDPBackend, self.backend)

    def use_threads(self, count: int) -> None:
        self.torch.set_num_threads(count)

    def tensor(self, array: np.ndarray, dtype: str):
        return to_torch(array, dtype, self.device)

    def mask(self, case: dict, tensors: dict) -> dict:
        """is_causal where it can say the whole mask, else attn_mask."""
        p = case["problem"]
        if not p["mask"]["rules"]:
            return {}
        if only_rules(case, "causal") and (p["q_len"] == p["kv_len"] or p["mask"]["align"] == "top_left"):
            return {"is_causal": True}
        if "bias" not in tensors:
            return {"attn_mask": self.torch.from_numpy(broadcastable(visible(tensors))).to(self.device)}
        wide = np.float64 if p["dtype"] == "f64" else np.float32
        mask = additive(case, tensors, wide)
        whole = "dbias" in p.get("outputs", ())  # whose gradient has an element for each score
        mask = self.torch.from_numpy(mask if whole else broadcastable(mask))
        return {"attn_mask": mask.to(self.device, self.tensor(tensors["q"], p["dtype"]).dtype).requires_grad_(whole)}

    def array(self, case: dict, tensor, by_layout: bool = True) -> np.ndarray:
        """In the case's dtype (bf16: its bits) and layout."""
        array = from_torch(tensor, case["problem"]["dtype"])
        return to_layout(case, array, "bhsd") if by_layout else array

    def run(self, case: dict, tensors: dict) -> list[dict]:
        p = case["problem"]
        gradients = [name for name in p.get("outputs", ()) if name.startswith("d")]
        q, k, v = inputs = [self.tensor(to_layout(case, tensors[name], "bhsd"), p["dtype"]) for name in "qkv"]
        mask = self.mask(case, tensors)
        for tensor in inputs:
            tensor.requires_grad_(bool(gradients))
        with self.torch.inference_mode(not gradients), self.choose([self.kind]):
            out = self.torch.nn.functional.scaled_dot_product_attention(
                q, k, v, scale=p["scale"], enable_gqa=p["num_heads"] != p["num_kv_heads"], **mask)
            if gradients:
                out.backward(self.tensor(to_layout(case, tensors["grad_out"], "bhsd"), p["dtype"]))
        step = {"out": self.array(case, out)}
        for name, tensor in (("dq", q), ("dk", k), ("dv", v)):
            if name in gradients:
                step[name] = self.array(case, tensor.grad)
        if "dbias" in gradients:
            step["dbias"] = self.array(case, mask["attn_mask"].grad, by_layout=False)
        return [step]


def targets() -> list:
    math = {name: {"accumulate": "f32", "p": "f32"} for name in LOW_PRECISION}
    flash = {name: {"accumulate": "f32", "p": name, "exp_ulps": 20} for name in LOW_PRECISION} | {
        "f32": {"exp_ulps": 20, "flush_subnormals": True}}
    flash["bf16"]["flush_subnormals"] = True
    return [
        Sdpa("torch:sdpa-math", "MATH", "scaled_dot_product_attention, the composed backend",
             FEATURES + ["head_dim_v", "dbias", *VIEWS, "strides:transposed"],
             [], math),
        Sdpa("torch:sdpa-flash", "FLASH_ATTENTION", "scaled_dot_product_attention, the CPU's flash kernel", FEATURES + VIEWS,
             [["head_dim", "head_dim_v"]], flash),
        *on_cuda(math),
    ]


def on_cuda(math: dict) -> list:
    same = [["head_dim", "head_dim_v"]]
    fused = {name: {"accumulate": "f32", "p": name, "exp_ulps": 20, "truncates": True} for name in LOW_PRECISION}
    fused_f32 = {"f32": {"exp_ulps": 20, "truncates": True, "factor_bits": 20}}
    any_row = [f for f in FEATURES if f not in ("dtype:f64", "fully_masked:zero")] + ["fully_masked:any"]
    unmasked = ["dtype:f16", "dtype:bf16", "layout:bhsd", "layout:bshd", "gqa", "mqa", "cross", "longer_q", "scale", "align:top_left",
                "data:large", "data:constant", "data:one_hot", "data:tiny", "dq", "dk", "dv", "rule:causal"]
    by_8 = SIZES | {"q_len": [1, 300], "kv_len": [1, 300], "head_dim": [8, 128, 8], "head_dim_v": [8, 128, 8]}
    square = [["cross", "rule:causal"]]

    def target(name: str, backend: str, about: str, features: list, equal: list, precision: dict, **more) -> Sdpa:
        return Sdpa(f"torch:sdpa-{name}-cuda", backend, f"scaled_dot_product_attention on CUDA, {about}", features, equal, precision,
                    device="cuda", **more)

    return [
        target("math", "MATH", "the composed backend", FEATURES + ["head_dim_v", "dbias"], [], math),
        target("efficient", "EFFICIENT_ATTENTION", "the memory-efficient kernel", any_row, same, fused | fused_f32),
        target("flash", "FLASH_ATTENTION", "the flash kernel", unmasked, same, fused, sizes=by_8, excludes=square),
        target("cudnn", "CUDNN_ATTENTION", "cuDNN's kernel", unmasked, same, fused, sizes=by_8, excludes=square),
    ]
