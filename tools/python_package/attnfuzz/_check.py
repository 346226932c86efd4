"""check() and replay(): a function under test in, findings out."""

from __future__ import annotations

import importlib
import numbers
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from attnfuzz import _core, _isolate, _options
from attnfuzz._case import Case, CaseLike
from attnfuzz._claims import DEFAULT_SIZES, Claims, describe
from attnfuzz._core import InputError
from attnfuzz._progress import progress_for
from attnfuzz._result import FORMATS, Finding, Result
from attnfuzz._target import how_of, is_adapter, target_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["FORMATS", "Interrupted", "check", "load", "replay"]
SHRINK_TRIES = 2000
TIMEOUT = 20.0


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during check(); `result` has what was found until then."""

    def __init__(self, result: Result) -> None:
        super().__init__(str(result))
        self.result = result


def demand_whole(**given: object) -> None:
    """Raises InputError for an argument that is no whole number from 0 on."""
    for name, number in given.items():
        if not (isinstance(number, numbers.Integral) and 0 <= int(number) < 1 << 63):
            raise InputError(f"{name}: expected a whole number from 0 to 2^63 - 1, found {number!r}")


def demand_seconds(**given: object) -> None:
    """Raises InputError for an argument that is no time in seconds."""
    for name, number in given.items():
        if not (isinstance(number, numbers.Real) and 0 <= float(number) < float("inf")):
            raise InputError(f"{name}: expected a number from 0 on, found {number!r}")


def check(
    fn: Callable[..., Any],
    *,
    cases: int = 200,
    seed: int = 0,
    seconds: float = 0,
    arrays: str | ModuleType | None = None,
    device: str | None = None,
    gradients: bool = False,
    lse: bool = False,
    keywords: Sequence[str] = (),
    isolate: bool | None = None,
    timeout: float = TIMEOUT,
    stop_after: int = 5,
    max_shrink_tries: int = SHRINK_TRIES,
    progress: bool | None = None,
    on_finding: Callable[[Finding], object] | None = None,
    **claims: Unpack[Claims],
) -> Result:
    """Fuzzes an attention function, and checks it against attnfuzz's reference in double precision.

    fn(q, k, v, …) -> out, or (out, …). Shapes: q [batch, num_heads, q_len, head_dim], k [batch, num_kv_heads, kv_len,
    head_dim], v [batch, num_kv_heads, kv_len, head_dim_v], out [batch, num_heads, q_len, head_dim_v]. With
    layout="bshd" the length comes before the heads. fn also gets those of these keywords that are among its
    parameters, and is tested for what they let attnfuzz ask:

    - mask: bool [batch, num_heads, q_len, kv_len], True = visible; None when all keys are visible
    - causal: bool; window: (left, right) or None; lens: real keys of each batch row or None (mask is None then)
    - bias: [batch, num_heads, q_len, kv_len] or None; scale: float or None for 1/sqrt(head_dim)
    - softcap: float, 0 = off
    - sinks: [num_heads] or None; mem_k, mem_v: [num_kv_heads, memory_kv, dim] or None; enable_gqa: bool
    - grad_out: out's gradient or None; the function then returns (out, dq, dk, dv)
    - case: the case as a dict, for what else it needs to know

    How it is run:

    - arrays: "numpy", "torch", "jax", or a module with from_dlpack() or asarray(). By default attnfuzz looks at fn's
      annotations, class, decorators, code and imports, and makes a trial call if these leave a doubt; the result
      says which was chosen
    - device: the device of PyTorch's or JAX's arrays: "cuda", "cuda:1", "mps" …
    - gradients: tests dq, dk, dv too, by PyTorch's autograd or jax.vjp, or as fn returns them for grad_out
    - lse: the function returns (out, lse), lse [batch, num_heads, q_len], the natural logarithm of the denominator
    - keywords: options that fn accepts as **kwargs, without naming them in its signature
    - isolate: whether a worker process runs fn, so that a crash, or a case that takes longer than `timeout` seconds,
      is a finding. This needs a function that can be imported by its module and name. None: if possible; True: or
      InputError; False: fn runs in this process

    `claims` say what else fn can do (attnfuzz.Claims): head_dim=(8, 64, 8), features="gqa", dtype="f16" …
    attnfuzz demands what is claimed: within the claims, an exception is a finding. The same seed gives the same cases;
    `seconds` gives the campaign a time instead. For caches, pass an adapter object (targets/python/README.md).

    Raises InputError for a function that can't be called, and for claims that are unknown or can't reach it. Raises
    Interrupted after Ctrl-C, with the result so far. Never raises for findings: see Result.
    """
    if _isolate.in_worker():
        raise _isolate.Reached
    demand_seconds(seconds=seconds, timeout=timeout)
    demand_whole(cases=cases, seed=seed, stop_after=stop_after, max_shrink_tries=max_shrink_tries)
    target = target_of(fn, how_of(arrays, device, gradients, lse, keywords), claims, isolate, timeout)
    bar = progress_for(progress, target.name, cases, seconds)
    said: dict[str, Any] = dict(claims)
    for name, value, default in (("arrays", arrays, None), ("device", device, None), ("gradients", gradients, False),
                                 ("lse", lse, False), ("keywords", list(keywords), [])):
        if value != default and not isinstance(value, ModuleType):
            said[name] = value

    def found(item: _core.Item) -> None:
        if bar is not None:
            bar.findings += 1
        if on_finding is not None:
            on_finding(Finding(item))

    try:
        target.campaign.run(seed, cases, seconds, max_shrink_tries, stop_after, found, bar)
    except KeyboardInterrupt:
        raise Interrupted(Result(target, said)) from None
    finally:
        if bar is not None:
            bar.clear()
    return Result(target, said)


def replay(
    fn: Callable[..., Any],
    case: CaseLike,
    *,
    arrays: str | ModuleType | None = None,
    device: str | None = None,
    gradients: bool = False,
    lse: bool = False,
    keywords: Sequence[str] = (),
    isolate: bool | None = None,
    timeout: float = TIMEOUT,
    max_shrink_tries: int = 0,
    **claims: Unpack[Claims],
) -> Finding | None:
    """Runs one case through a function; the finding if it fails, None if it is right.

    Without claims, fn is taken to claim what the case needs. With max_shrink_tries the case is shrunk as well. The
    other arguments are those of check(). Raises InputError for a case outside the claims, or with an option that can't
    reach fn.
    """
    if _isolate.in_worker():
        raise _isolate.Reached
    demand_seconds(timeout=timeout)
    demand_whole(max_shrink_tries=max_shrink_tries)
    wanted = Case(case)
    how = how_of(arrays, device, gradients or "dq" in wanted.features, lse, keywords)
    target = target_of(fn, how if not is_adapter(fn) else how_of(None), claims or own_claims(fn, wanted, keywords),
                       isolate, timeout)
    if reason := target.campaign.rejection_reason(wanted.json):
        raise InputError(f"{wanted} is outside the claims of {target.name}: {reason}")
    item = target.campaign.replay(wanted.json, max_shrink_tries)
    return None if item is None else Finding(item)


def own_claims(fn: Callable[..., Any], case: Case, keywords: Sequence[str] = ()) -> Claims:
    """What a function must claim for this case to be inside; nothing for an adapter, which has claims of its own."""
    if is_adapter(fn) or not callable(fn):
        return {}
    bound = _options.bind(fn, describe(fn), keywords)
    hidden = ("align:",) if "mask" in bound.names else ()  # told by the mask
    claims: dict[str, Any] = {name: n for name, n in case.problem.items() if name in DEFAULT_SIZES}
    differentiated = () if "grad_out" in bound.names else _options.GRADIENTS
    claims["features"] = [word for word in case.features if not word.startswith(hidden) and word not in differentiated]
    return claims  # type: ignore[return-value]


def load(name: str) -> Callable[..., Any]:
    """The function that "module:name" stands for; the working folder counts as a place of modules."""
    module_name, _, path = name.partition(":")
    if not module_name or not path:
        raise InputError(f"{name}: expected MODULE:FUNCTION")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module_name)
        for part in path.split("."):
            found = getattr(found, part)
    except (ModuleNotFoundError, AttributeError) as e:
        raise InputError(f"{name}: expected MODULE:FUNCTION: {e}") from None
    return found  # type: ignore[no-any-return]
