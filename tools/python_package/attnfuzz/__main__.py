"""Fuzzes a Python function, as attnfuzz.check() does.

Exit: 0 all right, 1 findings, 2 wrong usage, 3 nothing was tested, 130 interrupted. `attnfuzz probe TARGET` (python -m
attnfuzz probe TARGET) finds out what a function can do, and writes its claims.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from attnfuzz._check import FORMATS, TIMEOUT, Interrupted, check, load, replay
from attnfuzz._claims import words
from attnfuzz._command import called
from attnfuzz._core import InputError, size_names


EXITS = {"passed": 0, "failed": 1, "nothing was tested": 3, "interrupted": 130}
"""Exit codes; 2 is wrong usage."""


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=called("check"), description=__doc__)
    parser.add_argument("function", metavar="MODULE:FUNCTION", help="an attention function of (q, k, v, …)")
    parser.add_argument("--cases", type=int, default=200, metavar="N", help="how many cases (default: 200)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="the same seed gives the same cases")
    parser.add_argument("--seconds", type=float, default=0, help="how long, instead of --cases")
    parser.add_argument("--arrays", help="numpy, torch, jax or a module (default: what the function's code tells)")
    parser.add_argument("--device", help="device of the arrays of PyTorch or JAX: cuda, cuda:1, mps …")
    parser.add_argument("--gradients", action="store_true", help="test dq, dk and dv too")
    parser.add_argument("--lse", action="store_true", help="the function returns (out, lse)")
    parser.add_argument("--dtype", action="append", default=[], metavar="WORD",
                        help="f32 (default), f16, bf16 …; repeatable")
    parser.add_argument("--align", choices=["top_left", "bottom_right"],
                        help="where its causal and window put the diagonal if q_len and kv_len differ")
    parser.add_argument("--keyword", action="append", default=[], metavar="NAME",
                        help="an option that it accepts as **kwargs, without naming it in its signature; repeatable")
    parser.add_argument("--claims", metavar="FILE", help="claims as JSON, as `attnfuzz probe` writes them")
    parser.add_argument("--timeout", type=float, default=TIMEOUT, metavar="SECONDS",
                        help="time that one case may take (default: 20)")
    parser.add_argument("--in-process", action="store_true",
                        help="run it in this process; a crash or a hang then ends the run")
    parser.add_argument("--feature", action="append", default=[], metavar="WORD",
                        help="what it can do beyond its parameters: gqa, dtype:bf16, layout:bshd …; repeatable")
    parser.add_argument("--size", action="append", default=[], metavar="NAME=MIN:MAX[:MULTIPLE]",
                        help=f"the range of a size; repeatable: {', '.join(size_names())}")
    parser.add_argument("--out", metavar="DIR", help=f"write the reports there ({', '.join(FORMATS)})")
    parser.add_argument("--replay", metavar="CASE.json", help="run this case alone")
    return parser


def read_claims(file: str) -> dict[str, Any]:
    try:
        claims = json.loads(Path(file).read_text())
    except (OSError, ValueError) as e:
        raise InputError(f"{file}: expected a file of claims: {e}") from None
    if not isinstance(claims, dict):
        raise InputError(f"{file}: expected an object of claims")
    return claims


def claims_of(options: argparse.Namespace) -> dict[str, Any]:
    claims: dict[str, Any] = read_claims(options.claims) if options.claims else {}
    claims |= {name: value for name in ("dtype", "align") if (value := getattr(options, name))}
    if options.feature:  # beside those of the file
        claims["features"] = [*words(claims.get("features", ())), *options.feature]
        for key in ("without", "left_out"):
            if key in claims:
                claims[key] = _except(claims[key], options.feature)
    for text in options.size:
        name, _, numbers = text.partition("=")
        try:
            size = [int(n) for n in numbers.split(":")]
        except ValueError:
            raise InputError(f"--size {text}: expected NAME=MIN:MAX or NAME=MIN:MAX:MULTIPLE") from None
        claims[name] = size[0] if len(size) == 1 else size
        if "left_out" in claims:
            claims["left_out"] = _except(claims["left_out"], [name])
    return claims


def _except(claim: Any, asked: list[str]) -> Any:
    """A claim of what is not tested, without what the command line asks for."""
    if isinstance(claim, dict):
        return {what: why for what, why in claim.items() if what.partition(" ")[0] not in asked}
    return [word for word in words(claim) if word not in asked]


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["probe"]:
        from attnfuzz._probe import main as probe

        return probe(argv[1:])
    options = arguments().parse_args(argv)
    try:
        fn, claims = load(options.function), claims_of(options)
        how: dict[str, Any] = {
            "arrays": options.arrays, "device": options.device, "gradients": options.gradients, "lse": options.lse,
            "keywords": options.keyword, "timeout": options.timeout, "isolate": False if options.in_process else None}
        for name in [each for each in claims if each in how]:  # from --claims
            how[name] = claims.pop(name)
        if options.replay:
            finding = replay(fn, options.replay, **how, **claims)
            print(finding or f"{options.replay}: right")
            return 0 if finding is None else 1
        try:
            result = check(fn, cases=options.cases, seed=options.seed, seconds=options.seconds, **how, **claims)
        except Interrupted as e:
            result = e.result
        print(result)
        if options.out:
            result.write(options.out)
        return EXITS[result.verdict]
    except InputError as e:
        print(f"attnfuzz: {e}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
