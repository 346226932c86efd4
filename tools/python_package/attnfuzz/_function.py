"""A Python function as a target, in the form that adapters have: capabilities, and run(case, tensors)."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from attnfuzz import _arrays, _claims, _core, _forms, _gradients, _kinds, _layers, _options
from attnfuzz._claims import Claims
from attnfuzz._core import InputError
from attnfuzz._forms import Form
from attnfuzz._types import Array


class Declined(Exception):
    """Raise this from your function for a case that its documentation rejects and no claim can exclude.

    The case then counts as declined, neither as passed nor as failed.
    """


@dataclass(frozen=True)
class How:
    """How a function is called, beside what it claims."""

    arrays: str | ModuleType | None = None  # None: chosen
    device: str | None = None  # "cuda", "cuda:1", "cpu"; None: where the package puts its arrays
    gradients: bool = False
    lse: bool = False
    keywords: Sequence[str] = ()  # options that it takes though its signature does not name them

    def words(self, bound: _options.Bound) -> list[str]:
        """The features that a function is tested for because of this."""
        found = ["lse"] * self.lse
        if self.gradients:
            found += ["dq", "dk", "dv"]
        if self.gradients and "grad_out" not in bound.names:  # attnfuzz differentiates, in all it hands over
            found += [gradient for gradient, name in _gradients.OTHERS.items() if name in bound.names]
        return found


def version_of(package: str) -> str:
    try:
        return importlib.metadata.version(package) if package else ""
    except importlib.metadata.PackageNotFoundError:
        return ""


@dataclass
class FunctionAdapter:
    """attention(q, k, v, …) -> out, with those keywords of _options.OPTIONS that it names."""

    fn: Callable[..., Any]
    name: str
    version: str
    bound: _options.Bound
    capabilities_text: str
    how: How
    claims: Claims
    form: Form = Form()
    kind: _kinds.Kind = field(init=False)

    def __post_init__(self) -> None:
        self._flags = frozenset(option.rule for option in self.bound.options.values() if option.rule)
        self.aligns = frozenset(_claims.claimed("align", self.claims))
        self.spent = False  # the process that has run it can do no more
        self._called = _layers.identity(self.fn) if self.claims.get("projections") else self.fn

    @property
    def capabilities(self) -> dict[str, Any]:
        return json.loads(self.capabilities_text)  # type: ignore[no-any-return]

    @property
    def about(self) -> str:
        return f"arrays: {self.kind.name} ({self.kind.why})"

    def settle(self, trial: bool = True) -> None:
        """Chooses the kind of arrays; with `trial` by calling the function where there is a doubt."""
        arrays = self.how.arrays
        if arrays is not None:
            self.kind = _kinds.Kind(arrays, "as it was said")
        else:
            self.kind = _kinds.choose(self.fn, self._trial if trial else None)
        self._give = _arrays.giver(self.kind.arrays, self.how.device)
        self._run = _gradients.runner(self._called, self.bound, self.how.gradients, self.kind.name, self.name)

    def _trial(self, arrays: str) -> int:
        """One call with the simplest case that is claimed (see _kinds.choose)."""
        try:
            case = json.loads(_core.generate_from(self.capabilities_text, lambda: 0))
            call = self._call(case, _core.inputs(json.dumps(case)), _arrays.giver(arrays))
            returned = self.bound.call(self._called, call)
            out = returned.get("out") if isinstance(returned, dict) else _arrays.first(returned)
            if _arrays.take(out)[1].ndim != self.form.ndim:
                return 0
            return 2 if _arrays.kind_of(out) == arrays else 1
        except Exception:
            return 0

    def _call(self, case: dict[str, Any], tensors: dict[str, Array], give: _arrays.Give) -> _options.Call:
        return _options.Call(case, tensors, give, self._flags, self.aligns, self.form)

    def run(self, case: dict[str, Any], tensors: dict[str, Array]) -> Iterator[dict[str, Any]]:
        try:
            outputs = self._run(self._call(case, tensors, self._give))
            _arrays.synchronise(self.kind.arrays, self.how.device)
            problem = case["problem"]
            yield {name: self.form.restore(name, _arrays.raw(output), problem) for name, output in outputs.items()}
        except _forms.TooNarrow as e:
            raise Declined(str(e)) from None
        except RuntimeError as e:
            self.spent = "CUDA error" in str(e) or "HIP error" in str(e)  # a device that faults stays so
            raise


def adapter_of(fn: Callable[..., Any], how: How, claims: Claims) -> FunctionAdapter:
    """The function, with its claims completed from its parameters; settle() comes next.

    Raises InputError, before the function is called, for claims that are none, and for a function that can't be called.
    """
    if not callable(fn):
        raise InputError(f"expected a function of (q, k, v), not {type(fn).__name__}")
    name = _claims.describe(fn)
    form = _forms.form_of(claims, name)
    bound = _options.bind(fn, name, how.keywords, any(key.startswith("mask_") for key in claims),
                          claims.get("parameters", {}))
    text = _claims.complete(claims, bound.options, name, how.words(bound), form)
    if "projections" in claims and not _layers.projects(fn):
        raise InputError(f"{name}: projections: expected a layer of PyTorch with linear layers, not "
                         f"{type(fn).__name__}")
    package = (getattr(fn, "__module__", None) or "").partition(".")[0]
    return FunctionAdapter(fn, name, version_of(package) or "(no version)", bound, text, how, claims, form)
