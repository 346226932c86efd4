#!/usr/bin/env python3
"""What coverage guidance finds that random generation does not, in equal time, and the other way round.

    tools/bench/coverage_vs_random.py [--time 20] [--seed 1] [--targets specimen:… …] [--write docs/ci.md]

Both sides are of the same instrumented build (build/fuzz, preset fuzz), so that a second is worth the same: `attnfuzz
run` and the libFuzzer harness of `attnfuzz fuzz`, one process each, without a corpus, until the first failing case or
until the time is over. The default targets are all specimens and the bug zoo's mutants. Prints the tables in Markdown;
with --write they go between the marks in that file too."""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "fuzz"
BEGIN, END = "<!-- made by tools/bench/coverage_vs_random.py --write -->", "<!-- end -->"
SIDES = ("random", "coverage")


def buggy_targets():
    listed = json.loads(subprocess.run([BUILD / "attnfuzz", "targets", "--all", "--json"], capture_output=True, text=True,
                                       check=True).stdout)
    return [t["name"] for t in listed if t["name"].startswith(("specimen:", "mutant:"))]


def random_finds(target, options, dir):
    done = subprocess.run([BUILD / "attnfuzz", "run", "-t", target, "--no-corpus", "--time", f"{options.time}s", "--seed",
                           str(options.seed), "--stop-after", "1", "--max-shrink-tries", "0", "--format", "json", "-q",
                           "--out", dir], capture_output=True, text=True)
    if done.returncode not in (0, 1):
        sys.exit(f"attnfuzz run -t {target}: exit {done.returncode}: {done.stderr[-500:]}")
    return done.returncode == 1


def coverage_finds(target, options, dir):
    """The harness ends at its first failing case, or where the case takes it down."""
    environment = {k: v for k, v in os.environ.items() if k != "ATTNFUZZ_FAILURES"}
    done = subprocess.run([BUILD / "attnfuzz_target_fuzzer", f"-max_total_time={max(1, round(options.time))}",
                           f"-seed={options.seed}", "-max_len=65536", "-len_control=0", "-timeout=60", "-detect_leaks=0",
                           f"-artifact_prefix={dir}/", dir], capture_output=True, text=True, errors="replace",
                          env={**environment, "ATTNFUZZ_TARGET": target})
    if done.returncode == 2:
        sys.exit(f"attnfuzz_target_fuzzer for {target}: {done.stderr[-500:]}")
    return done.returncode != 0


def seconds_to_find(finds, target, options):
    """None where it is not found."""
    with tempfile.TemporaryDirectory(prefix="attnfuzz-bench-") as dir:
        start = time.monotonic()
        return time.monotonic() - start if finds(target, options, dir) else None


def tables(results, options):
    found = {side: [r[side] for r in results.values() if r[side] is not None] for side in SIDES}
    lines = [f"{len(results)} bugs (specimens and mutants), at most {options.time:g} s each, seed {options.seed}:", "",
             "| | random | guided by coverage |", "|---|---|---|"]
    lines.append("| found | " + " | ".join(str(len(found[s])) for s in SIDES) + " |")
    alone = {side: [t for t, r in results.items() if r[side] is not None and None in r.values()] for side in SIDES}
    lines.append("| found by this side alone | " + " | ".join(str(len(alone[s])) for s in SIDES) + " |")
    for name, of in (("median seconds to the first failing case", statistics.median), ("longest", max)):
        lines.append(f"| {name} | " + " | ".join(f"{of(found[s]):.1f}" if found[s] else "–" for s in SIDES) + " |")
    both = [r for r in results.values() if None not in r.values()]
    lines.append(f"| sooner, of the {len(both)} that both found | " + " | ".join(
        str(sum(r[s] < r[o] for r in both)) for s, o in (SIDES, SIDES[::-1])) + " |")
    lines.append("")
    for side in SIDES:
        lines.append(f"By {side} alone: {', '.join(f'{t} ({results[t][side]:.1f} s)' for t in alone[side]) or 'none'}.")
    missed = [t for t, r in results.items() if set(r.values()) == {None}]
    lines.append(f"By neither: {', '.join(missed) or 'none'}.")
    return "\n".join(lines) + "\n"


def write(file, text):
    before, begin, rest = file.read_text().partition(BEGIN + "\n")
    _, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"{file}: expected the lines {BEGIN} and {END}")
    file.write_text(before + begin + text + end + after)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--time", type=float, default=20, help="seconds for each target and side")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--targets", nargs="*")
    parser.add_argument("--write", type=pathlib.Path, help="a Markdown file with the marks in it")
    options = parser.parse_args()
    results = {}
    for target in options.targets or buggy_targets():
        results[target] = {"random": seconds_to_find(random_finds, target, options),
                           "coverage": seconds_to_find(coverage_finds, target, options)}
        print(target, *(f"{side} {'not found' if s is None else f'{s:.1f} s'}" for side, s in results[target].items()),
              sep="; ", file=sys.stderr, flush=True)
    text = tables(results, options)
    print(text, end="")
    if options.write:
        write(options.write, text)


if __name__ == "__main__":
    main()
