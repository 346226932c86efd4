"""What a function under test can be handed besides q, k and v: one line of OPTIONS for each keyword."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from attnfuzz._core import InputError
from attnfuzz._types import Array

RULES_AS_MASK = (
    "rule:causal",
    "rule:window",
    "rule:chunk",
    "chunk.origin:slot",
    "rule:prefix",
    "rule:documents",
    "rule:padding",
    "padding.side:left",
    "padding.side:right",
    "rule:boolean",
    "boolean.shape:qk",
    "boolean.shape:bqk",
    "boolean.shape:hqk",
    "boolean.shape:bhqk",
    "align:top_left",
    "align:bottom_right",
)


@dataclass(frozen=True)
class Call:
    """One call of the function: the case, its tensors as NumPy arrays, and how to make the function's arrays."""

    case: dict[str, Any]
    tensors: dict[str, Array]
    give: Callable[[Array, str], Any]
    flags: frozenset[str]  # mask rules that the function's own options say
    aligns: frozenset[str]  # how they do where q_len ≠ kv_len
    given: dict[str, Any] = field(default_factory=dict)  # the arrays made so far, by the tensor's name

    @property
    def problem(self) -> dict[str, Any]:
        return self.case["problem"]  # type: ignore[no-any-return]

    @property
    def outputs(self) -> list[str]:
        """What the case asks for: "out", and perhaps "lse", "dq" …"""
        return self.problem.get("outputs") or ["out"]

    def rule(self, name: str) -> dict[str, Any] | None:
        """The parameters of a rule of the mask, where the options say the whole mask; None else."""
        if not self.by_flags:
            return None
        return next((r for r in self.problem["mask"]["rules"] if r["rule"] == name), None)

    @property
    def by_flags(self) -> bool:
        problem = self.problem
        rules = {r["rule"] for r in problem["mask"]["rules"]} - {"bias", "alibi", "relative_bias"}
        aligned = problem["mask"]["align"] in self.aligns or problem.get("q_len") == problem.get("kv_len")
        return rules <= self.flags and (aligned or not rules & {"causal", "window"})

    def tensor(self, name: str) -> Any:
        """The function's own array for a tensor of the case, made once; None where the case has no such tensor."""
        if name not in self.given and name in self.tensors:
            self.given[name] = self.give(self.tensors[name], self.problem["dtype"])
        return self.given.get(name)

    def mask_shape(self) -> tuple[int, ...]:
        problem = self.problem
        return tuple(problem[name] for name in ("batch", "num_heads", "q_len", "kv_len"))


def _mask(call: Call) -> Any:
    if call.by_flags or "mask" not in call.tensors:
        return None
    return call.give(call.tensors["mask"].astype(bool), "bool")


def _full_mask(call: Call) -> Any:
    import numpy as np

    return call.give(np.ones(call.mask_shape(), bool), "bool")


def _zero_bias(call: Call) -> Any:
    import numpy as np

    zeros = np.zeros(call.mask_shape(), call.tensors["q"].dtype)
    return call.give(zeros, call.problem["dtype"])


def _window(call: Call) -> tuple[int, int] | None:
    rule = call.rule("window")
    return None if rule is None else (rule["left"], rule["right"])


def _whole_window(call: Call) -> tuple[int, int]:
    length = call.problem["q_len"] + call.problem["kv_len"]
    return length, length


def _lens(call: Call) -> list[int] | None:
    rule = call.rule("padding")
    return None if rule is None else list(rule["lens"])


@dataclass(frozen=True)
class Option:
    """A keyword that a function may have: what it is then tested for, and the value that it gets."""

    names: tuple[str, ...]
    words: tuple[str, ...]  # features claimed by default
    value: Callable[[Call], Any]  # None: what stands for "not used", to functions that take it
    unused: Callable[[Call], Any] | None = None  # the same for functions that take no None
    rule: str = ""  # the mask rule that it says, by itself
    carries: tuple[str, ...] = ()  # features that can't be claimed without it (or without `case`)
    sizes: dict[str, list[int]] = field(default_factory=dict)


GRADIENTS = ("dq", "dk", "dv", "dbias", "dsinks", "dmem_k", "dmem_v")

OPTIONS = (
    Option(("mask", "attn_mask"), RULES_AS_MASK, _mask, _full_mask),
    Option(("causal", "is_causal"), ("rule:causal",), lambda call: call.rule("causal") is not None, rule="causal"),
    Option(("window", "window_size"), ("rule:window",), _window, _whole_window, rule="window"),
    Option(("lens", "kv_lens"), ("rule:padding", "padding.side:right"), _lens,
           lambda call: [call.problem["kv_len"]] * call.problem["batch"], rule="padding"),
    Option(
        ("bias", "attn_bias"),
        ("rule:bias", "bias.shape:qk", "bias.shape:bqk", "bias.shape:hqk", "bias.shape:bhqk", "rule:alibi"),
        lambda call: call.tensor("bias"),
        _zero_bias,
        carries=("rule:bias", "rule:alibi", "rule:relative_bias"),
    ),
    Option(("scale", "softmax_scale", "sm_scale", "qk_scale", "scaling"), ("scale",),
           lambda call: call.problem["scale"],
           lambda call: call.problem["head_dim"] ** -0.5, carries=("scale",)),
    Option(("softcap", "logits_soft_cap", "logit_softcap"), ("softcap",), lambda call: call.problem["softcap"],
           carries=("softcap",)),
    Option(("sinks", "s_aux"), ("sinks",), lambda call: call.tensor("sinks"), carries=("sinks",)),
    Option(("mem_k",), ("memory_kv",), lambda call: call.tensor("mem_k"), carries=("memory_kv",),
           sizes={"memory_kv": [0, 4]}),
    Option(("mem_v",), (), lambda call: call.tensor("mem_v")),
    Option(("enable_gqa",), ("gqa", "mqa"), lambda call: call.problem["num_heads"] != call.problem["num_kv_heads"]),
    Option(("grad_out", "dout", "do", "grad_output"), ("dq", "dk", "dv"), lambda call: call.tensor("grad_out"),
           carries=GRADIENTS),
    Option(("return_lse", "return_softmax_lse"), ("lse",), lambda call: "lse" in call.outputs),
    Option(("case",), (), lambda call: call.case),
)
"""The keywords, in the order in which they are told in docs/python.md."""
_TABLE = {name: option for option in OPTIONS for name in option.names}


@dataclass(frozen=True)
class Bound:
    """A function's parameters behind q, k and v, held against OPTIONS."""

    options: dict[str, Option]  # what it is handed, by the parameter's name
    demands_value: frozenset[str]  # those of them that take no None
    unused: tuple[str, ...]  # parameters that keep their defaults: attnfuzz has nothing to hand to them
    hidden: bool  # it takes keywords that its signature does not name

    @property
    def names(self) -> set[str]:
        """The options' first names."""
        return {option.names[0] for option in self.options.values()}

    def keywords(self, call: Call) -> dict[str, Any]:
        """The arguments for one call."""
        return {name: self._value(name, option, call) for name, option in self.options.items()}

    def _value(self, name: str, option: Option, call: Call) -> Any:
        value = option.value(call)
        return option.unused(call) if value is None and name in self.demands_value and option.unused else value


def _known() -> str:
    return ", ".join("/".join(option.names) for option in OPTIONS)


def _signature(fn: Callable[..., Any]) -> list[inspect.Parameter] | None:
    """The parameters (a torch module's: those of forward); None where a function hides them (some built in C do)."""
    try:
        return list(inspect.signature(getattr(fn, "forward", fn)).parameters.values())
    except (TypeError, ValueError):
        return None


def _takes_none(parameter: inspect.Parameter) -> bool:
    annotation = str(parameter.annotation)
    return parameter.default is None or "None" in annotation or "Optional" in annotation


def _first_three(fn_name: str, parameters: list[inspect.Parameter]) -> None:
    """Raises InputError unless q, k and v can be handed over in order."""
    by_place = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(by_place) < 3 and not any(p.kind == p.VAR_POSITIONAL for p in parameters):
        shown = ", ".join(str(p) for p in parameters)
        raise InputError(f"{fn_name}: expected a function of (q, k, v, …), found the parameters ({shown})")


def bind(fn: Callable[..., Any], fn_name: str, extra: Iterable[str] = ()) -> Bound:
    """Which options a function gets. `extra`: keywords that it takes though its signature does not name them.

    Raises InputError for a function that can't be called with what there is, before anything is run.
    """
    for name in extra:
        if name not in _TABLE:
            raise InputError(f"{fn_name}: keywords: {name} is no option; expected some of {_known()}")
    parameters = _signature(fn)
    if parameters is None:
        return Bound({name: _TABLE[name] for name in extra}, frozenset(), (), True)
    _first_three(fn_name, parameters)
    plain = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    by_place = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][:3]
    rest = [p for p in parameters if p not in by_place]
    needed = [p.name for p in rest if p.default is p.empty and p.name not in _TABLE
              and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if needed:
        raise InputError(f"{fn_name}: attnfuzz has nothing to hand to the required parameter{'s' * (len(needed) > 1)} "
                         f"{', '.join(needed)}; expected a default, functools.partial, or one of the names {_known()}")
    named = {p.name: p for p in rest if p.name in _TABLE and p.kind in plain}
    hidden = any(p.kind == p.VAR_KEYWORD for p in rest)
    if extra and not hidden and (absent := [name for name in extra if name not in named]):
        raise InputError(f"{fn_name}: keywords: the function has no parameter {absent[0]}")
    demands = frozenset(name for name, p in named.items() if not _takes_none(p))
    unused = tuple(p.name for p in rest if p.kind in plain and p.name not in _TABLE)
    return Bound({name: _TABLE[name] for name in (*named, *extra)}, demands, unused, hidden)
