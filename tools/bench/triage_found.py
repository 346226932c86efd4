"""Which public error texts `attnfuzz triage` finds again by a call: in an installed package, or by its own strict checks.

    python3 tools/bench/triage_found.py [--attnfuzz PROGRAM] [--least N] [--update] [FILE…]

Each text of the FILEs (default: public_texts.json) is read, and the operation that was read is called with the shapes
that were read. A text is found again if the call raises it, numbers and all: then `attnfuzz triage` has exit code 1,
call.py is a program that raises it, and issue.md says so; else issue.md says that it was not found again. Prints one
line for each text that was found, then the counts by package; --update puts the counts with today's date into
docs/triage.md; ends with 1 if fewer than N were found. No case is run on a target (--most-targets 0).
"""
from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from triage_table import DATA, DOCUMENT, ROOT

BEGIN = "<!-- made by tools/bench/triage_found.py --update: do not edit from here -->\n"
END = "<!-- to here: found -->\n"


def found(program: str, record: dict[str, Any]) -> str:
    """The package whose call raises the text; empty: none does."""
    with tempfile.TemporaryDirectory() as out:
        done = subprocess.run([program, "triage", "-", "--most-targets", "0", "-o", out], input=record["text"], text=True,
                              capture_output=True)
        if done.returncode not in (0, 1):
            raise SystemExit(f"{record['source']}: attnfuzz triage ended with {done.returncode}: {done.stderr.strip()}")
        call, issue = Path(out) / "call.py", Path(out) / "issue.md"
        if issue.exists() and ("not found again" in issue.read_text()) != (done.returncode == 0):
            raise SystemExit(f"{record['source']}: the exit code {done.returncode} is not what {issue} says")
        if (done.returncode == 1) != call.exists():
            raise SystemExit(f"{record['source']}: the exit code {done.returncode} and {call} do not go together")
        if not call.exists():
            return ""
        text = call.read_text()
        return next(name for name in ("attnfuzz_strict", "onnxruntime", "torch", "numpy") if f"import {name}" in text)


def write(counts: Counter[str], texts: int) -> None:
    before, rest = DOCUMENT.read_text().split(BEGIN)
    lines = [f"On {datetime.date.today().isoformat()}, of {texts} texts {sum(counts.values())} were found again:", "",
             "| raised by | texts |", "|---|---|", *(f"| {name} | {count} |" for name, count in counts.most_common())]
    DOCUMENT.write_text(before + BEGIN + "\n".join(lines) + "\n" + END + rest.split(END, 1)[1])


def main() -> None:
    parser = argparse.ArgumentParser(description="Which public error texts are found again by a call")
    parser.add_argument("--attnfuzz", default=os.environ.get("ATTNFUZZ", str(ROOT / "build/release/attnfuzz")))
    parser.add_argument("--least", type=int, default=0, help="end with 1 if fewer were found")
    parser.add_argument("--update", action="store_true", help="put the counts into docs/triage.md")
    parser.add_argument("files", nargs="*", type=Path, default=[DATA / "public_texts.json"])
    options = parser.parse_args()
    counts: Counter[str] = Counter()
    texts = 0
    with ThreadPoolExecutor(max_workers=2) as pool:
        for path in options.files:
            records = json.loads(path.read_text())
            texts += len(records)
            for record, package in zip(records, pool.map(lambda each: found(options.attnfuzz, each), records)):
                if package:
                    counts[package] += 1
                    print(f"{package:16} {record['source']}: {record['text'].splitlines()[-1][:90]}", flush=True)
    total = sum(counts.values())
    print(f"{total} of {texts} texts found again: " + ", ".join(f"{count} by {name}" for name, count in counts.items()))
    if options.update:
        write(counts, texts)
    raise SystemExit(1 if total < options.least else 0)


if __name__ == "__main__":
    main()
