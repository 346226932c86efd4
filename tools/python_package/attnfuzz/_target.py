"""A Python function (or an adapter of targets/python) as what the campaign runs: in this process, or in a worker."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from attnfuzz import _arrays, _core, _isolate
from attnfuzz._claims import Claims
from attnfuzz._core import InputError
from attnfuzz._function import Declined, FunctionAdapter, How, adapter_of, version_of
from attnfuzz._gradients import MORE
from attnfuzz._types import Array, Step

MEMORY = 16 << 30
"""What a worker may take, in bytes."""


@dataclass(frozen=True)
class Target:
    """What is under test, ready to be run, and what is worth telling of how it is run."""

    name: str
    campaign: _core.Campaign
    arrays: str = ""  # the kind of arrays it gets; empty for an adapter
    arrays_why: str = ""
    place: str = ""  # where it runs, in words
    unused: tuple[str, ...] = ()  # parameters that it is never handed
    hidden: bool = False  # it takes keywords that its signature does not name


def environment(arrays: str) -> str:
    """"Python 3.11.7, NumPy 2.4.6, torch 2.13.0": what a report adds to the machine's description."""
    parts = [f"Python {sys.version.split()[0]}", f"NumPy {version_of('numpy')}"]
    if arrays not in ("numpy", ""):
        parts.append(f"{arrays} {version_of(arrays)}")
    return ", ".join(parts)


def steps_of(adapter: Any, text: str, tensors: dict[str, Array]) -> Iterator[Step]:
    """What an adapter yields, as the campaign takes it."""
    case = json.loads(text)
    bits = {"uint16": "bf16", "uint8": case["problem"]["dtype"]}

    def taken(output: Any) -> tuple[str, Array]:
        name = str(getattr(output, "dtype", ""))
        return (bits[name], output) if name in bits else _arrays.take(output)

    for step in adapter.run(case, tensors):
        dtype, out = ("", None) if step.get("out") is None else taken(step["out"])
        more = {name: taken(step[name]) for name in MORE if step.get(name) is not None}
        lengths, positions = (list(step.get(name) or ()) for name in ("lengths", "positions"))
        yield (dtype, out, lengths, positions, step.get("capacity"), more)


def in_process(adapter: Any, name: str, capabilities: str) -> _core.Campaign:
    version = str(getattr(adapter, "version", ""))
    return _core.Campaign(name, version, capabilities, lambda text, tensors: steps_of(adapter, text, tensors), Declined)


def in_worker(adapter: FunctionAdapter, timeout: float, demanded: bool) -> Target | str:
    """The function in a worker; or why it can't be in one. Raises InputError instead where it must be."""
    place = _isolate.place_of(adapter.fn)
    arrays = adapter.how.arrays
    if not (arrays is None or isinstance(arrays, str) or sys.modules.get(arrays.__name__) is arrays):
        place = f"arrays={arrays!r} has no name to import it by"
    if isinstance(place, str):
        why = place
    else:
        try:
            campaign = _core.isolated_campaign(adapter.name, *_isolate.command(adapter, place), timeout, MEMORY)
            kind, _, reason = campaign.about.removeprefix("arrays: ").partition(" (")
            return Target(adapter.name, campaign, kind, reason.removesuffix(")"), "in a worker process",
                          adapter.bound.unused, adapter.bound.hidden)
        except InputError as e:
            why = str(e).removeprefix(f"{adapter.name}: ")
    if demanded:
        raise InputError(f"isolate=True: {adapter.name} can't be run in a worker: {why}")
    return why


def function_target(fn: Callable[..., Any], how: How, claims: Claims, isolate: bool | None, timeout: float) -> Target:
    """A function; in a worker where it can be (isolate None), or must be (True)."""
    adapter = adapter_of(fn, how, claims)
    where = "in this process"
    if isolate is not False:
        found = in_worker(adapter, timeout, bool(isolate))
        if isinstance(found, Target):
            return found
        where += f" ({found})"
    adapter.settle()
    campaign = in_process(adapter, adapter.name, adapter.capabilities_text)
    return Target(adapter.name, campaign, adapter.kind.name, adapter.kind.why, where, adapter.bound.unused,
                  adapter.bound.hidden)


def is_adapter(fn: Any) -> bool:
    return hasattr(fn, "capabilities") and callable(getattr(fn, "run", None))


def adapter_target(adapter: Any, how: How, claims: Claims) -> Target:
    """An object with `capabilities` (a dict) and run(case, tensors), as targets/python/README.md has it; for caches."""
    if claims or how != How():
        raise InputError("an adapter's claims are its `capabilities`: expected no others")
    name = f"python:{getattr(adapter, 'name', type(adapter).__qualname__)}"
    capabilities = _core.capabilities(json.dumps(adapter.capabilities), name)
    return Target(name, in_process(adapter, name, capabilities), place="in this process")


def target_of(fn: Any, how: How, claims: Claims, isolate: bool | None, timeout: float) -> Target:
    """What check() runs. Raises InputError for what can't be run, before anything is."""
    if is_adapter(fn):
        target = adapter_target(fn, how, claims)
    else:
        target = function_target(fn, how, claims, isolate, timeout)
    target.campaign.environment = environment(target.arrays)
    return target


def how_of(arrays: str | ModuleType | None, device: str | None = None, gradients: bool = False, lse: bool = False,
           keywords: Any = ()) -> How:
    return How(arrays, device, bool(gradients), bool(lse), tuple([keywords] if isinstance(keywords, str) else keywords))
