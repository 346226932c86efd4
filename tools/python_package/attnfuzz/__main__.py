"""python -m attnfuzz MODULE:FUNCTION: check() from the command line; exits 1 if it finds something."""

from __future__ import annotations

import argparse
import sys

from attnfuzz._check import FORMATS, check, load, replay
from attnfuzz._claims import Claims
from attnfuzz._core import InputError, size_names


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m attnfuzz", description=__doc__)
    parser.add_argument("function", metavar="MODULE:FUNCTION", help="an attention function of (q, k, v, …)")
    parser.add_argument("--cases", type=int, default=200, metavar="N", help="how many cases (default: 200)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="the same seed gives the same cases")
    parser.add_argument("--seconds", type=float, default=0, help="a time instead of --cases")
    parser.add_argument("--arrays", help="numpy, torch or jax (default: what the function's source tells)")
    parser.add_argument("--feature", action="append", default=[], metavar="WORD",
                        help="what it can do beyond its parameters: gqa, dtype:bf16, layout:bshd …; repeatable")
    parser.add_argument("--size", action="append", default=[], metavar="NAME=MIN:MAX[:MULTIPLE]",
                        help=f"a size's range; repeatable: {', '.join(size_names())}")
    parser.add_argument("--out", metavar="DIR", help=f"write the reports there ({', '.join(FORMATS)})")
    parser.add_argument("--replay", metavar="CASE.json", help="run this case alone")
    return parser


def claims_of(options: argparse.Namespace) -> Claims:
    claims: dict[str, object] = {"features": options.feature}
    for text in options.size:
        name, _, numbers = text.partition("=")
        try:
            size = [int(n) for n in numbers.split(":")]
        except ValueError:
            raise InputError(f"--size {text}: expected NAME=MIN:MAX or NAME=MIN:MAX:MULTIPLE") from None
        claims[name] = size[0] if len(size) == 1 else size
    return claims  # type: ignore[return-value]


def main(argv: list[str] | None = None) -> int:
    options = arguments().parse_args(argv)
    try:
        fn, claims = load(options.function), claims_of(options)
        if options.replay:
            finding = replay(fn, options.replay, arrays=options.arrays, **claims)
            print(finding or f"{options.replay}: right")
            return 0 if finding is None else 1
        result = check(fn, cases=options.cases, seed=options.seed, seconds=options.seconds, arrays=options.arrays, **claims)
        print(result)
        if options.out:
            result.write(options.out)
        return 0 if result else 1
    except InputError as e:
        print(f"attnfuzz: {e}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
