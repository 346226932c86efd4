"""What a function under test can be handed besides q, k and v: one line of OPTIONS for each keyword."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from attnfuzz import _core
from attnfuzz._core import InputError
from attnfuzz._forms import Form
from attnfuzz._signature import ROLES, class_of, parameters_of, roles_of, takes_none
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
    form: Form = Form()
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
        if not (self.by_flags or self.apart):
            return None
        return next((r for r in self.problem["mask"]["rules"] if r["rule"] == name), None)

    @property
    def by_flags(self) -> bool:
        """Whether the function's own options say all rules."""
        return self._told_by_flags(self._rules)

    @property
    def apart(self) -> bool:
        """Whether a mask of keys alone says the padding, and the function's own options all other rules."""
        return "q" not in self.form.mask and "padding" in self._rules and self._told_by_flags(self._rules - {"padding"})

    @property
    def _rules(self) -> set[str]:
        return {r["rule"] for r in self.problem["mask"]["rules"]} - {"bias", "alibi", "relative_bias"}

    def _told_by_flags(self, rules: set[str]) -> bool:
        problem = self.problem
        aligned = problem["mask"]["align"] in self.aligns or problem.get("q_len") == problem.get("kv_len")
        return rules <= self.flags and (aligned or not rules & {"causal", "window"})

    @property
    def visible(self) -> Array:
        """The mask that the function is handed: of all rules, or of the padding where that is told apart."""
        if not self.apart:
            return self.tensors["mask"].astype(bool)
        mask = self.problem["mask"]
        padding = [r for r in mask["rules"] if r["rule"] == "padding"]
        alone = self.case | {"problem": self.problem | {"mask": mask | {"rules": padding}, "outputs": ["out"]}}
        return _core.inputs(json.dumps(alone))["mask"].astype(bool)

    def tensor(self, name: str) -> Any:
        """The function's own array for a tensor of the case, made once; None where the case has no such tensor."""
        if name not in self.given and name in self.tensors:
            array = self.tensors[name]
            if name == "q":
                array = self.form.scaled(array, self.problem)
            array = self.form.narrowed(array, self.form.axes) if name == "bias" else self.form.arrange(name, array)
            self.given[name] = self.give(array, self.problem["dtype"])
        return self.given.get(name)

    def mask_shape(self) -> tuple[int, ...]:
        problem = self.problem
        return tuple(problem[name] for name in ("batch", "num_heads", "q_len", "kv_len"))


def _given_mask(call: Call, visible: Array) -> Any:
    dtype = call.problem["dtype"] if call.form.mask_is_float else "bool"
    return call.give(call.form.mask_for(visible, dtype), dtype)


def _mask(call: Call) -> Any:
    if call.by_flags or "mask" not in call.tensors:
        return _full_mask(call) if call.form.mask_always else None
    return _given_mask(call, call.visible)


def _full_mask(call: Call) -> Any:
    return _given_mask(call, np.ones(call.mask_shape(), bool))


def _zero_bias(call: Call) -> Any:
    zeros = np.zeros(call.mask_shape(), call.tensors["q"].dtype)
    return call.give(call.form.narrowed(zeros, call.form.axes), call.problem["dtype"])


def _window(call: Call) -> tuple[int, int] | None:
    rule = call.rule("window")
    return None if rule is None else (rule["left"], rule["right"])


def _whole_window(call: Call) -> tuple[int, int]:
    length = call.problem["q_len"] + call.problem["kv_len"]
    return length, length


def _lens(call: Call) -> list[int] | None:
    rule = call.rule("padding")
    return None if rule is None else list(rule["lens"])


def _full_lens(call: Call) -> list[int]:
    return [call.problem["kv_len"]] * call.problem["batch"]


def _as_array(call: Call, lens: list[int] | None) -> Any:
    return None if lens is None else call.give(np.array(lens, np.int32), "int32")


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
    wanted: Callable[[inspect.Parameter], bool] = lambda parameter: True  # whether a parameter of this name gets it


def _required(parameter: inspect.Parameter) -> bool:
    return parameter.default is parameter.empty


def _drops(parameter: inspect.Parameter) -> bool:
    """It must be given, or something is dropped by default."""
    default = parameter.default
    return _required(parameter) or (isinstance(default, float) and default > 0)


MASKS_OF_A_FORM = ("attention_mask", "key_padding_mask", "key_mask", "kv_mask", "src_mask", "padding_mask")
"""Names of masks whose meaning or axes differ from package to package: handed over once the claims say them."""
GRADIENTS = ("dq", "dk", "dv", "dbias", "dsinks", "dmem_k", "dmem_v")

OPTIONS = (
    Option(("mask", "attn_mask", *MASKS_OF_A_FORM), RULES_AS_MASK, _mask, _full_mask),
    Option(("causal", "is_causal", "use_causal", "use_causal_mask"), ("rule:causal",),
           lambda call: call.rule("causal") is not None, rule="causal"),
    Option(("window", "window_size"), ("rule:window",), _window, _whole_window, rule="window"),
    Option(("lens", "kv_lens"), ("rule:padding", "padding.side:right"), _lens, _full_lens, rule="padding"),
    Option(("cache_seqlens", "seqlens_k", "seqlens_kv", "seq_lens_k", "kv_seqlens", "kv_seq_lens", "kv_lengths",
            "kv_seq_lengths", "key_lengths", "context_lens", "context_lengths", "cache_lens", "seqused_k"),
           ("rule:padding", "padding.side:right"), lambda call: _as_array(call, _lens(call)),
           lambda call: _as_array(call, _full_lens(call)), rule="padding"),
    Option(
        ("bias", "attn_bias"),
        ("rule:bias", "bias.shape:qk", "bias.shape:bqk", "bias.shape:hqk", "bias.shape:bhqk", "rule:alibi"),
        lambda call: call.tensor("bias"),
        _zero_bias,
        carries=("rule:bias", "rule:alibi", "rule:relative_bias"),
    ),
    Option(("scale", "softmax_scale", "sm_scale", "qk_scale", "scaling", "scaling_factor"), ("scale",),
           lambda call: call.problem["scale"],
           lambda call: call.problem["head_dim"] ** -0.5, carries=("scale",)),
    Option(("softcap", "logits_soft_cap", "logit_softcap", "attn_logits_soft_cap", "logit_cap", "soft_cap"),
           ("softcap",), lambda call: call.problem["softcap"], carries=("softcap",)),
    Option(("sinks", "s_aux"), ("sinks",), lambda call: call.tensor("sinks"), carries=("sinks",)),
    Option(("mem_k",), ("memory_kv",), lambda call: call.tensor("mem_k"), carries=("memory_kv",),
           sizes={"memory_kv": [0, 4]}),
    Option(("mem_v",), (), lambda call: call.tensor("mem_v")),
    Option(("enable_gqa",), ("gqa", "mqa"), lambda call: call.problem["num_heads"] != call.problem["num_kv_heads"]),
    Option(("grad_out", "dout", "do", "grad_output"), ("dq", "dk", "dv"), lambda call: call.tensor("grad_out"),
           carries=GRADIENTS),
    Option(("return_lse", "return_softmax_lse"), ("lse",), lambda call: "lse" in call.outputs),
    Option(("case",), (), lambda call: call.case),
    Option(("num_heads", "n_heads", "n_head", "nhead", "heads", "num_attention_heads"), (),
           lambda call: call.problem["num_heads"]),
    Option(("head_dim", "dim_head", "head_size", "d_head", "d_k"), (), lambda call: call.problem["head_dim"]),
    Option(("num_kv_heads", "n_kv_heads", "kv_heads", "num_key_value_heads"), (),
           lambda call: call.problem["num_kv_heads"]),
    Option(("dropout", "dropout_p", "dropout_rate", "p_dropout", "attn_dropout", "attention_dropout"), (),
           lambda call: 0.0, wanted=_drops),
    Option(("training", "train", "is_training"), (), lambda call: False, wanted=_required),
    Option(("deterministic",), (), lambda call: True, wanted=_required),
)
"""The keywords, in the order in which they are told in docs/python.md."""
NOTHING = Option((), (), lambda call: None)
"""For a parameter that must be given, that attnfuzz does not know, and whose annotation says that it may be None."""
CONSTANTS = {"none": NOTHING, "true": Option((), (), lambda call: True), "false": Option((), (), lambda call: False),
             "zero": Option((), (), lambda call: 0)}
"""What a claim can say of a parameter beside the name of an option: that it always gets this."""
_TABLE = {name: option for option in OPTIONS for name in option.names}


@dataclass(frozen=True)
class Bound:
    """A function's parameters behind q, k and v, held against OPTIONS."""

    options: dict[str, Option]  # what it is handed, by the parameter's name
    demands_value: frozenset[str]  # those of them that take no None
    unused: tuple[str, ...]  # parameters that keep their defaults: attnfuzz has nothing to hand to them
    hidden: bool  # it takes keywords that its signature does not name
    roles: tuple[str, ...] = ("q", "k", "v")  # which tensors its first parameters are
    by_name: dict[str, str] = field(default_factory=dict)  # parameter → tensor, where they do not come first
    classes: dict[str, type] = field(default_factory=dict)  # parameter → the package's class that holds its array

    @property
    def names(self) -> set[str]:
        """The options' first names."""
        return {option.names[0] for option in self.options.values() if option.names}

    def call(self, fn: Callable[..., Any], call: Call) -> Any:
        """Calls the function under test."""
        keywords = {name: self._value(name, option, call) for name, option in self.options.items()}
        if self.by_name:
            return fn(**{name: call.tensor(role) for name, role in self.by_name.items()}, **keywords)
        return fn(*(call.tensor(role) for role in self.roles), **keywords)

    def _value(self, name: str, option: Option, call: Call) -> Any:
        value = option.value(call)
        if value is None and name in self.demands_value and option.unused:
            value = option.unused(call)
        holder = self.classes.get(name)
        return value if holder is None or value is None or isinstance(value, holder) else holder(value)


def _known() -> str:
    return ", ".join("/".join(option.names) for option in OPTIONS)


def _first_three(fn_name: str, parameters: list[inspect.Parameter]) -> None:
    """Raises InputError unless q, k and v can be handed over in order."""
    by_place = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(by_place) < 3 and not any(p.kind == p.VAR_POSITIONAL for p in parameters):
        shown = ", ".join(str(p) for p in parameters)
        raise InputError(f"{fn_name}: expected a function of (q, k, v, …), found the parameters ({shown})")


def _chosen(named: list[inspect.Parameter], table: Mapping[str, Option], mask_said: bool) -> dict[str, Option]:
    """The option of each parameter that gets one: of several for the same, the first in the table's order."""
    found: dict[str, Option] = {}
    for option in OPTIONS:
        of_it = [p for p in named if table[p.name] is option and option.wanted(p)
                 and (mask_said or _required(p) or p.name not in MASKS_OF_A_FORM)]
        if of_it:
            found[min(of_it, key=lambda p: option.names.index(p.name) if p.name in option.names else -1).name] = option
    return found


class Unknown(InputError):
    """A function must be given what attnfuzz does not know: `parameters` in order."""

    def __init__(self, fn_name: str, parameters: list[inspect.Parameter],
                 found: str = "`attnfuzz probe` looks for it") -> None:
        known = ", ".join([*ROLES, *(option.names[0] for option in OPTIONS), *CONSTANTS])
        super().__init__(
            f"{fn_name}: attnfuzz has nothing to hand to the required parameter{'s' * (len(parameters) > 1)} "
            f"{', '.join(p.name for p in parameters)}; expected a default, functools.partial, or a claim of what it "
            f"is, as in parameters={{{parameters[0].name!r}: 'mask'}}; {found}. Such a claim has one of the words "
            f"{known}, or one that docs/python.md lists beside them")
        self.fn_name, self.parameters = fn_name, parameters


def _said(said: Mapping[str, str], fn_name: str, parameters: list[inspect.Parameter]) -> dict[str, Option]:
    """The options of the parameters that the claims name. Raises InputError for names that are none."""
    found: dict[str, Option] = {}
    for name, word in said.items():
        if name not in {p.name for p in parameters}:
            raise InputError(f"{fn_name}: parameters: the function has no parameter {name}")
        if word in ROLES:
            continue
        if word not in _TABLE and word not in CONSTANTS:
            known = ", ".join([*ROLES, *CONSTANTS, _known()])
            raise InputError(f"{fn_name}: parameters: {name}: expected one of {known}, not {word!r}")
        found[name] = CONSTANTS.get(word) or _TABLE[word]
    return found


def bind(fn: Callable[..., Any], fn_name: str, extra: Iterable[str] = (), mask_said: bool = False,
         said: Mapping[str, str] = MappingProxyType({})) -> Bound:
    """Which options a function gets. `extra`: keywords that it takes though its signature does not name them.

    `mask_said`: the claims say what its mask means, so that a mask of any name can be handed over. `said`: what the
    claims say that its parameters are. Raises InputError for a function that can't be called with what there is, before
    anything is run.
    """
    for name in extra:
        if name not in _TABLE:
            raise InputError(f"{fn_name}: keywords: {name} is no option; expected some of {_known()}")
    parameters = parameters_of(fn)
    if parameters is None:
        return Bound({name: _TABLE[name] for name in extra}, frozenset(), (), True)
    table = {**_TABLE, **_said(said, fn_name, parameters)}
    plain = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    roles = roles_of([p for p in parameters if p.kind in plain], said)
    by_place = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][:3]
    places = tuple(roles[p.name] for p in by_place if p.name in roles)
    by_name = roles if roles and len(places) < 3 else {}
    if by_name:
        by_place = [p for p in parameters if p.name in by_name]
    else:
        _first_three(fn_name, parameters)
    rest = [p for p in parameters if p not in by_place]
    nones = [p.name for p in rest if _required(p) and p.name not in table and p.kind in plain and takes_none(p)]
    needed = [p for p in rest if _required(p) and p.name not in (*table, *nones)
              and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if needed:
        raise Unknown(fn_name, needed)
    named = {p.name: p for p in rest if p.name in table and p.kind in plain}
    hidden = any(p.kind == p.VAR_KEYWORD for p in rest)
    if extra and not hidden and (absent := [name for name in extra if name not in named]):
        raise InputError(f"{fn_name}: keywords: the function has no parameter {absent[0]}")
    options = _chosen(list(named.values()), table, mask_said) | {name: _TABLE[name] for name in extra}
    options |= {name: table[name] for name in said if name in table} | dict.fromkeys(nones, NOTHING)
    demands = frozenset(name for name, p in named.items() if not takes_none(p))
    unused = tuple(p.name for p in rest if p.kind in plain and p.name not in options)
    classes = {name: held for name in options if (held := class_of(fn, name)) is not None}
    return Bound(options, demands, unused, hidden, places if len(places) == 3 else ("q", "k", "v"), by_name, classes)
