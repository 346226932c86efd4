"""What `attnfuzz probe` probes: Python functions, plug-ins and adapters, each in a worker process."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attnfuzz import _claims, _core, _isolate, _names, _trials
from attnfuzz._check import load
from attnfuzz._command import called
from attnfuzz._core import InputError
from attnfuzz._forms import CORE_LAYOUTS
from attnfuzz._function import FunctionAdapter, How, adapter_of
from attnfuzz._options import GRADIENTS, Unknown
from attnfuzz._probe import HALF, Examine, Found, capabilities_from, claims_from, left_out
from attnfuzz._target import MEMORY, in_process


TRIALS = 10
"""How long the search for a function's form may take, in times of what one case may take."""


@dataclass
class Probed:
    """A target that can be probed."""

    examine: Examine
    can_reach: Callable[[str], bool]
    claims: Callable[[Found], dict[str, Any]]
    next: Callable[[str], str]  # the command that uses the claims of a file
    layouts: tuple[str, ...] = ("bhsd", "bshd")
    fixed: dict[str, int] = dataclasses.field(default_factory=dict)  # sizes that can have one value alone
    precision: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)  # how answers are judged; may be set
    form: str = ""  # how its arrays are arranged and what its mask says, in words, where that was found to be its own
    always: tuple[str, ...] = ()  # the features that every case must have


def has_adapter(name: str) -> bool:
    """Whether a target "package:name" is served by an adapter: a file with the function targets()."""
    folder = os.environ.get("ATTNFUZZ_ADAPTERS") or str(Path(_core.home()) / "targets" / "python" / "adapters")
    file = Path(folder) / (name.partition(":")[0].replace("-", "_") + ".py")
    return file.is_file() and "\ndef targets(" in file.read_text(errors="replace")


def open_target(name: str, arrays: str | None, device: str | None, timeout: float) -> Probed:
    """Opens what is named. Raises InputError where it is not there."""
    if name.startswith("python:"):
        return function(name.removeprefix("python:"), arrays, device, timeout)
    if "/" in name or name.endswith(".so"):
        return remote(name, [program(), "worker", name], timeout)
    if ":" in name and has_adapter(name):
        worker = str(Path(_core.home()) / "targets" / "python" / "worker.py")
        return remote(name, [sys.executable, worker, name], timeout)
    return function(name, arrays, device, timeout)


def examined(campaign: _core.Campaign, case: str) -> tuple[str, str]:
    """Runs and judges one case: "pass", "skip" where the target declines, or the kind of failure; and words."""
    return campaign.examine(case)


def program() -> str:
    """The program attnfuzz, for plug-ins."""
    found = os.environ.get("ATTNFUZZ") or shutil.which("attnfuzz")
    if not found:
        raise InputError("a plug-in is run by the program attnfuzz: expected it on PATH, or its name in ATTNFUZZ")
    return found


def remote(name: str, argv: list[str], timeout: float) -> Probed:
    """A plug-in or an adapter: it is told everything."""
    campaign = _core.isolated_campaign(name, argv, {"PYTHONDONTWRITEBYTECODE": "1"}, timeout, MEMORY)
    return Probed(lambda case: examined(campaign, case), lambda word: True, capabilities_from,
                  lambda file: f"copy {file} into the capabilities of {name}")


def function(name: str, arrays: str | None, device: str | None, timeout: float) -> Probed:
    """A Python function: it is told what its parameters let it be told."""
    fn, how = load(name), How(arrays, device)
    form = _trials.found_apart(fn, how, timeout * TRIALS)
    try:
        adapter = adapter_of(fn, how, form)  # type: ignore[arg-type]
    except Unknown as e:
        raise Unknown(e.fn_name, e.parameters, "trial calls were right with none that was tried") from None
    precision = {dtype: {"accumulate": "f32", "p": dtype} for dtype in HALF}
    usual = dict(precision)
    differentiates = "grad_out" not in adapter.bound.names
    campaigns: dict[tuple[bool, tuple[str, ...], str], _core.Campaign] = {}

    def judged() -> FunctionAdapter:
        return adapter_of(adapter.fn, adapter.how, {**form, "precision": precision})  # type: ignore[typeddict-item]

    adapter = judged()

    def campaign_for(features: set[str]) -> _core.Campaign:
        """Gradients, and the alignment of its own flags, are matters of how a function is called."""
        gradients = bool(features & set(GRADIENTS)) and differentiates
        aligns = tuple(sorted(word.partition(":")[2] for word in features if word.startswith("align:")))
        key = gradients, aligns, json.dumps(precision)
        if key not in campaigns:
            campaigns[key] = _started(judged(), gradients, aligns, timeout)
        return campaigns[key]

    def examine(case: str) -> tuple[str, str]:
        return examined(campaign_for(set(_core.features(case))), case)

    def can_reach(word: str) -> bool:
        try:
            if word in GRADIENTS and differentiates:
                campaign_for({word})
                return word in ("dq", "dk", "dv")
            _claims.demand_carriers([word], adapter.bound.options, "")
        except InputError:
            return False
        flags = {f"rule:{option.rule}" for option in adapter.bound.options.values() if option.rule}
        return word in flags or adapter.form.can_say(word)

    def claims(found: Found) -> dict[str, Any]:
        own = {dtype: way for dtype, way in precision.items() if way != usual[dtype]}
        promised = {word for option in adapter.bound.options.values() for word in option.words}
        without = sorted(promised & {*found.raised, *found.wrong, *found.without_effect})
        more = {"precision": own, "without": without, "left_out": left_out(found, promised)}
        return claims_from(found) | form | {key: value for key, value in more.items() if value}

    layouts = Probed.layouts
    if "layout" in form:
        layouts = (form["layout"] if form["layout"] in CORE_LAYOUTS else adapter.form.core,)
    fixed = adapter.form.fixed | {size: form[size] for size in _core.size_names() if size in form}

    def following(file: str) -> str:
        return f"{called('check')} {shlex.quote(name)} --claims {shlex.quote(file)}"

    return Probed(examine, can_reach, claims, following,
                  layouts, fixed, precision, _trials.in_words(form), tuple(_claims.always_of(form, adapter.form)))


def _started(adapter: FunctionAdapter, gradients: bool, aligns: tuple[str, ...], timeout: float) -> _core.Campaign:
    """The function in a worker, called in one way; in this process where it has no name to import it by."""
    variant = dataclasses.replace(adapter, how=dataclasses.replace(adapter.how, gradients=gradients))
    variant.aligns = frozenset(aligns)
    place = _isolate.place_of(variant.fn)
    if isinstance(place, _names.Place):
        return _core.isolated_campaign(variant.name, *_isolate.command(variant, place), timeout, MEMORY)
    variant.settle()
    return in_process(variant, variant.name, json.dumps(variant.capabilities))
