#!/usr/bin/env python3
"""What coverage guidance finds that random generation does not, in equal time, and the other way round.

    tools/bench/coverage_vs_random.py [--time 20] [--targets specimen:… …] [--jobs 1]

Both sides use the same instrumented build (build/fuzz, preset fuzz), so that a second is worth the same:
`attnfuzz run` and `attnfuzz fuzz`, each without a corpus, one process. Prints a Markdown table and the
totals. The default targets are all specimens, and the bug zoo's mutants where there are any."""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "fuzz"


def buggy_targets():
    listed = json.loads(subprocess.run([BUILD / "attnfuzz", "targets", "--json"], capture_output=True, text=True,
                                       check=True).stdout)
    return [t["name"] for t in listed if t["name"].startswith(("specimen:", "zoo:", "mutant:"))]


def findings(words):
    with tempfile.TemporaryDirectory(prefix="attnfuzz-bench-") as dir:
        done = subprocess.run([BUILD / "attnfuzz", *words, "--max-shrink-tries", "1", "--format", "md", "-q", "--out",
                               dir], capture_output=True, text=True)
        if done.returncode not in (0, 1):
            sys.exit(f"{' '.join(words)}: exit {done.returncode}: {done.stderr[-500:]}")
        return len(json.loads((pathlib.Path(dir) / "summary.json").read_text())["findings"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--time", type=float, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--targets", nargs="*")
    options = parser.parse_args()
    words = ["--time", f"{options.time}s", "--seed", str(options.seed)]
    only = {"random": [], "coverage": [], "both": [], "neither": []}
    print(f"| target | random, {options.time:g} s | coverage, {options.time:g} s |\n|---|---|---|")
    for target in options.targets or buggy_targets():
        random = findings(["run", "-t", target, "--no-corpus", *words])
        coverage = findings(["fuzz", "-t", target, *words])
        key = "both" if random and coverage else "random" if random else "coverage" if coverage else "neither"
        only[key].append(target)
        print(f"| {target} | {'found' if random else 'no'} | {'found' if coverage else 'no'} |", flush=True)
    print("\n" + "; ".join(f"by {k}: {len(v)}" if k in ("both", "neither") else f"by {k} alone: {len(v)}"
                           f"{' (' + ', '.join(v) + ')' if v else ''}" for k, v in only.items()))


if __name__ == "__main__":
    main()
