"""A Python function (or an adapter of targets/python) as what the campaign runs."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from attnfuzz import _arrays, _claims, _core, _options
from attnfuzz._claims import Claims
from attnfuzz._core import InputError
from attnfuzz._types import Array, Step


class Declined(Exception):
    """Raise it for a case that the function's documentation rejects and its claims can't exclude."""


@dataclass(frozen=True)
class Target:
    """What is under test: its name, its claims as JSON, and how it is run on one case."""

    name: str
    version: str
    capabilities: str
    run: Callable[[str, dict[str, Array]], Iterator[Step]]
    arrays: str

    def campaign(self) -> _core.Campaign:
        return _core.Campaign(self.name, self.version, self.capabilities, self.run, Declined, environment(self.arrays))


def environment(arrays: str) -> str:
    """"Python 3.11.7, NumPy 2.4.6, torch 2.13.0": what a report adds to the machine's description."""
    parts = [f"Python {sys.version.split()[0]}", f"NumPy {version_of('numpy')}"]
    if arrays not in ("numpy", ""):
        parts.append(f"{arrays} {version_of(arrays)}")
    return ", ".join(parts)


def version_of(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def function_target(fn: Callable[..., Any], arrays: str | ModuleType | None, claims: Claims) -> Target:
    """A function attention(q, k, v, …) -> out, with the keywords of _options.OPTIONS that it names."""
    if not callable(fn):
        raise InputError(f"expected a function of (q, k, v), not {type(fn).__name__}")
    name = _claims.describe(fn)
    options = _options.taken(fn)
    flags = frozenset(option.rule for option in options.values() if option.rule)
    aligns = frozenset(_claims.claimed("align", claims))
    arrays = arrays or _arrays.guess(fn)
    give = _arrays.giver(arrays)

    def run(text: str, tensors: dict[str, Array]) -> Iterator[Step]:
        call = _options.Call(json.loads(text), tensors, give, flags, aligns)
        keywords = {key: option.value(call) for key, option in options.items()}
        out = fn(*(call.tensor(role) for role in ("q", "k", "v")), **keywords)
        yield (*_arrays.take(out), [], [], None)

    kind = arrays if isinstance(arrays, str) else arrays.__name__
    package = version_of((getattr(fn, "__module__", None) or "").partition(".")[0])
    return Target(name, package or "(no version)", _claims.complete(claims, options, name), run, kind)


def is_adapter(fn: Any) -> bool:
    return hasattr(fn, "capabilities") and callable(getattr(fn, "run", None))


def adapter_target(adapter: Any, claims: Claims) -> Target:
    """An object with `capabilities` (a dict) and run(case, tensors), as targets/python/README.md has it; for caches."""
    if claims:
        raise InputError("an adapter's claims are its `capabilities`: expected no others")
    name = f"python:{getattr(adapter, 'name', type(adapter).__qualname__)}"

    def run(text: str, tensors: dict[str, Array]) -> Iterator[Step]:
        case = json.loads(text)
        raw = {"uint16": "bf16", "uint8": case["problem"]["dtype"]}
        for step in adapter.run(case, tensors):
            dtype, out = "", step.get("out")
            if out is not None and getattr(out, "dtype", None) in raw:
                dtype = raw[str(out.dtype)]
            elif out is not None:
                dtype, out = _arrays.take(out)
            yield (dtype, out, list(step.get("lengths") or ()), list(step.get("positions") or ()), step.get("capacity"))

    capabilities = _core.capabilities(json.dumps(adapter.capabilities), name)
    return Target(name, str(getattr(adapter, "version", "")), capabilities, run, "")


def target_of(fn: Any, arrays: str | ModuleType | None, claims: Claims) -> Target:
    return adapter_target(fn, claims) if is_adapter(fn) else function_target(fn, arrays, claims)
