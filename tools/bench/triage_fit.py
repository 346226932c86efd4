"""Fits the weights of triage's reader, and from which chance a reading is called sure, to the public texts.

    tools/bench/triage_fit.sh [--update]

Each reading of a text has a score: a sum of terms (reports/triage/score.h), each with a weight. The weights are those
under which the right readings of public_texts.json are likeliest, held near 1 by a penalty: the terms are logarithms of
probabilities, so 1 is what they would be if the terms were independent.

A chance is a share among the readings that were thought of; the right one may not be among them. So how far it is to
be believed ("trust") is fitted too: to how often texts were read right that the weights were not fitted to, by the
chance and by what their words and code said for the reading. Texts are left out by framework and, a second time, by the
kind of operation that was read, a fifth of the groups at a time; the cut for "sure" is the higher one of the two. What
is printed is measured so. The texts are read once, by the weights that the reader has; what other weights would say is
computed from the terms of the readings that were found, so run it again where the weights moved far. The estimate is
still too good for texts that nobody has seen: the reader's rules were made with these texts in view, which no
leaving-out undoes. Hence MOST_WRONG is below what is promised. --update writes reports/triage/weights.cpp and the table
of docs/triage.md. There is no chance in it: the same texts and the same reader, with the weights it has, give the same
weights.
"""
from __future__ import annotations

import argparse
import datetime
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
from triage_table import DATA, DOCUMENT, Record, verdict

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "reports/triage/weights.cpp"
BEGIN = "<!-- made by tools/bench/triage_fit.sh --update: do not edit from here -->\n"
END = "<!-- to here: fitted -->\n"
TERMS = 16
SPOKEN = [2, 4, 5, 12]  # code, label, number, word: score.h's Term
PENALTY = 6.0  # on the square of a weight's distance from 1: about one text's say for a distance of 0.4
MOST_WRONG = 0.005  # wrong and sure, of all texts: far below the 3 % that are promised
MARGIN = 0.02  # of trust, above the texts that were wrong: unseen texts are read worse than those that the rules were made with
NAMED = 0.5  # a text that names no larger share of its sizes is never sure: reading.cpp's kNamed
FOLDS = 5
FARTHEST = 9.0  # ways that are less likely than the best by more than this, in the logarithm, say nothing
Vector = NDArray[np.float64]


@dataclass
class Text:
    """What a reader of certain weights makes of a text."""
    record: Record
    reading: Record
    ways: list[dict[str, Any]]

    def __post_init__(self) -> None:
        best = max((way["chance"] for way in self.ways), default=0.0)
        self.ways = [way for way in self.ways if way["chance"] >= best * np.exp(-FARTHEST)]

    @cached_property
    def right(self) -> Vector:
        return np.array([judged(self.record, way["numbers"])[0] == "right" for way in self.ways], dtype=bool)


def judged(record: Record, numbers: list[Any]) -> tuple[str, bool]:
    return verdict(record, {"numbers": numbers, "sure": True})


def read_ways(program: str, records: list[Record]) -> list[dict[str, Any]]:
    """What triage_ways says of each text, by the reader's own weights."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(records, file)
        file.flush()
        lines = subprocess.run([program, file.name], check=True, text=True, stdout=subprocess.PIPE).stdout.splitlines()
    return [json.loads(line) for line in lines]


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
    support: float  # what words and code say for it
    grounded: float  # the share of its sizes that the text itself names
    trust: float = 0.0

    def features(self) -> list[float]:
        share = min(max(self.agreed, 0.001), 0.9995)
        return [1.0, float(np.log(share / (1 - share))), self.support, self.grounded]


def result_of(text: Text, group: str) -> Result:
    word, is_wrong = judged(text.record, text.reading["numbers"])
    return Result(group, word, is_wrong, text.reading["agreed"], text.reading["support"], text.reading["grounded"])


def trust_of(results: list[Result]) -> Vector:
    """The logistic regression of "right" on the features, by Newton's steps; the slopes are held near 0, and none is negative."""
    x = np.array([each.features() for each in results])
    y = np.array([each.verdict == "right" for each in results], dtype=float)
    penalty, at = np.diag([0.0, 0.5, 0.5, 0.5]), np.zeros(4)
    for _ in range(30):
        chance = 1 / (1 + np.exp(-x @ at))
        curve = x.T @ (x * (chance * (1 - chance))[:, None]) + penalty
        at = at - np.linalg.solve(curve, x.T @ (chance - y) + penalty @ at)
        at[1:] = np.maximum(at[1:], 0)
    return np.asarray(at)


def give_trust(results: list[Result]) -> None:
    """To each result, by those of other groups."""
    for group in {each.group for each in results}:
        at = trust_of([each for each in results if each.group != group])
        for each in results:
            if each.group == group and each.grounded > NAMED:
                each.trust = float(1 / (1 + np.exp(-np.dot(each.features(), at))))


def cut_for(results: list[Result]) -> float:
    """The least trust from which readings may be called sure: at most MOST_WRONG of all texts are wrong and above."""
    wrong = sorted((each.trust for each in results if each.is_wrong), reverse=True)
    allowed = int(MOST_WRONG * len(results))
    return min(0.999, max(0.6, wrong[allowed] + MARGIN)) if len(wrong) > allowed else 0.6


def reweighted(text: Text, weights: Vector, at: Vector, group: str) -> Result:
    """A text that was read by the weights `at`, as other weights rank its readings."""
    if not text.ways:
        return result_of(text, group)
    terms = np.array([way["terms"] for way in text.ways])
    score = np.log(np.array([way["chance"] for way in text.ways]) + 1e-300) + terms @ (weights - at)
    best = int(np.argmax(score))
    share = float(1 / np.exp(score - score[best]).sum())
    support = float(np.maximum(0, weights[SPOKEN] * terms[best][SPOKEN]).sum())
    word, is_wrong = judged(text.record, text.ways[best]["numbers"])
    return Result(group, word, is_wrong, share, support, text.reading["grounded"])


def left_out(texts: list[Text], at: Vector, groups: list[str]) -> list[Result]:
    """Each text as weights rank its readings that were fitted to the texts of other groups, a fifth of the groups at a time."""
    results = []
    names = sorted(set(groups), key=lambda name: (-groups.count(name), name))
    for fold in range(FOLDS):
        out = set(names[fold::FOLDS])
        weights = fitted([text for text, name in zip(texts, groups) if name not in out], at)
        results += [reweighted(text, weights, at, name) for text, name in zip(texts, groups) if name in out]
    give_trust(results)
    return results


def report(title: str, results: list[Result]) -> list[str]:
    """A row of the table: how many were right, and sure by the cut of the other groups."""
    counts = Counter(each.verdict for each in results)
    sure = wrong = 0
    for group in {each.group for each in results}:
        cut = cut_for([each for each in results if each.group != group])
        for each in results:
            if each.group == group and each.trust >= cut:
                sure += 1
                wrong += each.is_wrong
    row = [title, *map(str, (len(results), counts["right"], counts["partly"], counts["wrong"], sure, wrong))]
    print(" | ".join(row), flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description="Fits the weights of triage's reader")
    parser.add_argument("--program", default=os.environ.get("TRIAGE_WAYS", str(ROOT / "build/release/tools/bench/triage_ways")))
    parser.add_argument("--update", action="store_true", help="write reports/triage/weights.cpp")
    options = parser.parse_args()
    records: list[Record] = json.loads((DATA / "public_texts.json").read_text())
    found = read_ways(options.program, records)
    at = np.array(list(found[0]["weights"].values()))
    start = [Text(record, each["reading"], each["ways"]) for record, each in zip(records, found, strict=True)]
    frameworks = [record["framework"] for record in records]
    kinds = [text.reading["pattern"] for text in start]
    by_framework = left_out(start, at, frameworks)
    rows = [report("a fifth of the frameworks left out", by_framework)]
    by_kind = left_out(start, at, kinds)
    rows.append(report("a fifth of the kinds of operation left out", by_kind))
    weights = fitted(start, at)
    trust, cut = trust_of(by_framework), max(cut_for(by_framework), cut_for(by_kind))
    final = [reweighted(text, weights, at, name) for text, name in zip(start, frameworks)]
    give_trust(final)
    rows.append(report("fitted to all", final))
    print("weights", " ".join(f"{each:.2f}" for each in weights), "trust", trust.round(2), "sure from", round(cut, 3))
    if options.update:
        write(weights, trust, cut)
        document(rows, cut)


def document(rows: list[list[str]], cut: float) -> None:
    before, rest = DOCUMENT.read_text().split(BEGIN)
    lines = [f"On {datetime.date.today().isoformat()}; sure from a trust of {cut:.3f}:", "",
             "| weights and trust | texts | right | partly | wrong | sure | of them wrong |",
             "|---|---|---|---|---|---|---|",
             *("| " + " | ".join(row) + " |" for row in rows)]
    DOCUMENT.write_text(before + BEGIN + "\n".join(lines) + "\n" + END + rest.split(END, 1)[1])


def write(weights: Vector, trust: Vector, cut: float) -> None:
    numbers = [f"{each:.3f}" for each in weights]
    lines = ",\n                                      ".join(", ".join(numbers[k:k + 8]) for k in range(0, TERMS, 8))
    OUTPUT.write_text(f'''#include "reports/triage/score.h"

/// Written by tools/bench/triage_fit.py: do not edit.
namespace attnfuzz::triage {{

const Weights& fitted_weights() {{
  static constexpr Weights weights = {{{lines}}};
  return weights;
}}

const Trust& fitted_trust() {{
  static constexpr Trust trust = {{{", ".join(f"{each:.3f}" for each in trust)}}};
  return trust;
}}

double sure_from() {{
  return {cut:.3f};
}}

}}  // namespace attnfuzz::triage
''')


if __name__ == "__main__":
    main()
