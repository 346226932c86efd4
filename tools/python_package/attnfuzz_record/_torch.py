"""What the catches of PyTorch's functions have in common."""

from __future__ import annotations

from typing import Any

from attnfuzz_record._errors import NotSaid

KINDS = ("Tensor", "Parameter")


def plain(*tensors: Any) -> tuple[Any, ...]:
    """The tensors, if each of them has memory that can be read now; raises NotSaid otherwise."""
    import torch

    for tensor in tensors:
        if type(tensor).__name__ not in KINDS:
            raise NotSaid(f"a {type(tensor).__name__}, which is no plain tensor")
        if tensor.device.type == "meta" or torch._C._functorch.is_functorch_wrapped_tensor(tensor):
            raise NotSaid("tensors without memory of their own (meta, torch.func)")
        if tensor.layout is not torch.strided:
            raise NotSaid(f"tensors of the layout {tensor.layout}")
        if tensor.is_cuda and torch.cuda.is_current_stream_capturing():
            raise NotSaid("inside the capture of a CUDA graph, where nothing can be copied")
    return tensors


def version() -> tuple[int, ...]:
    import torch

    return tuple(int(n) for n in torch.__version__.split("+")[0].split(".")[:2])


def safe_rows() -> str:
    """What a row that sees no key gives in scaled_dot_product_attention: zeros since 2.5 (torch._safe_softmax)."""
    return "zero" if version() >= (2, 5) else "any"


def precision(q: Any) -> dict[str, Any]:
    """How the kernels of this device compute, at the loosest of those that may be chosen
    (targets/python/adapters/torch.py).

    On a CPU exp is a vectorised one, off by 20 ulps, which gives 0 for a subnormal result; p is rounded to the inputs'
    type. On CUDA sums may be cut off, and f32's products be of three of TF32, of one where the program allows it.
    """
    import torch

    dtype = str(q.dtype).rpartition(".")[2]
    word = {"float16": "f16", "bfloat16": "bf16"}.get(dtype)
    if dtype == "float64":
        return {}
    if not q.is_cuda:
        found: dict[str, Any] = {"accumulate": "f32", "p": word or "f32", "exp_ulps": 20}
        return found | ({"flush_subnormals": True} if word != "f16" else {})
    found = {"accumulate": "f32", "p": word or "f32", "exp_ulps": 20, "truncates": True}
    return found | ({} if word else {"factor_bits": 10 if torch.backends.cuda.matmul.allow_tf32 else 20})
