"""Which form a function's arrays and its mask have: found by calling it with each, and checking what it answers.

`python -m attnfuzz._trials` does it in a process of its own, for the function that the variable of _isolate names.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

from attnfuzz import _claims, _core, _forms, _isolate
from attnfuzz._core import InputError
from attnfuzz._forms import MASK_MEANS, MASK_SHAPES
from attnfuzz._function import FunctionAdapter, How, adapter_of

OTHERS = {"bhsd": ("bshd", "bs(hd)"), "bshd": ("bhsd", "bs(hd)")}
"""How an output may lie where q lies so: as the next projection wants it."""
FORMS: tuple[dict[str, Any], ...] = (
         *({"layout": layout} for layout in _forms.LAYOUTS),
         *({"layout": layout, "out_layout": other} for layout in _forms.CORE_LAYOUTS for other in OTHERS[layout]))
"""The arrangements that are tried, the usual ones first."""
CASES = 3
"""Right answers that show a form."""
SEARCH = 60
LENGTHS = ((4, 8), (16, 16), (64, 64), (128, 128))
"""(q_len and kv_len, head_dim) of the trial cases: the first that any form is right with."""
DTYPES = ("f32", "f16", "bf16", "f64")
_SIZES = {"batch": 2, "num_heads": 3, "num_kv_heads": 3}


def found(fn: Callable[..., Any], how: How) -> dict[str, Any]:
    """The claims layout, mask_means and mask_shape that are right in trial calls, as far as they are not the defaults.

    {} where the defaults are right, and where nothing is. Raises InputError for a function that can't be called.
    """
    for dtype in DTYPES:
        for length, dim in LENGTHS:
            base = {"dtype": dtype, "q_len": length, "kv_len": length, "head_dim": dim}
            outcomes = set()
            for form in FORMS:
                outcomes.add(outcome(fn, how, base | form, []))
                if "right" in outcomes:
                    return (form if form != FORMS[0] else {}) | _mask(fn, how, base | form)
            if "wrong" in outcomes:  # it takes these sizes, and other ones will make it no righter
                return _mask_always(fn, how, base)
    return {}


def _mask_always(fn: Callable[..., Any], how: How, base: dict[str, Any]) -> dict[str, Any]:
    """The form with which a function is right that hides something where its mask is None (many are causal then)."""
    for form in FORMS:
        for means in MASK_MEANS:
            said = {**form, "mask_always": True, "mask_means": means}
            if right(fn, how, base | said, ["rule:boolean"]) and right(fn, how, base | said, []):
                return said
    return {}


def _mask(fn: Callable[..., Any], how: How, base: dict[str, Any]) -> dict[str, Any]:
    """The same for the mask, if the function takes one."""
    said = {"mask_means": "visible"}
    if "mask" not in adapter_of(fn, how, {**base, **said}).bound.names:  # type: ignore[typeddict-item]
        return {}
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
    return {}


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
    adapter = adapter_of(fn, how, {key: claims[key] for key in _forms.KEYS if key in claims})  # type: ignore[arg-type]
    if features and "mask" not in adapter.bound.names:
        return "none"
    adapter.settle()
    sizes = {name: [n, n] for name, n in (_SIZES | adapter.form.fixed).items()}
    sizes |= {name: [claims[name]] * 2 for name in ("q_len", "kv_len", "head_dim")}
    companions = {"rule:boolean": [_shape_word(adapter.form)], "rule:padding": ["padding.side:right"]}
    layout = adapter.form.core if claims["layout"] not in _forms.CORE_LAYOUTS else claims["layout"]
    every = [f"dtype:{claims['dtype']}", f"layout:{layout}", *features]
    every += [each for feature in features for each in companions[feature]]
    precision = _claims.precisions([claims["dtype"]], None)
    capabilities = json.dumps({"sizes": sizes, "features": every, "max_rules": 1, "precision": precision})
    found = "none"
    for case in _cases(_core.capabilities(capabilities, "trial"), bool(features)):
        found = _answer(adapter, case, capabilities)
        if found != "right":
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
    except Exception:
        return "raised"
    return "wrong" if words else "right"


def found_apart(adapter: FunctionAdapter, seconds: float) -> dict[str, Any]:
    """found() in a process of its own, where the function has a name to import it by; {} if that process ends badly."""
    place = _isolate.place_of(adapter.fn)
    if not isinstance(place, _isolate.Place):
        return found(adapter.fn, adapter.how)
    _, variables = _isolate.command(adapter, place)
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
        form = found(_isolate.load(_isolate.Place(**spec["place"])), How(**spec["how"]))
    except InputError:
        form = {}
    print("\n" + json.dumps(form))


if __name__ == "__main__":
    main()
