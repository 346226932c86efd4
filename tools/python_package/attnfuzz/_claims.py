"""What a function claims: what the caller says, completed from the function's own parameters."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, Union

from attnfuzz import _arrays, _core, _names
from attnfuzz._core import InputError
from attnfuzz._forms import CORE_LAYOUTS, Form
from attnfuzz._forms import KEYS as FORM_KEYS
from attnfuzz._options import OPTIONS, Option

Size = Union[int, Sequence[int]]
"""The range of a size: 8 alone, (1, 8) from 1 to 8, or (8, 64, 8) from 8 to 64 by multiples of 8."""
Words = Union[str, Iterable[str]]
"""One word, or several."""


class Claims(TypedDict, total=False):
    """What a function can do: the keywords that `check` and its like take. All are optional.

    The function's parameters tell most of it; claims say the rest. attnfuzz demands all that is claimed, and asks
    nothing else.
    """

    batch: Size
    """Batch rows; 1 to 4 if it is not said."""
    num_heads: Size
    """Query heads; 1 to 8 if it is not said."""
    num_kv_heads: Size
    """KV heads; as many as query heads, unless the features `gqa` (fewer) or `mqa` (one) are claimed."""
    q_len: Size
    """Queries of each row, in tokens; 1 to 48 if it is not said."""
    kv_len: Size
    """Keys of each row, in tokens; 1 to 48 if it is not said."""
    head_dim: Size
    """Elements of a query's and a key's head; 1 to 64 if it is not said."""
    head_dim_v: Size
    """Elements of a value's head; head_dim, unless the feature `head_dim_v` is claimed."""
    memory_kv: Size
    """Learned keys and values before all others (`mem_k`, `mem_v`)."""

    features: Words
    """What it can do beyond what its parameters tell: `"gqa"`, `"data:large"` … `attnfuzz targets --json` has all."""
    dtype: Any
    """Element types: f32 (the default), f16, bf16, f64, e4m3, e5m2; torch.float16 and numpy.float16 are understood."""
    layout: Words
    """bhsd (the default): `[batch, heads, length, dim]`; bshd: `[batch, length, heads, dim]`; more: docs/python.md."""
    out_layout: str
    """The layout of the output, if it is not that of q."""
    k_layout: str
    """The layout of k, if it is not that of q: bhds where k is transposed."""
    mask_always: bool
    """Whether it gets a mask in every case, because without one it is causal, or something else."""
    mask_means: str
    """What its mask says of a key: visible (the default), hidden, additive, ones."""
    mask_shape: str
    """The axes of its mask: bhqk (the default), b1qk, bqk, hqk, (bh)qk, qk, b11k, bk."""
    align: Words
    """Where its own `causal` and `window` put the diagonal if q_len ≠ kv_len: top_left or bottom_right."""
    fully_masked: Words
    """What it gives for a query that sees no key: zero, nan, uniform (the mean of the values), any (not checked)."""
    parameters: Mapping[str, str]
    """What its parameters are, by a name that attnfuzz knows: `{"keep": "mask", "temp": "scale", "flag": "false"}`."""
    scaled_q: bool
    """Whether it leaves the scale to its caller: q is then handed over multiplied by it."""
    projections: str
    """identity: the linear layers of a PyTorch layer are made to pass on what they get, so that attention remains."""
    always: Words
    """Mask rules that it applies in every case, without being told: causal."""
    without: Words
    """Features that its parameters promise, and that it does not have: `["rule:bias"]`."""
    left_out: Mapping[str, str]
    """What `probe` saw go wrong without an error, and why: not tested, but told with the result."""
    rules: Words
    """Mask rules: causal, window, chunk, prefix, documents, padding, boolean, bias, alibi, block_sparse, …"""

    equal: Sequence[Sequence[str]]
    """Sizes that must be the same: `[("q_len", "kv_len")]`."""
    excludes: Sequence[Sequence[str]]
    """Features that do not go together: `[["gqa", "rule:causal"]]`."""
    requires: Sequence[Sequence[str]]
    """Pairs of features, of which the first needs the second."""
    precision: Mapping[str, Mapping[str, Any]]
    """How it computes, by dtype; the error bound follows from it. The default: `{"f16": {"accumulate": "f32", "p":
    "f16"}}`. docs/numerics.md has the words."""
    tiles: Mapping[str, Sequence[int]]
    """Its block sizes in tokens, whose edges cases are aimed at: `{"kv_len": [64]}`."""
    params: Mapping[str, Size]
    """Ranges of the parameters of mask rules: `{"window.left": (0, 64)}`."""
    max_rules: int
    """How many mask rules a case may combine; 3 if it is not said."""
    compiled_for: Sequence[str]
    """Sizes and features for each combination of which it is compiled anew. Cases of one combination come together."""

    capabilities: Union[str, os.PathLike[str], Mapping[str, Any]]
    """All of it at once, instead of the other keywords: the file that `attnfuzz probe` wrote, or its dict."""


DEFAULT_SIZES: dict[str, list[int]] = {
    "batch": [1, 4],
    "num_heads": [1, 8],
    "num_kv_heads": [1, 8],
    "q_len": [1, 48],
    "kv_len": [1, 48],
    "head_dim": [1, 64],
    "head_dim_v": [1, 64],
}
GROUPS = {"dtype": "dtype", "layout": "layout", "align": "align", "fully_masked": "fully_masked", "rules": "rule"}
"""Keywords that stand for features "GROUP:word"."""
DEFAULT_WORDS = {"dtype": "dtype:f32", "layout": "layout:bhsd"}
AS_THEY_ARE = ("equal", "excludes", "requires", "tiles", "max_rules", "compiled_for")
_HALF = ("f16", "bf16", "e4m3", "e5m2")
"""Element types whose kernels most often round p to them before p·v; `precision` says otherwise."""


def words(value: Words) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def words_of(key: str, value: Any) -> list[str]:
    """The words of one of GROUPS' keywords; an element type may be said as any package says it."""
    if key != "dtype":
        return words(value)
    several = isinstance(value, Iterable) and not isinstance(value, (str, type))
    return [_arrays.dtype_word(each) for each in (value if several else [value])]


def claimed(name: str, claims: Claims) -> list[str]:
    """The words of a group of features that the caller claims, by its keyword or in `features`."""
    given: dict[str, Any] = dict(claims)
    prefix = GROUPS[name] + ":"
    return [
        *words_of(name, given.get(name, ())),
        *(w.removeprefix(prefix) for w in words(given.get("features", ())) if w.startswith(prefix)),
    ]


def size(value: Size, where: str) -> list[int]:
    if isinstance(value, int):
        return [value, value]
    numbers = list(value)
    if len(numbers) not in (2, 3) or not all(isinstance(n, int) for n in numbers):
        raise InputError(f"{where}: expected n, (min, max) or (min, max, multiple_of), not {value!r}")
    return numbers


def _carriers(word: str) -> list[str]:
    """The keywords of which a function must have one for this feature to reach it; empty: it needs none."""
    if any(word in option.carries for option in OPTIONS):
        return [option.names[0] for option in OPTIONS if word in option.carries]
    if word.startswith("rule:"):
        return ["mask", *(option.names[0] for option in OPTIONS if option.rule == word[len("rule:") :])]
    return []


def demand_known(given: Mapping[str, Any], where: str) -> None:
    """Raises InputError for a keyword that is no capability."""
    known = [*_core.size_names(), *(key for key in Claims.__annotations__ if key not in _core.size_names())]
    for key in given:
        if key not in known:
            close = difflib.get_close_matches(key, known, 1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            raise InputError(f"{where}: {key} is no capability{hint}; expected some of {', '.join(known)}")


def demand_carriers(features: Iterable[str], options: Mapping[str, Option], where: str) -> None:
    """Raises InputError for a feature that can't reach the function."""
    has = {option.names[0] for option in options.values() if option.names}
    for word in sorted(features):
        carriers = _carriers(word)
        if carriers and not has & {*carriers, "case"}:
            hint = "; gradients=True differentiates PyTorch's and JAX's functions" if "grad_out" in carriers else ""
            raise InputError(
                f"{where}: {word} is claimed, but the function has none of the parameters "
                f"{', '.join([*carriers, 'case'])}, so it can't be told{hint}"
            )


def given_whole(given: Mapping[str, Any], where: str) -> str:
    """The capabilities that the caller has as a file, a text or a dict, checked."""
    if len(given) > 1:
        raise InputError(f"{where}: capabilities are whole: expected no other claims beside them")
    source = given["capabilities"]
    if isinstance(source, Mapping):
        return _core.capabilities(json.dumps(source), where)
    try:
        return _core.capabilities(Path(source).read_text(), os.fspath(source))
    except (OSError, UnicodeDecodeError) as e:
        raise InputError(f"{os.fspath(source)}: expected a file of capabilities: {e}") from None


def _without_form(given: dict[str, Any], form: Form, where: str) -> dict[str, Any]:
    """The claims in the words of the cases, for a function whose arrays have a form of its own."""
    rest = {key: value for key, value in given.items() if key not in FORM_KEYS[1:]}
    if form.layout not in CORE_LAYOUTS:
        rest.pop("layout", None)
    if "capabilities" in rest:
        if form != Form():
            rest.pop("layout", None)
        return rest
    if form.layout not in CORE_LAYOUTS:
        rest["layout"] = form.core
    for name, n in form.fixed.items():
        if size(rest.setdefault(name, n), name) != [n, n]:
            raise InputError(f"{where}: {name}: expected {n}, since the layout {form.layout} has no axis for it")
    return rest


def complete(claims: Claims, options: Mapping[str, Option], where: str, sure: Iterable[str] = (),
             form: Form = Form()) -> str:
    """The capabilities as JSON. `sure`: features that need no parameter to reach the function.

    Raises InputError for a claim that is none, or that can't reach the function.
    """
    given: dict[str, Any] = dict(claims)
    demand_known(given, where)
    if given.get("projections", "identity") != "identity":
        raise InputError(f"{where}: projections: expected identity, not {given['projections']!r}")
    given = _without_form(given, form, where)
    if "capabilities" in given:
        return given_whole(given, where)
    features = set(words(given.get("features", ())))
    for key, group in GROUPS.items():
        features.update(f"{group}:{word}" for word in words_of(key, given.get(key, ())))
    demand_carriers(features, options, where)
    features.update(sure)
    always = always_of(given, form)
    features.update(always)
    for option in options.values():
        features.update(word for word in option.words if option.names[:1] != ("mask",) or form.can_say(word))
    features.difference_update(words(given.get("without", ())))
    if not isinstance(given.get("left_out", {}), Mapping):
        raise InputError(f"{where}: left_out: expected an object of what is left out and why")
    for group, word in DEFAULT_WORDS.items():
        if not any(f.startswith(group + ":") for f in features):
            features.add(word)
    features.update(("cross", "longer_q"))
    sizes = DEFAULT_SIZES | {k: v for option in options.values() for k, v in option.sizes.items()}
    sizes |= {name: size(given[name], f"{where}: {name}") for name in _core.size_names() if name in given}
    followers = (("head_dim_v", "head_dim", {"head_dim_v"}), ("num_kv_heads", "num_heads", {"gqa", "mqa"}))
    for axis, same, wanted in followers:
        if axis not in given and not wanted & features:
            sizes[axis] = sizes[same]
    capabilities: dict[str, Any] = {"sizes": sizes, "features": sorted(features)}
    capabilities["precision"] = precisions(claimed("dtype", claims), given.get("precision"))
    capabilities |= {key: given[key] for key in AS_THEY_ARE if key in given}
    demanded = in_every_case(sorted(features), always, bool(claimed("align", claims))) if always else {}
    for key, more in demanded.items():
        capabilities[key] = [*capabilities.get(key, ()), *more]
    if "params" in given:
        capabilities["params"] = {k: size(v, f"{where}: params: {k}") for k, v in given["params"].items()}
    return _core.capabilities(json.dumps(capabilities), where)


def always_of(given: Mapping[str, Any], form: Form) -> list[str]:
    """The features that every case has: what the function does without being told."""
    return [*(f"rule:{rule}" for rule in words(given.get("always", ()))), *(["scale"] if form.scaled_q else [])]


def in_every_case(features: Iterable[str], always: Iterable[str], aligned: bool) -> dict[str, list[list[str]]]:
    """The capabilities that demand some features of every case: each element type requires them.

    `aligned`: it is said where a causal mask's diagonal lies; else queries and keys are as many.
    """
    dtypes = [word for word in features if word.startswith("dtype:")]
    found = {"requires": [[dtype, word] for dtype in dtypes for word in always]}
    return found if aligned or "rule:causal" not in always else found | {"equal": [["q_len", "kv_len"]]}


def precisions(dtypes: Iterable[str], told: Mapping[str, Mapping[str, Any]] | None) -> dict[str, Mapping[str, Any]]:
    """How the element types are computed with: what is told, else what kernels most often do."""
    return {d: {"accumulate": "f32", "p": d} for d in dtypes if d in _HALF} | dict(told or {})


def for_judging(dtype: str, told: Mapping[str, Mapping[str, Any]] | None) -> str:
    """Capabilities, as JSON, that say nothing but the precision."""
    features = [f"dtype:{dtype}", "layout:bhsd"]
    return json.dumps({"sizes": {}, "features": features, "precision": precisions([dtype], told)})


def describe(fn: Callable[..., Any]) -> str:
    """The name that a function goes by in reports: "python:module:function"."""
    if (place := _names.remembered(fn)) is not None and not place.file:
        return f"python:{place.module}:{place.path}"
    module = getattr(fn, "__module__", None) or type(fn).__module__
    return f"python:{module}:{getattr(fn, '__qualname__', type(fn).__name__)}"
