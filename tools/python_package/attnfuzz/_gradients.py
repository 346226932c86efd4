"""The gradients of a function under test: by PyTorch's autograd, by jax.vjp, or as the function itself returns them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from attnfuzz import _arrays
from attnfuzz._core import InputError
from attnfuzz._options import GRADIENTS, Bound, Call

MORE = ("lse", *GRADIENTS)
"""What a case may ask for beside out, in the order in which a function returns it."""

OTHERS = {"dbias": "bias", "dsinks": "sinks", "dmem_k": "mem_k", "dmem_v": "mem_v"}
"""Gradients of what a function is handed beside q, k and v."""

Run = Callable[[Call], Any]
"""Calls the function under test, and gives its outputs by name."""


def named(returned: Any, wanted: list[str]) -> dict[str, Any]:
    """A function's outputs by name: it returns a dict, or (out, lse, dq, dk, dv …) as far as they are wanted."""
    more = [name for name in MORE if name in wanted]
    if isinstance(returned, dict):
        if missing := [name for name in ("out", *more) if name not in returned]:
            raise TypeError(f"the function returned a dict without {', '.join(missing)}")
        return {name: returned[name] for name in ("out", *more)}
    if not more:
        return {"out": _arrays.first(returned)}
    if not isinstance(returned, (tuple, list)) or len(returned) <= len(more):
        raise TypeError(f"the function returned {_shown(returned)}, expected (out, {', '.join(more)})")
    return {"out": returned[0], **dict(zip(more, returned[1:]))}


def _shown(returned: Any) -> str:
    if isinstance(returned, (tuple, list)):
        return f"{len(returned)} outputs"
    return "one array" if hasattr(returned, "shape") else type(returned).__name__


def _arguments(call: Call, bound: Bound) -> dict[str, str]:
    """The tensors of the case that gradients are wanted of: gradient's name → tensor's name."""
    names = {"dq": "q", "dk": "k", "dv": "v"} | {d: name for d, name in OTHERS.items() if name in bound.names}
    return {d: names[d] for d in call.outputs if d in names}


def returned(fn: Callable[..., Any], bound: Bound) -> Run:
    """The function returns all that is asked for."""
    return lambda call: named(bound.call(fn, call), call.outputs)


def autograd(fn: Callable[..., Any], bound: Bound) -> Run:
    """out.backward, as PyTorch has it: of leaves, with grad_out as the gradient of out."""

    def run(call: Call) -> Any:
        torch: Any = importlib.import_module("torch")
        wanted = _arguments(call, bound)
        if not wanted:
            return named(bound.call(fn, call), call.outputs)
        with torch.enable_grad():
            leaves = [call.tensor(name).requires_grad_() for name in wanted.values()]
            outputs = named(bound.call(fn, call), [name for name in call.outputs if name not in wanted])
            gradients = _backward(torch, fn, outputs["out"], call.tensor("grad_out"), leaves)
        zeros = (torch.zeros_like(leaf) if g is None else g for leaf, g in zip(leaves, gradients))
        return outputs | dict(zip(wanted, zeros))

    return run


def _backward(torch: Any, fn: Any, out: Any, grad_out: Any, leaves: list[Any]) -> list[Any]:
    """The leaves' gradients, by a whole backward pass: checkpoints refuse one for chosen inputs.

    What a layer's own parameters have accumulated stays as it is.
    """
    held = [(p, p.grad) for p in fn.parameters()] if isinstance(fn, torch.nn.Module) else []
    for parameter, _ in held:
        parameter.grad = None
    out.backward(grad_out)
    for parameter, before in held:
        parameter.grad = before
    return [leaf.grad for leaf in leaves]


def vjp(fn: Callable[..., Any], bound: Bound) -> Run:
    """jax.vjp of out in the tensors that gradients are wanted of."""

    def run(call: Call) -> Any:
        jax: Any = importlib.import_module("jax")
        wanted = _arguments(call, bound)
        others = [name for name in call.outputs if name not in wanted]
        if not wanted:
            return named(bound.call(fn, call), call.outputs)

        def of(tensors: list[Any]) -> tuple[Any, Any]:
            call.given.update(zip(wanted.values(), tensors))
            outputs = named(bound.call(fn, call), others)
            return outputs.pop("out"), outputs

        out, pull, more = jax.vjp(of, [call.tensor(name) for name in wanted.values()], has_aux=True)
        (gradients,) = pull(call.tensor("grad_out"))
        return {"out": out, **more, **dict(zip(wanted, gradients))}

    return run


def runner(fn: Callable[..., Any], bound: Bound, gradients: bool, arrays: str, where: str) -> Run:
    """How the function is run. Raises InputError where gradients are wanted and nothing can give them."""
    if not gradients or {"grad_out", "case"} & bound.names:
        return returned(fn, bound)
    if arrays == "torch":
        return autograd(fn, bound)
    if arrays == "jax":
        return vjp(fn, bound)
    raise InputError(f"{where}: gradients of a function on {arrays} arrays: expected a parameter grad_out, and the "
                     "outputs (out, dq, dk, dv); PyTorch's and JAX's functions are differentiated by attnfuzz")
