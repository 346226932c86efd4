"""check() and replay(): a function under test in, findings out."""

from __future__ import annotations

import numbers
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from attnfuzz import _core
from attnfuzz._case import Case, CaseLike
from attnfuzz._claims import DEFAULT_SIZES, Claims
from attnfuzz._core import InputError
from attnfuzz._options import taken
from attnfuzz._target import Target, is_adapter, target_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

FORMATS = ("md", "json", "html", "junit", "sarif")
SHRINK_TRIES = 2000


class Finding:
    """A failing case after shrinking, with its likely cause."""

    def __init__(self, item: _core.Item) -> None:
        self._item = item
        self.signature: str = item.signature
        """What makes two failures the same, short: "mismatch-3f2a91c07b1e"."""
        self.kind: str = item.kind
        """mismatch, nan, shape, error, memory, nondeterminism or ignored."""
        self.title: str = item.title
        self.detail: str = item.detail
        """One line: what was wrong, with numbers."""
        self.error: str = item.error
        """The exception's text, empty without one."""
        self.case: Case = Case(item.case)
        """The smallest case that fails the same way."""
        self.original: Case = Case(item.original)
        self.causes: list[tuple[str, str]] = item.causes
        """(name, words) of all that fit, likeliest first."""
        self.history: list[str] = item.history
        """The reductions that the shrinker made."""
        self.count: int = item.count
        """How many cases failed like this."""

    def markdown(self) -> str:
        """A report for a maintainer."""
        return self._item.markdown()

    def __str__(self) -> str:
        return self._item.terminal(False).rstrip()

    def __repr__(self) -> str:
        return f"<attnfuzz.Finding {self.title}>"


class Result:
    """What check() found. True where there is nothing; prints as the findings in words."""

    def __init__(self, target: Target, campaign: _core.Campaign, claims: dict[str, Any]) -> None:
        self._campaign, self._claims = campaign, claims
        self.target: str = target.name
        self.findings: list[Finding] = [Finding(item) for item in campaign.items]
        stats = campaign.stats
        self.cases: int = stats.cases
        self.passed: int = stats.passed
        self.failed: int = stats.failed
        self.declined: int = stats.skipped
        self.seconds: float = stats.seconds
        self.covered: dict[str, int] = stats.features
        """How many cases used each feature."""

    def write(self, folder: str | os.PathLike[str], formats: tuple[str, ...] = FORMATS) -> None:
        """Writes the reports and each finding's folder, as `attnfuzz run --out` does."""
        self._campaign.write(os.fspath(folder), list(formats))
        for finding in self.findings:
            script = Path(folder) / "findings" / finding.signature / "repro.py"
            script.write_text(script.read_text().replace("CLAIMS = {}", f"CLAIMS = {self._claims!r}", 1))

    def raise_on_findings(self) -> None:
        """Raises AssertionError with the findings in words, if there are any."""
        if self.findings:
            raise AssertionError(str(self))

    def __bool__(self) -> bool:
        return not self.findings

    def __str__(self) -> str:
        count = len(self.findings)
        counts = f"{self.cases} cases in {self.seconds:.1f} s: {self.passed} passed, {self.failed} failed"
        if self.declined:
            counts += f", {self.declined} declined"
        total = f"{self.target}: {counts}; {count} finding{'' if count == 1 else 's'}"
        return "\n\n".join([*map(str, self.findings), total])

    __repr__ = __str__


def demand_whole(**given: object) -> None:
    """Raises InputError for an argument that is no whole number from 0 on."""
    for name, number in given.items():
        if not (isinstance(number, numbers.Integral) and 0 <= int(number) < 1 << 63):
            raise InputError(f"{name}: expected a whole number from 0 to 2^63 - 1, found {number!r}")


def check(
    fn: Callable[..., Any],
    *,
    cases: int = 200,
    seed: int = 0,
    seconds: float = 0,
    arrays: str | ModuleType | None = None,
    stop_after: int = 5,
    max_shrink_tries: int = SHRINK_TRIES,
    progress: bool | None = None,
    on_finding: Callable[[Finding], object] | None = None,
    **claims: Unpack[Claims],
) -> Result:
    """Fuzzes an attention function in this process, against attnfuzz's oracle.

    fn(q, k, v, …) -> out, or (out, …). Shapes: q [batch, num_heads, q_len, head_dim], k [batch, num_kv_heads, kv_len,
    head_dim], v [batch, num_kv_heads, kv_len, head_dim_v], out [batch, num_heads, q_len, head_dim_v]; with
    layout="bshd" len before heads. Of these keywords it gets those that its parameters name, and is tested for them:

    - mask: bool [batch, num_heads, q_len, kv_len], True = seen; None where all are
    - causal: bool; window: (left, right) or None; lens: real keys of each batch row or None (mask is None then)
    - bias: [batch, num_heads, q_len, kv_len] or None; scale: float or None for 1/sqrt(head_dim); softcap: float, 0 = off
    - sinks: [num_heads] or None; mem_k, mem_v: [num_kv_heads, memory_kv, dim] or None; enable_gqa: bool
    - case: the case as a dict, for what else it needs to know

    `arrays` is "numpy", "torch", "jax" or a module with from_dlpack(); by default what fn's annotations and globals
    tell. `claims`: what else it is able to do (attnfuzz.Claims): head_dim=(8, 64, 8), features="gqa", dtype="f16" …
    What is claimed is demanded: within it, an exception is a finding. The same seed gives the same cases; with
    `seconds` the campaign ends then instead. An adapter object (targets/python/README.md) is taken as well, for caches.

    Raises InputError for claims that are none or that can't reach fn. Never raises for findings: see Result.
    """
    if not (isinstance(seconds, numbers.Real) and 0 <= seconds < float("inf")):
        raise InputError(f"seconds: expected a number from 0 on, found {seconds!r}")
    demand_whole(cases=cases, seed=seed, stop_after=stop_after, max_shrink_tries=max_shrink_tries)
    target = target_of(fn, arrays, claims)
    campaign = target.campaign()
    show = sys.stderr.isatty() if progress is None else progress
    line = _ProgressLine(target.name) if show else None

    def found(item: _core.Item) -> None:
        if line is not None:
            line.findings += 1
        if on_finding is not None:
            on_finding(Finding(item))

    try:
        campaign.run(seed, cases, seconds, max_shrink_tries, stop_after, found, line)
    finally:
        if line is not None:
            line.clear()
    told: dict[str, Any] = dict(claims)
    return Result(target, campaign, told | ({"arrays": arrays} if isinstance(arrays, str) else {}))


def replay(
    fn: Callable[..., Any],
    case: CaseLike,
    *,
    arrays: str | ModuleType | None = None,
    max_shrink_tries: int = 0,
    **claims: Unpack[Claims],
) -> Finding | None:
    """Runs one case through a function; the finding if it fails, None if it is right.

    Without claims, fn is taken to claim what the case needs. With max_shrink_tries the case is shrunk as well. Raises
    InputError for a case outside the claims, or with an option that can't reach fn.
    """
    demand_whole(max_shrink_tries=max_shrink_tries)
    wanted = Case(case)
    target = target_of(fn, arrays, claims or own_claims(fn, wanted))
    campaign = target.campaign()
    if reason := campaign.why_not(wanted.json):
        raise InputError(f"{wanted} is outside the claims of {target.name}: {reason}")
    item = campaign.replay(wanted.json, max_shrink_tries)
    return None if item is None else Finding(item)


def own_claims(fn: Callable[..., Any], case: Case) -> Claims:
    """What a function must claim for this case to be inside; nothing for an adapter, which has claims of its own."""
    if is_adapter(fn):
        return {}
    hidden = "align:" if "mask" in {option.names[0] for option in taken(fn).values()} else "-"  # told by the mask
    claims: dict[str, Any] = {name: n for name, n in case.problem.items() if name in DEFAULT_SIZES}
    claims["features"] = [word for word in case.features if not word.startswith(hidden)]
    return claims  # type: ignore[return-value]


class _ProgressLine:
    """A line on the terminal that rewrites itself five times a second."""

    def __init__(self, name: str) -> None:
        self.name, self.findings, self.next = name, 0, time.monotonic() + 0.2

    def __call__(self, stats: _core.Stats) -> None:
        if (now := time.monotonic()) < self.next:
            return
        self.next = now + 0.2
        rate = stats.cases / max(stats.seconds, 1e-9)
        text = f"{self.name}: {stats.cases} cases, {rate:.0f} cases/s, {self.findings} findings"
        print(f"\r\x1b[2K{text}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        print("\r\x1b[2K", end="", file=sys.stderr, flush=True)


def load(name: str) -> Callable[..., Any]:
    """The function that "module:name" stands for; the working folder counts as a place of modules."""
    module_name, _, path = name.partition(":")
    if not module_name or not path:
        raise InputError(f"{name}: expected MODULE:FUNCTION")
    import importlib

    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module_name)
        for part in path.split("."):
            found = getattr(found, part)
    except (ModuleNotFoundError, AttributeError) as e:
        raise InputError(f"{name}: expected MODULE:FUNCTION: {e}") from None
    return found  # type: ignore[no-any-return]
