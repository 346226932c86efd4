"""At which stage the reader loses the texts that it does not read right, and which axes it takes for which.

    python3 tools/bench/triage_stages.py [--program TRIAGE_WAYS] [--each] [--half 0|1] [FILE…]

For each text of the FILEs (default: public_texts.json) all readings that the reader thought of are looked at:

    right       the best is right
    not found   a number that stands for a size is not among those that the reader names
    no axis     a number has its right axis in no reading
    no reading  each number has its right axis in some reading, but no reading has all of them
    ranked      a right reading is there, behind a wrong one: how far, and which terms of the score put it there

--each prints one line for each text that was lost. --half reads one half of the texts alone, by a hash of their source: who
works on the reader looks at half 0, and half 1 then tells how much of the gain carries over. Then come the counts by stage, the pairs of axes (right, read) that
were confused most often, and how often a term spoke for the wrong reading most.
"""
from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from triage_fit import read_ways
from triage_table import DATA, ROOT, Record, aligned, canonical, expected, verdict

Numbers = list[dict[str, Any]]


@dataclass
class Loss:
    """Where one text was lost."""
    stage: str
    detail: str = ""
    term: str = ""  # that speaks for the wrong reading most
    confused: list[tuple[str, str]] = field(default_factory=list)


def named(record: Record, numbers: Numbers) -> list[str | None]:
    """The axis of each wanted number in a reading: None where the number is not there, "" where it has no axis."""
    return aligned(expected(record), [(number["value"], number["axis"]) for number in numbers])


def is_right(names: set[str], axis: str | None) -> bool:
    return "-" in names or (axis is not None and canonical(axis) in names)


def behind(best: dict[str, Any], right: dict[str, Any], weights: dict[str, float]) -> tuple[float, str, str]:
    """How far a right reading is behind the best, and why: the terms by how much they speak for the best."""
    gaps = [(weight * (one - other), name) for (name, weight), one, other in zip(weights.items(), best["terms"], right["terms"], strict=True)]
    gaps.sort(reverse=True)
    words = ", ".join(f"{name} {gap:+.1f}" for gap, name in gaps if abs(gap) >= 0.3)
    return math.log(best["chance"] / right["chance"]), words, gaps[0][1]


def loss_of(record: Record, reading: Record, ways: list[dict[str, Any]], weights: dict[str, float]) -> Loss:
    wanted = expected(record)
    got = named(record, reading["numbers"])
    if verdict(record, reading)[0] == "right":
        return Loss("right")
    pairs = [("|".join(sorted(names)), axis or "nothing") for (_, names), axis in zip(wanted, got) if not is_right(names, axis)]
    if any(axis is None and "-" not in names for (_, names), axis in zip(wanted, got)):
        missing = [str(value) for (value, names), axis in zip(wanted, got) if axis is None and "-" not in names]
        return Loss("not found", " ".join(missing), confused=pairs)
    all_named = [named(record, way["numbers"]) for way in ways]
    right = [k for k, axes in enumerate(all_named) if all(is_right(names, axis) for (_, names), axis in zip(wanted, axes))]
    if right:
        gap, words, term = behind(ways[0], ways[right[0]], weights)
        return Loss("ranked", f"by {gap:.1f}: {words}", term, pairs)
    lacking = [f"{value}={'|'.join(sorted(names))}" for n, (value, names) in enumerate(wanted)
               if not any(is_right(names, axes[n]) for axes in all_named)]
    return Loss("no axis" if lacking else "no reading", " ".join(lacking), confused=pairs)


def half_of(record: Record) -> int:
    return hashlib.sha256(record["source"].encode()).digest()[0] % 2


def main() -> None:
    parser = argparse.ArgumentParser(description="At which stage the reader loses texts")
    parser.add_argument("--program", default=os.environ.get("TRIAGE_WAYS", str(ROOT / "build/release/tools/bench/triage_ways")))
    parser.add_argument("--each", action="store_true", help="a line for each text that was lost")
    parser.add_argument("--half", type=int, choices=(0, 1), help="read the texts of this half alone")
    parser.add_argument("files", nargs="*", type=Path, default=[DATA / "public_texts.json"])
    options = parser.parse_args()
    stages: Counter[str] = Counter()
    confused: Counter[tuple[str, str]] = Counter()
    terms: Counter[str] = Counter()
    for path in options.files:
        records: list[Record] = json.loads(path.read_text())
        records = [record for record in records if options.half in (None, half_of(record))]
        found = read_ways(options.program, records)
        for record, each in zip(records, found, strict=True):
            loss = loss_of(record, each["reading"], each["ways"], each["weights"])
            stages[loss.stage] += 1
            confused.update(set(loss.confused))
            terms[loss.term] += bool(loss.term)
            if options.each and loss.stage != "right":
                sure = "sure" if each["reading"]["sure"] else ""
                print(f"{loss.stage:10} {sure:4} {record['source']}: {loss.detail}")
    total = sum(stages.values())
    print(f"{total} texts: " + ", ".join(f"{count} {stage}" for stage, count in stages.most_common()))
    print("right axis, read as: " + "; ".join(f"{one}, {other}: {count}" for (one, other), count in confused.most_common(25)))
    print("the term that put a wrong reading first: " + ", ".join(f"{name} {count}" for name, count in terms.most_common() if count))


if __name__ == "__main__":
    main()
