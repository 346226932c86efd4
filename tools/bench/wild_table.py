#!/usr/bin/env python3
"""Runs rebuilt public bugs and judges what each report says first: right, wrong, a place only, or nothing.

    wild_table.py --adapters FOLDER --expect FILE.json [--only REGEX] [--cases 1500] [--seed 1] [--time]

FILE says of each target what a right report says, as data: {"TARGET": {"source": "project#123", "right": [REGEX, …]}}.
A report is right if one of them is found in its first cause's name or words. The table is Markdown. With --time each
campaign is run a second time without diagnosis: what it then takes less is what diagnosis took."""
from __future__ import annotations

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLACES = {"location", "partial-tile", "tile-start", "many-keys", "nonfinite", "unwritten", "when", "seen-tokens",
          "seen-scores", "seen-queries", "seen-rotation", "seen-state", "seen-gradients", "seen-places"}


def campaign(target: str, options: argparse.Namespace, *more: str) -> dict | None:
    """summary.json of a campaign, or None where it did not end well."""
    environment = dict(os.environ, ATTNFUZZ_ADAPTERS=str(Path(options.adapters).resolve()))
    with tempfile.TemporaryDirectory() as folder:
        command = [options.attnfuzz, "run", "-t", target, "--seed", str(options.seed), "--cases", str(options.cases),
                   "--no-corpus", "--quiet", "--out", folder, *more]
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=options.timeout)
        except subprocess.TimeoutExpired:
            return None
        if done.returncode not in (0, 1):
            print(f"{target}: {done.stderr.strip()[-200:]}", file=sys.stderr)
            return None
        return json.loads((Path(folder) / "summary.json").read_text())


def processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def diagnosis_seconds(target: str, options: argparse.Namespace, with_diagnosis: float) -> float | None:
    """Processor time, attnfuzz's and the target's, that diagnosis took for each failure that it looked into."""
    before = processor_seconds()
    summary = campaign(target, options, "--max-diagnose", "0")
    if summary is None or not summary["findings"]:
        return None
    return max(0.0, with_diagnosis - (processor_seconds() - before)) / len(summary["findings"])


def judge(summary: dict | None, right: list[str]) -> dict:
    """What the first finding's first cause is worth."""
    if summary is None:
        return {"verdict": "no run", "cause": "", "words": [], "findings": 0, "first": None}
    findings = summary["findings"]
    if not findings:
        return {"verdict": "not found", "cause": "", "words": [], "findings": 0, "first": None}
    causes = findings[0]["causes"]
    first = causes[0] if causes else {"name": "none", "words": findings[0]["happened"]}
    said = f"{first['name']}: {first['words']}"
    if any(re.search(pattern, said) for pattern in right):
        verdict = "right"
    elif not causes or first["name"] in PLACES:
        verdict = "place only"
    else:
        later = [f"{cause['name']}: {cause['words']}" for cause in causes[1:]]
        verdict = "not first" if any(re.search(p, text) for p in right for text in later) else "wrong"
    return {"verdict": verdict, "cause": first["name"], "findings": len(findings),
            "words": [f"{cause['name']}: {cause['words']}" for finding in findings for cause in finding["causes"]],
            "first": findings[0]["index"]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--adapters", default=str(ROOT / "targets" / "wild"))
    parser.add_argument("--expect", default=str(ROOT / "targets" / "wild" / "expect.json"))
    parser.add_argument("--attnfuzz", default=str(ROOT / "build" / "release" / "attnfuzz"))
    parser.add_argument("--only", default="")
    parser.add_argument("--cases", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=300)
    parser.add_argument("--time", action="store_true", help="measure what diagnosis takes too, as processor time")
    parser.add_argument("--words", action="store_true", help="print all causes of all findings too")
    options = parser.parse_args()
    expected = json.loads(Path(options.expect).read_text())
    print("| bug | source | first failing case | findings | first cause | it is |\n|---|---|---|---|---|---|")
    rows = []
    seconds = []
    for target, entry in expected.items():
        if not re.search(options.only, target):
            continue
        before = processor_seconds()
        got = judge(campaign(target, options), entry["right"])
        if options.time and got["findings"]:
            took = diagnosis_seconds(target, options, processor_seconds() - before)
            seconds += [took] if took is not None else []
        rows.append((target, entry, got))
        print(f"| {target} | {entry['source']} | {got['first']} | {got['findings']} | {got['cause']} | {got['verdict']} |",
              flush=True)
        if options.words:
            print("".join(f"    {words}\n" for words in got["words"]), end="", flush=True)
    found = [got for _, _, got in rows if got["findings"]]
    counts = {word: sum(got["verdict"] == word for _, _, got in rows) for word in
              ("right", "not first", "wrong", "place only", "not found", "no run")}
    print("\n" + ", ".join(f"{count} {word}" for word, count in counts.items() if count) +
          f"; {sum(got['findings'] for got in found) / max(1, len(found)):.2f} findings for each that was found")
    if seconds:
        print(f"diagnosis: {statistics.median(seconds):.1f} s of processor time for a failure, in the median")
    return 0


if __name__ == "__main__":
    sys.exit(main())
