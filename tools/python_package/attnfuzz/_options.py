"""What a function under test can be handed besides q, k and v: one line of OPTIONS for each keyword."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

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
    """One call of the function: the case, its tensors as NumPy arrays, and how to make arrays of the function's kind."""

    case: dict[str, Any]
    tensors: dict[str, Array]
    give: Callable[[Array, str], Any]
    flags: frozenset[str]  # mask rules that the function's own options say
    aligns: frozenset[str]  # how they do where q_len ≠ kv_len

    @property
    def problem(self) -> dict[str, Any]:
        return self.case["problem"]  # type: ignore[no-any-return]

    def rule(self, name: str) -> dict[str, Any] | None:
        """The parameters of a rule of the mask, where the options say the whole mask; None else."""
        if not self.by_flags:
            return None
        return next((r for r in self.problem["mask"]["rules"] if r["rule"] == name), None)

    @property
    def by_flags(self) -> bool:
        problem = self.problem
        rules = {r["rule"] for r in problem["mask"]["rules"]} - {"bias", "alibi"}
        aligned = problem["mask"]["align"] in self.aligns or problem.get("q_len") == problem.get("kv_len")
        return rules <= self.flags and (aligned or not rules & {"causal", "window"})

    def tensor(self, name: str) -> Any:
        array = self.tensors.get(name)
        return None if array is None else self.give(array, self.problem["dtype"])


def _mask(call: Call) -> Any:
    if call.by_flags or "mask" not in call.tensors:
        return None
    return call.give(call.tensors["mask"].astype(bool), "bool")


def _window(call: Call) -> tuple[int, int] | None:
    rule = call.rule("window")
    return None if rule is None else (rule["left"], rule["right"])


def _lens(call: Call) -> list[int] | None:
    rule = call.rule("padding")
    return None if rule is None else list(rule["lens"])


def _scale(call: Call) -> float | None:
    return call.problem["scale"]  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Option:
    """A keyword that a function may have: what it is then tested for, and the value that it gets."""

    names: tuple[str, ...]
    words: tuple[str, ...]  # features claimed by default
    value: Callable[[Call], Any]
    rule: str = ""  # the mask rule that it says, by itself
    carries: tuple[str, ...] = ()  # features that can't be claimed without it (or without `case`)
    sizes: dict[str, list[int]] = field(default_factory=dict)


OPTIONS = (
    Option(("mask", "attn_mask"), RULES_AS_MASK, _mask),
    Option(("causal", "is_causal"), ("rule:causal",), lambda call: call.rule("causal") is not None, rule="causal"),
    Option(("window", "window_size"), ("rule:window",), _window, rule="window"),
    Option(("lens", "kv_lens"), ("rule:padding", "padding.side:right"), _lens, rule="padding"),
    Option(
        ("bias", "attn_bias"),
        ("rule:bias", "bias.shape:qk", "bias.shape:bqk", "bias.shape:hqk", "bias.shape:bhqk", "rule:alibi"),
        lambda call: call.tensor("bias"),
        carries=("rule:bias", "rule:alibi"),
    ),
    Option(("scale",), ("scale",), _scale, carries=("scale",)),
    Option(("softcap",), ("softcap",), lambda call: call.problem["softcap"], carries=("softcap",)),
    Option(("sinks",), ("sinks",), lambda call: call.tensor("sinks"), carries=("sinks",)),
    Option(("mem_k",), ("memory_kv",), lambda call: call.tensor("mem_k"), carries=("memory_kv",),
           sizes={"memory_kv": [0, 4]}),
    Option(("mem_v",), (), lambda call: call.tensor("mem_v")),
    Option(("enable_gqa",), ("gqa", "mqa"), lambda call: call.problem["num_heads"] != call.problem["num_kv_heads"]),
    Option(("case",), (), lambda call: call.case),
)
"""The keywords, in the order in which they are told in docs/python.md."""


def parameters(fn: Callable[..., Any]) -> list[str]:
    """The names of a function's parameters behind q, k and v (a torch module's: of forward); none where it hides them."""
    try:
        names = list(inspect.signature(getattr(fn, "forward", fn)).parameters)
    except (TypeError, ValueError):
        return []
    return names[3:]


def taken(fn: Callable[..., Any]) -> dict[str, Option]:
    """The function's options by the parameter's name."""
    table = {name: option for option in OPTIONS for name in option.names}
    return {name: table[name] for name in parameters(fn) if name in table}
