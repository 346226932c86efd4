"""check() and replay(): a function under test in, findings out."""

from __future__ import annotations

import importlib
import numbers
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from attnfuzz import _core, _forms, _isolate, _names, _options, _trials
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
    """Raised by `check` after Ctrl-C. A KeyboardInterrupt, so that a program ends by it as by any other."""

    def __init__(self, result: Result) -> None:
        super().__init__(str(result))
        self.result = result
        """What was found until then."""


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
    """Fuzzes an attention function, and checks each output element against a reference in double precision.

    `fn(q, k, v, …)` returns out, or a tuple that begins with out. Shapes: q `[batch, num_heads, q_len, head_dim]`,
    k `[batch, num_kv_heads, kv_len, head_dim]`, v `[batch, num_kv_heads, kv_len, head_dim_v]`, out `[batch, num_heads,
    q_len, head_dim_v]`; with `layout="bshd"` the length comes before the heads. out has the dtype of q.

    fn also gets those of these keywords that are among its parameters, and is tested for what they let attnfuzz ask:

    - `mask`: bool `[batch, num_heads, q_len, kv_len]`, True where the query sees the key; None if it sees all keys
    - `causal`: bool; `window`: `(left, right)` in keys, or None; `lens`: a list with the number of real keys of each
      batch row, or None. mask is None where one of these says it
    - `bias`: `[batch, num_heads, q_len, kv_len]`, added to the scaled scores, or None
    - `scale`: the factor of q·k, or None for 1/sqrt(head_dim); `softcap`: float, 0 is off
    - `sinks`: `[num_heads]` or None; `mem_k`, `mem_v`: `[num_kv_heads, memory_kv, dim]` or None; `enable_gqa`: bool
    - `grad_out`: the gradient of out, or None; fn then returns `(out, dq, dk, dv)`
    - `case`: the whole case as a dict, for what else fn needs to know

    docs/python.md has their other names. For a cache, pass an adapter: an object with `capabilities` and `run`
    (targets/python/README.md).

    Args:
        fn: the attention function, or an adapter.
        cases: how many cases to run, unless findings or `seconds` end the campaign before.
        seed: the same seed gives the same cases.
        seconds: how long the campaign runs, instead of `cases`; 0: `cases` counts.
        arrays: what fn gets: `"numpy"`, `"torch"`, `"jax"`, or a module with `from_dlpack()` or `asarray()`. None:
            attnfuzz looks at fn's annotations, class, decorators, code and imports, and makes a trial call where these
            leave a doubt. The result says which was chosen.
        device: where PyTorch's or JAX's arrays lie: `"cuda"`, `"cuda:1"`, `"mps"` …
        gradients: test dq, dk and dv too: by PyTorch's autograd, by `jax.vjp`, or as fn returns them for `grad_out`.
        lse: fn returns `(out, lse)`; lse is `[batch, num_heads, q_len]` in float32, the natural logarithm of the
            softmax's denominator.
        keywords: options that fn accepts as `**kwargs`, without naming them in its signature.
        isolate: whether a worker process runs fn, so that a crash or a hang is a finding. True needs a function that
            can be imported by its module and name; False runs fn in this process; None: a worker if that is possible.
        timeout: how many seconds one case may take in a worker; 20 by default.
        stop_after: end the campaign after so many different findings; 0: never.
        max_shrink_tries: how many smaller cases the shrinker may try for each finding; 2000 by default.
        progress: whether to show a bar; None: on a terminal and in a notebook.
        on_finding: called with each finding as soon as it is shrunk.
        **claims: what else fn can do, as `Claims` lists it: `head_dim=(8, 64, 8)`, `features="gqa"`, `dtype="f16"` …
            attnfuzz demands what is claimed: within the claims, an exception is a finding.

    Returns:
        What was found. It is true if all cases were run and nothing was found, and prints as a report.

    Raises:
        InputError: fn cannot be called with q, k and v, a claim is unknown or cannot reach fn, or an argument is wrong.
            Nothing has been run then.
        Interrupted: Ctrl-C; its `result` has what was found until then.
    """
    if _isolate.in_worker():
        raise _isolate.Reached
    demand_seconds(seconds=seconds, timeout=timeout)
    demand_whole(cases=cases, seed=seed, stop_after=stop_after, max_shrink_tries=max_shrink_tries)
    how = how_of(arrays, device, gradients, lse, keywords)
    target = target_of(fn, how, claims, isolate, timeout)
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
    result = Result(target, said)
    if result.verdict == "failed" and not is_adapter(fn) and not _forms.said(claims):
        result.suggest(_trials.in_words(_trials.found_apart(fn, how, timeout)))
    return result


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
    """Runs one case again.

    Args:
        fn: the attention function, or an adapter, as for `check`.
        case: a case, the path of a case file, its JSON text or its dict.
        arrays: as for `check`, like all further arguments that are not named here.
        device: as for `check`.
        gradients: as for `check`; a case that asks for gradients turns it on.
        lse: as for `check`.
        keywords: as for `check`.
        isolate: as for `check`.
        timeout: as for `check`.
        max_shrink_tries: how many smaller cases to try if the case fails; 0: it is not shrunk.
        **claims: as for `check`; without any, fn is taken to claim what the case needs.

    Returns:
        The finding if the case fails, None if the answer is right.

    Raises:
        InputError: the case is outside the claims, or has an option that cannot reach fn.
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
    """Imports a function by its name. The working folder counts as a place of modules.

    Args:
        name: `"module:function"`, as `attnfuzz check` takes it. Behind the colon stands a function, a method, a layer,
            or a call that makes one: `"module:Class(window=64)"`, `"module:Class(8).method"`.

    Returns:
        The function. A class is called without arguments, and PyTorch's layers come in evaluation mode.

    Raises:
        InputError: the name has another form, or there is no such module or function.
    """
    module_name, _, path = name.partition(":")
    if not module_name or not path:
        raise InputError(f"{name}: expected MODULE:FUNCTION")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        found = _names.resolve(importlib.import_module(module_name), path)
    except (ImportError, AttributeError) as e:
        raise InputError(f"{name}: expected MODULE:FUNCTION: {e}") from None
    _names.remember(found, _names.Place(module_name, path, ""))
    return found  # type: ignore[no-any-return]
