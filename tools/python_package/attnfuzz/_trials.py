"""Which form a function's arrays and its mask have: found by calling it with each, and checking what it answers.

`python -m attnfuzz._trials` does it in a process of its own, for the function that the variable of _isolate names.
"""

from __future__ import annotations

import inspect
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

from attnfuzz import _claims, _core, _forms, _isolate, _layers, _names, _options
from attnfuzz._core import InputError
from attnfuzz._forms import MASK_MEANS, MASK_SHAPES
from attnfuzz._function import Declined, FunctionAdapter, How, adapter_of
from attnfuzz._signature import parameters_of

OTHERS = {"bhsd": ("bshd", "bs(hd)"), "bshd": ("bhsd", "bs(hd)")}
"""How an output may lie where q lies so: as the next projection wants it."""
TRANSPOSED = {"bhsd": "bhds", "(bh)sd": "(bh)ds", "bsd": "bds", "sd": "ds"}
"""How k may lie where q lies so: as the product q·k wants it."""
Forms = tuple[dict[str, Any], ...]
FORMS: Forms = (
         *({"layout": layout} for layout in _forms.LAYOUTS if layout not in _forms.OF_ONE_QUERY),
         *({"layout": layout, "out_layout": other} for layout in _forms.CORE_LAYOUTS for other in OTHERS[layout]),
         *({"layout": layout, "k_layout": other} for layout, other in TRANSPOSED.items()),
         *({"layout": layout, "k_layout": other} for layout, others in _forms.OF_ONE_QUERY.items() for other in others))
"""The arrangements that are tried, the usual ones first."""
USUAL = 4
"""How many of them are tried where the meaning of a parameter is unknown too."""
CASES = 3
"""Right answers that show a form."""
SEARCH = 60
LENGTHS = ((4, 8), (16, 16), (64, 64), (128, 128))
"""(q_len and kv_len, head_dim) of the trial cases: the first that any form is right with."""
DTYPES = ("f32", "f16", "bf16", "f64")
_SIZES = {"batch": 2, "num_heads": 3, "num_kv_heads": 3}
WAYS: tuple[dict[str, Any], ...] = (
    {"always": ["causal"]}, {"scaled_q": True}, {"always": ["causal"], "scaled_q": True}, {"q_len": 1})
"""What a function may do by itself that is right with no arrangement: it is causal, it does not scale, it decodes."""
_ARRAY = ("mask", "bias", "cache_seqlens")
MEANINGS = {"Tensor": _ARRAY, "Array": _ARRAY, "ndarray": _ARRAY, "list": ("lens",), "Sequence": ("lens",),
            "float": ("scale", "zero"), "bool": ("causal", "false", "true"), "int": ("head_dim", "num_heads", "zero")}
"""What a required parameter of an unknown name is tried as, by a word in its annotation."""
ANY_MEANING = ("mask", "scale", "causal", "cache_seqlens", "lens", "head_dim", "num_heads", "none")
SHOWN_BY = {"scale": ["scale"], "causal": ["rule:causal"], "bias": ["rule:bias", "bias.shape:bhqk"],
            "lens": ["rule:padding"], "cache_seqlens": ["rule:padding"]}
"""The features whose cases show that a parameter is what it was tried as."""
_LENS = ("lens", "cache_seqlens")
GUESSES = 16
"""How many combinations of meanings are tried."""


def found(fn: Callable[..., Any], how: How) -> dict[str, Any]:
    """The claims about its form that are right in trial calls, as far as they are not the defaults.

    {} where the defaults are right, and where nothing is. Raises InputError for a function that can't be called.
    """
    try:
        adapter_of(fn, how, {})
    except _options.Unknown as e:
        known = {p.name for p in parameters_of(fn) or ()}
        taken = {option.names[0] for option in _options.OPTIONS if known & set(option.names)}
        for parameters in _guesses(e.parameters, taken):
            said = {"parameters": parameters}
            form = _found(fn, how, said)
            if form is not None and _shown(fn, how, said | form):
                return form | said
        return {}
    form = _projecting(fn, how) or _found(fn, how, {})
    return {} if form is None else form | _left_off(fn, how, form)


def _left_off(fn: Callable[..., Any], how: How, form: dict[str, Any]) -> dict[str, Any]:
    """The claim that leaves a causal flag off which raises without a mask: it is a hint, and the mask says the same."""
    options = adapter_of(fn, how, _called(form)).bound.options
    flags = [name for name, option in options.items() if option.rule == "causal"]
    if not flags or not any(option.names[:1] == ("mask",) for option in options.values()):
        return {}
    for length, dim in LENGTHS:
        base = {"dtype": DTYPES[0], "layout": "bhsd"} | _base(length, dim) | form
        if right(fn, how, base, []):
            hint = outcome(fn, how, base, ["rule:causal"]) == "raised"
            return {"parameters": dict.fromkeys(flags, "false")} if hint else {}
    return {}


def _projecting(fn: Callable[..., Any], how: How) -> dict[str, Any] | None:
    """The claims for a layer that projects its inputs, and that is attention apart from that."""
    for heads, dim in _layers.widths(fn) if _layers.projects(fn) else ():
        for layout in ("bs(hd)", "sb(hd)"):
            sizes = {"num_heads": heads, "num_kv_heads": heads, "head_dim": dim}
            said = {"projections": "identity", "layout": layout, **sizes}
            base = {"dtype": DTYPES[0], "q_len": LENGTHS[0][0], "kv_len": LENGTHS[0][0], **said}
            if right(fn, how, base, []):
                return said | (_mask(fn, how, base) or {})
    return None


def _guesses(parameters: list[inspect.Parameter], taken: set[str]) -> Iterator[dict[str, str]]:
    """What parameters of unknown names may be, the likeliest first; no two are the same, nor what others are."""
    def meanings(parameter: inspect.Parameter) -> tuple[str, ...]:
        annotation = str(parameter.annotation) if parameter.annotation is not parameter.empty else ""
        every = next((words for word, words in MEANINGS.items() if word in annotation), ANY_MEANING)
        return tuple(word for word in every if word not in taken)

    tried = [meanings(parameter) for parameter in parameters]
    ranks = sorted(itertools.product(*(range(len(words)) for words in tried)), key=sum)
    combinations = ([words[rank] for words, rank in zip(tried, each)] for each in ranks)
    # Of two parameters that hide the same keys nothing tells whether the second hides any.
    apart = (each for each in combinations
             if len(set(each) - set(_options.CONSTANTS)) == sum(word not in _options.CONSTANTS for word in each)
             and len({"mask", *_LENS} & set(each)) < 2)
    for chosen in itertools.islice(apart, GUESSES):
        yield dict(zip((p.name for p in parameters), chosen))


def _shown(fn: Callable[..., Any], how: How, claims: dict[str, Any]) -> bool:
    """Whether cases that need a guessed parameter are right too, where there are such cases."""
    for length, dim in LENGTHS:
        base = {"dtype": "f32", "layout": "bhsd"} | _base(length, dim) | claims
        shape = _forms.form_of(claims, "").mask
        by = SHOWN_BY | {"mask": ["rule:boolean"] if "q" in shape else ["rule:padding"]}
        if all(right(fn, how, base, by[word]) for word in claims["parameters"].values() if word in by):
            return True
    return False


def _base(length: int, dim: int) -> dict[str, Any]:
    return {"q_len": length, "kv_len": length, "head_dim": dim}


def _found(fn: Callable[..., Any], how: How, said: dict[str, Any]) -> dict[str, Any] | None:
    """The same for a function whose parameters are said; None where nothing is right."""
    bound = adapter_of(fn, how, said).bound  # type: ignore[arg-type]
    demanded = any(option.names[:1] == ("mask",) and name in bound.demands_value
                   for name, option in bound.options.items())
    forms = FORMS[:USUAL] if said else FORMS
    for dtype in DTYPES:
        for length, dim in LENGTHS:
            base = {"dtype": dtype} | _base(length, dim) | said
            found, seen = _form(fn, how, base, demanded and dtype == DTYPES[0], forms)
            if found is not None:
                return found
            if "wrong" in seen:  # it takes these sizes, and other ones will make it no righter
                always = None if demanded else _mask_always(fn, how, base, forms)
                return always or _way(fn, how, base, demanded, forms)
    return _way(fn, how, {"dtype": DTYPES[0]} | _base(*LENGTHS[0]) | said, demanded, forms)


def _form(fn: Callable[..., Any], how: How, base: dict[str, Any], demanded: bool,
          forms: Forms) -> tuple[dict[str, Any] | None, set[str]]:
    """The first form that is right, and what the forms before it gave. `demanded`: it must be given a mask."""
    seen = set()
    for form in forms:
        seen.add(outcome(fn, how, base | form, []))
        mask = _mask(fn, how, base | form) if "right" in seen or demanded else None
        if "right" in seen or mask and right(fn, how, base | form | mask, []):
            return (form if form != FORMS[0] else {}) | (mask or {}), seen
    return None, seen


def _way(fn: Callable[..., Any], how: How, base: dict[str, Any], demanded: bool,
         forms: Forms) -> dict[str, Any] | None:
    """The form of a function that is right if it does by itself what one of WAYS says."""
    for way in WAYS:
        form, _ = _form(fn, how, base | way, demanded, forms[:len(_forms.CORE_LAYOUTS)] if demanded else forms)
        if form is not None:
            return form | way
    return None


def _mask_always(fn: Callable[..., Any], how: How, base: dict[str, Any], forms: Forms) -> dict[str, Any] | None:
    """The form with which a function is right that hides something where its mask is None (many are causal then)."""
    for form in forms:
        for means in MASK_MEANS:
            said = {**form, "mask_always": True, "mask_means": means}
            if right(fn, how, base | said, ["rule:boolean"]) and right(fn, how, base | said, []):
                return said
    return None


def _mask(fn: Callable[..., Any], how: How, base: dict[str, Any]) -> dict[str, Any] | None:
    """The same for the mask, if the function takes one: {} for the default, None where none is right."""
    said = {"mask_means": "visible"}
    if "mask" not in adapter_of(fn, how, _called(base | said)).bound.names:
        return None
    if right(fn, how, base, ["rule:boolean"]):
        return {}
    own = _forms.Form(base["layout"]).mask
    for shape in dict.fromkeys((own, *MASK_SHAPES)):
        if any(axis in shape and axis not in base["layout"] for axis in "bh"):
            continue
        for means in MASK_MEANS:
            form = {"mask_means": means, "mask_shape": shape}
            if right(fn, how, base | form, ["rule:boolean"] if "q" in shape else ["rule:padding"]):
                return form if shape != own else {"mask_means": means}
    return None


def _called(claims: dict[str, Any]) -> Any:
    """Those of the claims that say how the function is called."""
    return {key: claims[key] for key in _forms.KEYS if key in claims}


def _shape_word(form: _forms.Form) -> str:
    """The boolean mask that uses each axis of the function's mask."""
    return "boolean.shape:" + "".join(letter for letter in form.mask if letter in "bhqk")


def right(fn: Callable[..., Any], how: How, claims: dict[str, Any], features: list[str]) -> bool:
    """Whether the function is right in all trial cases with these claims."""
    return outcome(fn, how, claims, features) == "right"


def outcome(fn: Callable[..., Any], how: How, claims: dict[str, Any], features: list[str]) -> str:
    """What trial cases with these claims give: right (all of them), wrong, raised, or none where there is no case.

    With a mask among the features, each case hides something from a query.
    """
    adapter = adapter_of(fn, how, _called(claims))
    masked = bool({"rule:boolean", "rule:padding"} & set(features))
    if masked and not adapter.bound.names & {"mask", *(_LENS if "rule:padding" in features else ())}:
        return "none"
    adapter.settle()
    chosen = _SIZES | {name: claims[name] for name in _core.size_names() if name in claims} | adapter.form.fixed
    sizes = {name: [n, n] for name, n in chosen.items()}
    companions = {"rule:boolean": [_shape_word(adapter.form)], "rule:padding": ["padding.side:right"]}
    layout = adapter.form.core if claims["layout"] not in _forms.CORE_LAYOUTS else claims["layout"]
    always = _claims.always_of(claims, adapter.form)
    if "rule:causal" in always and chosen["q_len"] != chosen["kv_len"]:
        return "none"  # nothing says where the diagonal lies
    every = [f"dtype:{claims['dtype']}", f"layout:{layout}", *features, *always]
    every += ["cross"] if chosen["q_len"] != chosen["kv_len"] else []
    every += [each for feature in features for each in companions.get(feature, ())]
    demanded = _claims.in_every_case(every, [*always, *(each for each in features if not masked)], False)
    capabilities = json.dumps({"sizes": sizes, "features": every, "max_rules": 1 + len(always),
                               "precision": _claims.precisions([claims["dtype"]], None), **demanded})
    found = "none"
    for case in _cases(_core.capabilities(capabilities, "trial"), masked):
        answer = _answer(adapter, case, capabilities)
        found = found if answer == "declined" else answer
        if found not in ("right", "none"):
            break
    return found


def _cases(capabilities: str, masked: bool) -> Iterator[str]:
    count = 0
    for index in range(SEARCH):
        case = _core.generate(capabilities, 1, index)
        if masked:
            mask = _core.inputs(case).get("mask")
            if mask is None or mask.all():
                continue
        yield case
        count += 1
        if count == CASES:
            return


def _answer(adapter: FunctionAdapter, case: str, capabilities: str) -> str:
    from attnfuzz._target import steps_of

    try:
        words = _core.judge(case, capabilities, list(steps_of(adapter, case, _core.inputs(case))))
    except Declined:
        return "declined"
    except Exception:
        return "raised"
    return "wrong" if words else "right"


def found_apart(fn: Callable[..., Any], how: How, seconds: float) -> dict[str, Any]:
    """found() in a process of its own, where the function has a name to import it by; {} if that process ends badly."""
    place = _isolate.place_of(fn)
    if not isinstance(place, _names.Place):
        return found(fn, how)
    variables = _isolate.variables(place, how)
    try:
        done = subprocess.run([sys.executable, "-m", "attnfuzz._trials"], env=os.environ | variables, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=seconds)
        return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]
    except (subprocess.TimeoutExpired, OSError, ValueError, IndexError):
        return {}


def in_words(form: dict[str, Any]) -> str:
    """"layout='bs(hd)', mask_means='hidden'"."""
    return ", ".join(f"{name}={word!r}" for name, word in form.items())


def main() -> None:
    spec = json.loads(os.environ[_isolate.VARIABLE])
    sys.path.extend(each for each in spec["path"] if each not in sys.path)
    sys.argv = spec["argv"]
    try:
        form = found(_isolate.load(_names.Place(**spec["place"])), How(**spec["how"]))
    except InputError:
        form = {}
    print("\n" + json.dumps(form))


if __name__ == "__main__":
    main()
