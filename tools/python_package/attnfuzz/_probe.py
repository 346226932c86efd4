"""Runs a target to find out what it can do, and writes its claims.

TARGET is MODULE:FUNCTION ('mine:Layer(window=64)' makes a layer), a plug-in's path, or a target of `attnfuzz targets`.
probe runs small cases of each size, dtype, layout, mask rule, option and convention, and checks each answer against the
reference. It claims what is right, and lists what raised, what was wrong, and what was accepted but made no difference.
Read the claims and correct them, because a campaign demands them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from attnfuzz import _claims, _core
from attnfuzz._command import called
from attnfuzz._core import InputError

Examine = Callable[[str], "tuple[str, str]"]
"""Runs a case; gives "pass" or the kind of failure, and words."""

LENGTHS = (1, 2, 3, 4, 5, 7, 8, 16, 17, 32, 33, 64, 65, 96, 128, 129, 160, 256)
SIZES = {"batch": (1, 2, 3, 4), "num_heads": (1, 2, 3, 4, 6, 8), "q_len": LENGTHS, "head_dim": LENGTHS}
"""What is tried of each size, the others being those of the base; kv_len goes with q_len."""
INTERLEAVED = "head_map:interleaved"
"""Head h uses KV head h mod num_kv_heads, not h // (num_heads / num_kv_heads)."""
TRIES = 3
"""Cases for each feature."""
HALF_TRIES = 40
"""Cases for each way to compute in a half type."""
TAKEN = ("pass", "skip", "mismatch", "nan")
"""What a target gives that takes a case."""
WRONG = ("mismatch", "nan", "nondeterminism", "shape")
"""Kinds of failures without an error: the target takes the case, and its answer is wrong."""
SEARCH = 400
"""Generated cases among which those that use a feature are looked for."""

COMPANIONS = {
    "rule:padding": ["padding.side:right"],
    "padding.side:left": ["rule:padding"],
    "padding.side:right": ["rule:padding"],
    "rule:boolean": ["boolean.shape:bhqk"],
    "rule:bias": ["bias.shape:bhqk"],
    "rule:chunk": ["chunk.origin:slot"],
    "chunk.origin:token": ["rule:chunk", "rule:padding", "padding.side:left"],
    "align:top_left": ["rule:causal", "cross", "longer_q"],
    "align:bottom_right": ["rule:causal", "cross", "longer_q"],
    "fully_masked:zero": ["rule:boolean", "boolean.shape:bhqk"],
    "fully_masked:nan": ["rule:boolean", "boolean.shape:bhqk"],
    "fully_masked:uniform": ["rule:boolean", "boolean.shape:bhqk"],
    "dtype:e4m3": [],
}
"""Features that a feature can't be used without."""
PRECISIONS = (("p",), ("p", "scores"), ("p", "scores", "accumulate"))
"""What a function may hold in a half type, the exactest first: the first that is right is claimed."""
HALF = ("f16", "bf16", "e4m3", "e5m2")
CONVENTIONS = ("align:", "fully_masked:")
"""Groups of features of which the first that is right is taken: they exclude each other."""
LEFT_OUT = ("cache:", "step:", "positions:", "quant:", "scales:", "kind:", "nonfinite:", "rope:", "fully_masked:any",
            "empty", "ragged", "dropout", "bias_order:", "head_map:", "data:")
"""Features that a target must claim by hand: what they need is not found by single cases."""


@dataclass
class Found:
    """What a probe has learned."""

    right: list[str] = field(default_factory=list)
    raised: dict[str, str] = field(default_factory=dict)  # feature or size → the text
    wrong: dict[str, str] = field(default_factory=dict)
    without_effect: list[str] = field(default_factory=list)
    sizes: dict[str, list[int]] = field(default_factory=dict)
    runs: int = 0


@dataclass
class Probe:
    """Probes one target through `examine`; `can_reach` says which features can be told to it at all."""

    name: str
    examine: Examine
    can_reach: Callable[[str], bool]
    say: Callable[[str], None]
    layouts: tuple[str, ...] = ("bhsd", "bshd")
    fixed: dict[str, int] = field(default_factory=dict)
    precision: dict[str, dict[str, str]] = field(default_factory=dict)  # of each dtype: how answers are judged
    always: tuple[str, ...] = ()  # features that every case must have
    found: Found = field(default_factory=Found)
    base: dict[str, Any] = field(default_factory=dict)

    def run(self) -> Found:
        self.base = self._simplest()
        chosen = f"{self._sizes_of(self.base)}, {self.base['dtype']}, {self.base['layout']}"
        self.say(f"the simplest case is right: {chosen}")
        self._alternatives("layout")
        self._sizes()
        self._alternatives("dtype")
        self._features()
        return self.found

    def _outcome(self, capabilities: dict[str, Any], word: str | None, count: int) -> list[tuple[str, str]]:
        return [self._examined(case) for case in cases_with(capabilities, word, count)]

    def _examined(self, case: str) -> tuple[str, str]:
        self.found.runs += 1
        return self.examine(case)

    def _settled(self, capabilities: dict[str, Any]) -> tuple[str, str]:
        """The outcome of the first case that the target does not decline."""
        outcomes = (self._examined(case) for case in cases_with(capabilities, None, TRIES))
        return next((each for each in outcomes if each[0] != "skip"), ("skip", "the target declined every case"))

    @staticmethod
    def _sizes_of(base: dict[str, Any]) -> str:
        return " ".join(f"{name} {size[1]}" for name, size in base["sizes"].items())

    def _capabilities(self, features: list[str], sizes: dict[str, list[int]]) -> dict[str, Any]:
        every = [f"dtype:{self.base['dtype']}", f"layout:{self.base['layout']}", *features]
        return self._demanding(self.base["sizes"] | sizes, every)

    def _demanding(self, sizes: dict[str, list[int]], features: list[str]) -> dict[str, Any]:
        """Capabilities of cases that all have what the function does without being told."""
        every = [*features, *self.always, *(["cross"] if sizes["q_len"] != sizes["kv_len"] else [])]
        aligned = any(word.startswith("align:") for word in every)
        demanded = _claims.in_every_case(every, self.always, aligned) if self.always else {}
        capabilities = capabilities_of(sizes, every)
        return capabilities | {"max_rules": capabilities["max_rules"] + len(self.always)} | demanded

    def _simplest(self) -> dict[str, Any]:
        """The first plain case that is right; else InputError with what the target said to those that were tried."""
        heard = ""
        for dtype in ("f32", "f16", "bf16", "f64"):
            for layout in self.layouts:
                for length, dim in ((4, 8), (16, 16), (64, 64), (128, 128)):
                    sizes = {"batch": [2, 2], "num_heads": [3, 3], "q_len": [length] * 2, "kv_len": [length] * 2,
                             "head_dim": [dim] * 2}
                    sizes |= {name: [n, n] for name, n in self.fixed.items() if name in sizes}
                    capabilities = self._demanding(sizes, [f"dtype:{dtype}", f"layout:{layout}"])
                    kind, words = self._settled(capabilities)
                    if kind == "pass":
                        return {"sizes": sizes, "dtype": dtype, "layout": layout}
                    heard = heard or f"{kind}: {words}"
        raise InputError(f"{self.name}: no plain case is right, in any element type, layout or size that was tried; "
                         f"the first gave {heard}")

    def _alternatives(self, group: str) -> None:
        """Element types and layouts: each is tried beside the base's other choices."""
        for word in (each for each in _core.feature_words() if each.startswith(group + ":")):
            choice = word.partition(":")[2]
            if group == "layout" and choice not in self.layouts:
                continue
            base = self.base | {group: choice}
            features = [f"dtype:{base['dtype']}", f"layout:{base['layout']}"]
            outcomes = self._outcome(self._demanding(self.base["sizes"], features), None, TRIES)
            if choice in HALF[:2] and self.precision and all(kind in TAKEN for kind, _ in outcomes):
                outcomes = self._least_exact(choice, features)
            self._note(word, outcomes)

    def _least_exact(self, dtype: str, features: list[str]) -> list[tuple[str, str]]:
        """The outcomes with the exactest way to compute that is right; those with the exactest of all where none is.

        Few small cases tell these ways apart, so many are run, of all sizes.
        """
        sizes = {name: self._inside(name, [1, 64]) for name in ("q_len", "kv_len", "head_dim")}
        sizes |= {name: [n, n] for name, n in self.fixed.items() if name in sizes}
        capabilities = self._demanding(self.base["sizes"] | sizes, features)
        first: list[tuple[str, str]] = []
        for held in PRECISIONS:
            self.precision[dtype] = {"accumulate": "f32"} | dict.fromkeys(held, dtype)
            outcomes = self._outcome(capabilities, None, HALF_TRIES)
            if all(kind in ("pass", "skip") for kind, _ in outcomes):
                return outcomes
            first = first or outcomes
        self.precision[dtype] = {"accumulate": "f32", "p": dtype}
        return first

    def _sizes(self) -> None:
        """The range of each size; q_len and kv_len together."""
        lengths = "kv_len" if "q_len" in self.fixed else "q_len"
        tried = {lengths if name == "q_len" else name: values for name, values in SIZES.items()}
        for name, values in ((name, values) for name, values in tried.items() if name not in self.fixed):
            good: list[int] = []
            raised: dict[int, str] = {}
            wrong: dict[int, str] = {}
            for value in values:
                sizes = {name: [value, value]}
                if name == "q_len":
                    sizes["kv_len"] = [value, value]
                kind, words = self._settled(self._capabilities([], sizes))
                if kind == "pass":
                    good.append(value)
                else:
                    (wrong if kind in WRONG else raised)[value] = f"{kind}: {words}"
            if good:
                self.found.sizes[name] = range_of(good, list(values))
            for texts, kept in ((raised, self.found.raised), (wrong, self.found.wrong)):
                if texts:
                    kept[f"{name} {', '.join(map(str, texts))}"] = next(iter(texts.values()))
        self.found.sizes["kv_len"] = self.found.sizes.get(lengths, [1, 1])

    def _features(self) -> None:
        """Each feature by itself, with the companions that it needs."""
        settled: set[str] = set()
        for word in sorted(_core.feature_words(), key=lambda w: w.startswith(CONVENTIONS)):
            group = next((prefix for prefix in CONVENTIONS if word.startswith(prefix)), "")
            if word.startswith(("dtype:", "layout:", *LEFT_OUT)) or group in settled or not self.can_reach(word):
                continue
            if word in self.always:
                continue
            shown = (*self.found.right, *self.always)
            if any(each.startswith("rule:") and each not in shown for each in COMPANIONS.get(word, [])):
                continue
            sizes = {"q_len": [1, 12], "kv_len": [1, 12], "num_kv_heads": [1, 6], "num_heads": [1, 6],
                     "memory_kv": [0, 3], "head_dim_v": [1, 16]}
            inside = {name: self._inside(name, size) for name, size in sizes.items()}
            inside |= {name: [n, n] for name, n in self.fixed.items() if name in inside}
            capabilities = self._capabilities([word, *COMPANIONS.get(word, [])], inside)
            outcomes = self._outcome(capabilities, word, TRIES)
            if word in ("gqa", "mqa") and INTERLEAVED not in self.found.right:
                outcomes = self._grouped(word, inside, outcomes)
            if self._note(word, outcomes) and group:
                settled.add(group)

    def _grouped(self, word: str, inside: dict[str, list[int]], first: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """The outcomes of grouped heads; with the other map of heads to KV heads where the usual one is wrong."""
        if word == "mqa" or all(kind in ("pass", "skip") for kind, _ in first):
            return first
        outcomes = self._outcome(self._capabilities([word, INTERLEAVED], inside), INTERLEAVED, TRIES)
        if not outcomes or any(kind != "pass" for kind, _ in outcomes):
            return first
        self.found.right.append(INTERLEAVED)
        return outcomes

    def _inside(self, name: str, size: list[int]) -> list[int]:
        """A size for a feature's cases: within what was seen to be right."""
        seen = self.found.sizes.get({"num_kv_heads": "num_heads", "head_dim_v": "head_dim"}.get(name, name))
        if seen is None:
            return size
        least, most, *multiple = seen
        return [least, max(least, min(most, size[1])) if most > size[1] >= least else most, *multiple]

    def _note(self, word: str, outcomes: list[tuple[str, str]]) -> bool:
        """Whether a feature is right in all its cases; what it is otherwise is kept."""
        bad = next(((kind, words) for kind, words in outcomes if kind not in ("pass", "skip")), None)
        if not outcomes or all(kind == "skip" for kind, _ in outcomes):
            return False
        if bad is None:
            self.found.right.append(word)
            return True
        kind, words = bad
        if kind == "ignored":
            self.found.without_effect.append(word)
        elif kind in ("error", "crash", "timeout", "memory"):
            self.found.raised[word] = f"{kind}: {words}" if kind != "error" else words
        else:
            self.found.wrong[word] = f"{kind}: {words}"
        return False


def capabilities_of(sizes: dict[str, list[int]], features: list[str]) -> dict[str, Any]:
    half = [f.partition(":")[2] for f in features if f in ("dtype:f16", "dtype:bf16", "dtype:e4m3", "dtype:e5m2")]
    return {"sizes": sizes, "features": sorted(set(features)), "max_rules": 1,
            "precision": {dtype: {"accumulate": "f32", "p": dtype} for dtype in half}}


def otherwise(case: dict[str, Any], word: str) -> dict[str, Any] | None:
    """The same case as one would see it who does not know this mask rule or convention; None for other features."""
    group, _, choice = word.partition(":")
    problem = case["problem"]
    if group == "rule":
        rules = [rule for rule in problem["mask"]["rules"] if rule["rule"] != choice]
        changed = {"mask": problem["mask"] | {"rules": rules}}
    elif group == "align":
        changed = {"mask": problem["mask"] | {"align": "top_left" if choice == "bottom_right" else "bottom_right"}}
    elif group == "fully_masked":
        changed = {"fully_masked": "zero" if choice == "uniform" else "uniform"}
    else:
        return None
    return case | {"problem": problem | changed}


def tells(text: str, word: str) -> bool:
    """Whether a target that does not know the feature would give another answer. One that gives the right answer where
    it can't be seen, in a chunk that holds all keys say, has shown nothing."""
    case = json.loads(text)
    other = otherwise(case, word)
    if other is None:
        return True
    judging = _claims.for_judging(case["problem"]["dtype"], None)
    return any(one is None or two is None or not np.array_equal(one[0], two[0], equal_nan=True)
               for one, two in zip(_core.answer(text, judging), _core.answer(json.dumps(other), judging)))


def cases_with(capabilities: dict[str, Any], word: str | None, count: int) -> Iterator[str]:
    """At most so many generated cases in which a feature is used and can be seen."""
    try:
        text = _core.capabilities(json.dumps(capabilities), "probe")
        for index in range(SEARCH if word else count):
            case = _core.generate(text, 1, index)
            used = word is None or word in _core.features(case) or word.startswith("fully_masked:")
            if used and (word is None or tells(case, word)):
                yield case
                count -= 1
            if count <= 0:
                return
    except InputError:
        return


def range_of(good: list[int], tried: list[int]) -> list[int]:
    """[min, max] or [min, max, multiple_of] of the sizes that were right among those tried."""
    least, most = min(good), max(good)
    if least == most:
        return [least, most]
    for multiple in (128, 64, 32, 16, 8, 4, 2, 1):
        inside = [value for value in tried if least <= value <= most and value % multiple == 0]
        if set(inside) == set(good):
            return [least, most] if multiple == 1 else [least, most, multiple]
    unbroken = [value for value in tried if value >= least]
    first_bad = next((k for k, value in enumerate(unbroken) if value not in good), len(unbroken))
    return [least, unbroken[first_bad - 1]]


def left_out(found: Found, promised: Iterable[str]) -> dict[str, str]:
    """What the target takes without an error and gets wrong, though nothing says that it is not meant to: sizes, and
    features that it promises."""
    features = {word for word in promised if not word.startswith(CONVENTIONS)}
    wrong = {what: words for what, words in found.wrong.items()
             if what in features or what.partition(" ")[0] in _core.size_names()}
    return wrong | {word: "it makes no difference" for word in found.without_effect if word in features}


def demanding(doubts: Iterable[str], sizes: dict[str, list[int]]) -> str:
    """The options of `check` that test what was left out too."""
    options = []
    for what in doubts:
        name, _, values = what.partition(" ")
        if not values:
            options.append(f"--feature {name}")
            continue
        ends = [*map(int, values.split(", ")), *sizes.get(name, ())[:2]]
        together = ("q_len", "kv_len") if name == "q_len" else (name,)
        options += [f"--size {each}={min(ends)}:{max(ends)}" for each in together]
    return " ".join(options)


def claims_from(found: Found) -> dict[str, Any]:
    """The keywords of check() that say what was found; words that check() knows by a keyword of their own get it."""
    claims: dict[str, Any] = {name: size for name, size in found.sizes.items()}
    claims["dtype"] = [word.partition(":")[2] for word in found.right if word.startswith("dtype:")]
    layouts = [word.partition(":")[2] for word in found.right if word.startswith("layout:")]
    claims["layout"] = layouts[:1]
    by_themselves = ("cross", "longer_q")
    features = [w for w in found.right
                if not w.startswith(("dtype:", "layout:", "rule:")) and w not in by_themselves]
    gradients = {"dq", "dk", "dv", "dbias", "dsinks", "dmem_k", "dmem_v"}
    if {"dq", "dk", "dv"} <= set(features):
        claims["gradients"] = True
    if "lse" in features:
        claims["lse"] = True
    claims["features"] = [w for w in features if w not in gradients and w != "lse"]
    return claims


def capabilities_from(found: Found) -> dict[str, Any]:
    """The same as an adapter's or a plug-in's capabilities."""
    sizes = dict(found.sizes)
    if {"gqa", "mqa"} & set(found.right):
        sizes["num_kv_heads"] = sizes["num_heads"]
    if "head_dim_v" in found.right:
        sizes["head_dim_v"] = sizes["head_dim"]
    if "memory_kv" in found.right:
        sizes["memory_kv"] = [0, 4]
    capabilities = capabilities_of(sizes, found.right)
    del capabilities["max_rules"]
    return capabilities


def tell(found: Found) -> str:
    """What was found, in words."""
    lines = [f"right:          {' '.join(found.right)}"]
    lines.append("sizes:          " + ", ".join(f"{name} {'…'.join(map(str, size[:2]))}"
                                               + (f" by {size[2]}" if len(size) > 2 else "")
                                               for name, size in found.sizes.items()))
    if found.without_effect:
        lines.append(f"without effect: {' '.join(found.without_effect)}  (taken without a word, no difference made)")
    for title, table in (("raised", found.raised), ("wrong", found.wrong)):
        lines.extend(f"{title + ':':<16}{what}: {(words.splitlines() or [''])[0]}" for what, words in table.items())
    lines.append(f"{found.runs} cases were run. Not tried: caches, data other than normal, combinations.")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    import argparse

    from attnfuzz._probe_targets import open_target

    parser = argparse.ArgumentParser(prog=called("probe"), description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", metavar="TARGET", help="MODULE:FUNCTION, a plug-in's path, or a target's name")
    parser.add_argument("-o", "--out", metavar="FILE", help="write the claims there as JSON (default: stdout)")
    parser.add_argument("--arrays", help="numpy, torch, jax or a module (default: what the function's code tells)")
    parser.add_argument("--device", help="where PyTorch's or JAX's arrays lie: cuda, cuda:1, mps …")
    parser.add_argument("--timeout", type=float, default=20, metavar="SECONDS", help="of one case (default: 20)")
    options = parser.parse_args(argv)
    try:
        target = open_target(options.target, options.arrays, options.device, options.timeout)

        def say(line: str) -> None:
            print(line, file=sys.stderr)

        if target.form:
            say(f"trial calls are right with {target.form}")
        found = Probe(options.target, target.examine, target.can_reach, say, target.layouts, target.fixed,
                      target.precision, target.always).run()
        claims = target.claims(found)
        print(tell(found), file=sys.stderr)
        text = json.dumps(claims, indent=2) + "\n"
        if options.out:
            with open(options.out, "w") as file:
                file.write(text)
            say(f"The claims are in {options.out}: read and correct them. Next:\n\n    {target.next(options.out)}")
            if doubts := claims.get("left_out"):
                say("\nThe claims leave out what gave wrong answers without an error. If it is meant to be right, that "
                    "is a bug, and this shows it:\n\n"
                    f"    {target.next(options.out)} {demanding(doubts, found.sizes)}")
        else:
            print(text, end="")
        return 0
    except InputError as e:
        print(f"attnfuzz: {e}", file=sys.stderr)
        return 2
    except OSError as e:
        print(f"attnfuzz: {options.out}: {e.strerror}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
