"""Fits the weights of triage's reader, and from which chance a reading is called sure, to the public texts.

    tools/bench/triage_fit.sh [--update]

Each reading of a text has a score: a sum of terms (reports/triage/score.h), each with a weight. The weights are those
under which the right readings of public_texts.json are likeliest, held near 1 by a penalty: the terms are logarithms of
probabilities, so 1 is what they would be if the terms were independent. What is printed is measured on texts that the
weights were not fitted to: once with a tenth of the texts left out at a time, and once with a framework left out at a
time, which is the estimate for texts of a framework that nobody has seen. The cut for "sure" is chosen on the texts of
the other frameworks too. --update writes reports/triage/weights.cpp. There is no chance in it: the same texts and the
same reader give the same weights.
"""
from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from triage_table import DATA, Record, verdict

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "reports/triage/weights.cpp"
TERMS = 16
PENALTY = 6.0  # on the square of a weight's distance from 1: about one text's say for a distance of 0.4
MOST_WRONG = 0.02  # wrong and sure, of all texts: below the 3 % that are promised
Vector = NDArray[np.float64]


@dataclass
class Text:
    """What a reader of certain weights makes of a text."""
    record: Record
    reading: Record
    ways: list[dict[str, Any]]

    @cached_property
    def right(self) -> Vector:
        return np.array([judged(self.record, way["numbers"])[0] == "right" for way in self.ways], dtype=bool)


def judged(record: Record, numbers: list[Any]) -> tuple[str, bool]:
    return verdict(record, {"numbers": numbers, "sure": True})


def read(program: str, records: list[Record], weights: Vector) -> list[Text]:
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(records, file)
        file.flush()
        command = [program, file.name, "--weights", " ".join(repr(float(each)) for each in weights)]
        lines = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout.splitlines()
    found = [json.loads(line) for line in lines]
    return [Text(record, each["reading"], each["ways"]) for record, each in zip(records, found, strict=True)]


def fitted(texts: list[Text], at: Vector) -> Vector:
    """The weights near `at`, the weights of the readings."""
    used = [text for text in texts if text.right.any() and not text.right.all()]
    starts = np.cumsum([0] + [len(text.ways) for text in used])[:-1]
    owner = np.repeat(np.arange(len(used)), [len(text.ways) for text in used])
    logs = np.log(np.array([way["chance"] for text in used for way in text.ways]) + 1e-300)
    terms = np.array([way["terms"] for text in used for way in text.ways])
    right = np.concatenate([text.right for text in used])

    def shares(score: Vector, among: Vector) -> Vector:
        """Of each way in the chance of its text's."""
        score = np.where(among, score, -1e9)
        chance = np.exp(score - np.maximum.reduceat(score, starts)[owner])
        return np.asarray(chance / np.add.reduceat(chance, starts)[owner])

    weights, step = at.copy(), 0.05
    mean, square = np.zeros(TERMS), np.zeros(TERMS)
    for turn in range(1, 201):  # Adam
        score = logs + terms @ (weights - at)
        slope = PENALTY * (weights - 1) + terms.T @ (shares(score, np.ones_like(right)) - shares(score, right))
        mean, square = 0.9 * mean + 0.1 * slope, 0.99 * square + 0.01 * slope**2
        weights = weights - step * (mean / (1 - 0.9**turn)) / (np.sqrt(square / (1 - 0.99**turn)) + 1e-9)
        weights = np.maximum(weights, 0.05)
        step *= 0.98
    return weights


@dataclass
class Result:
    """A text as it was read by weights that were not fitted to it."""
    group: str
    verdict: str
    is_wrong: bool  # some number is
    agreed: float  # the chance of what was said


def result_of(text: Text, group: str) -> Result:
    word, is_wrong = judged(text.record, text.reading["numbers"])
    return Result(group, word, is_wrong, text.reading["agreed"])


def cut_for(results: list[Result]) -> float:
    """The least chance from which readings may be called sure: at most MOST_WRONG of all texts are wrong and above."""
    wrong = sorted((each.agreed for each in results if each.is_wrong), reverse=True)
    allowed = int(MOST_WRONG * len(results))
    return min(0.999, max(0.6, wrong[allowed] + 0.002)) if len(wrong) > allowed else 0.6


def left_out(program: str, records: list[Record], groups: list[str], start: list[Text]) -> list[Result]:
    results = []
    for group in sorted(set(groups)):
        mine = [record for record, name in zip(records, groups) if name == group]
        weights = fitted([text for text, name in zip(start, groups) if name != group], np.ones(TERMS))
        results += [result_of(text, group) for text in read(program, mine, weights)]
    return results


def report(title: str, results: list[Result]) -> None:
    counts = Counter(each.verdict for each in results)
    sure = wrong = 0
    for group in {each.group for each in results}:
        cut = cut_for([each for each in results if each.group != group])
        for each in results:
            if each.group == group and each.agreed >= cut:
                sure += 1
                wrong += each.is_wrong
    words = ", ".join(f"{counts[word]} {word}" for word in ("right", "partly", "wrong", "not read"))
    print(f"{title}: of {len(results)} texts {words}; {sure} sure, {wrong} of them wrong")


def main() -> None:
    parser = argparse.ArgumentParser(description="Fits the weights of triage's reader")
    parser.add_argument("--program", default=os.environ.get("TRIAGE_WAYS", str(ROOT / "build/release/tools/bench/triage_ways")))
    parser.add_argument("--update", action="store_true", help="write reports/triage/weights.cpp")
    options = parser.parse_args()
    records: list[Record] = json.loads((DATA / "public_texts.json").read_text())
    start = read(options.program, records, np.ones(TERMS))
    tenths = [str(int(hashlib.sha256(record["text"].encode()).hexdigest(), 16) % 10) for record in records]
    frameworks = [record["framework"] for record in records]
    report("all weights 1", [result_of(text, name) for text, name in zip(start, frameworks)])
    report("a tenth left out", left_out(options.program, records, tenths, start))
    by_framework = left_out(options.program, records, frameworks, start)
    report("a framework left out", by_framework)
    # In one step from 1, as the left-out ones were: else chances, and so the cut, were of another scale.
    weights = fitted(start, np.ones(TERMS))
    final = read(options.program, records, weights)
    report("fitted to all", [result_of(text, name) for text, name in zip(final, frameworks)])
    cut = cut_for(by_framework)
    print("weights", " ".join(f"{each:.2f}" for each in weights), "sure from", round(cut, 3))
    if options.update:
        write(weights, cut)


def write(weights: Vector, cut: float) -> None:
    numbers = [f"{each:.3f}" for each in weights]
    lines = ",\n                                      ".join(", ".join(numbers[k:k + 8]) for k in range(0, TERMS, 8))
    OUTPUT.write_text(f'''#include "reports/triage/score.h"

/// Written by tools/bench/triage_fit.py: do not edit.
namespace attnfuzz::triage {{

const Weights& fitted_weights() {{
  static constexpr Weights weights = {{{lines}}};
  return weights;
}}

double sure_from() {{
  return {cut:.3f};
}}

}}  // namespace attnfuzz::triage
''')


if __name__ == "__main__":
    main()
