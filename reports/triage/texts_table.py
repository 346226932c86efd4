"""How many of the error texts in testdata/texts.json get the right axes: the table in docs/triage.md.

    python3 reports/triage/texts_table.py [--write]      print it, or put it into docs/triage.md

Each text is read by `attnfuzz triage --no-run --json`: once as it stands, and with the shapes that its reporter gave, where
there are any. A text counts as right when every number has the axis that the issue's discussion (or the code that it quotes)
says; "-" in the data marks numbers that say nothing (mostly 1), "|" axes that are the same there.
"""
from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXTS, DOCUMENT = Path(__file__).parent / "testdata/texts.json", ROOT / "docs/triage.md"
BINARY = Path(os.environ.get("ATTNFUZZ_BINARY_DIR", ROOT / "build/release")) / "attnfuzz"
BEGIN, END = "<!-- made by reports/triage/texts_table.py --write -->\n", "<!-- end -->\n"


def read(record: dict, with_shapes: bool) -> dict:
    """attnfuzz's reading of a text."""
    command = [BINARY, "triage", "-", "--no-run", "--json"]
    if with_shapes and "shapes" in record:
        command += ["--shapes", record["shapes"], "--layout", record.get("layout", "bhsd")]
    return json.loads(subprocess.run(command, input=record["text"], text=True, check=True, stdout=subprocess.PIPE).stdout)


def axes_of(reading: dict) -> dict[str, list[str]]:
    """The axes of each capture, in order; a number without a capture is one that only the shapes have."""
    axes: dict[str, list[str]] = {}
    for number in reading["numbers"]:
        axes.setdefault(number["capture"], []).append(number["axis"])
    return axes


def is_right(record: dict, reading: dict) -> bool:
    if not reading["pattern"]:
        return False
    found = axes_of(reading)
    for capture, wanted in record["axes"].items():
        got = found.get(capture, [])
        words = wanted.split(",")
        if len(got) != len(words) or any(w != "-" and g not in w.split("|") for w, g in zip(words, got)):
            return False
    return True


def told(record: dict, reading: dict) -> str:
    """What was read, for the table: "a=kv_len b=kv_len"."""
    if not reading["pattern"]:
        return "text not known"
    found = axes_of(reading)
    return " ".join(f'{capture or "shapes"}={",".join(axis or "?" for axis in found.get(capture, []))}' for capture in record["axes"])


@functools.cache
def table() -> tuple[str, Counter]:
    records, counts, rows = json.loads(TEXTS.read_text()), Counter(), []
    for record in records:
        plain, helped = read(record, False), read(record, True)
        right = is_right(record, plain), is_right(record, helped)
        group = record["set"]
        counts[group] += 1
        counts[group, "plain"] += right[0]
        counts[group, "helped"] += right[1]
        verdict = ["yes" if ok else "no" for ok in right]
        axes = " ".join(f"{capture or 'shapes'}={words}" for capture, words in record["axes"].items()) or "no axis in it"
        got = told(record, helped)
        rows.append("| " + " | ".join((record["source"], group, record["about"], axes.replace("|", " or "),
                                       verdict[0], verdict[1] if "shapes" in record else "", "" if right[1] else got)) + " |")
    lines = ["| texts | how many | right as they stand | right with the shapes that the reporter gave |", "|---|---|---|---|"]
    for group in ("tuned", "second", "held-out"):
        lines.append(f"| {group} | {counts[group]} | {counts[group, 'plain']} | {counts[group, 'helped']} |")
    lines += ["", "| source | set | what it was | right axes | as it stands | with shapes | where wrong: read as |",
              "|---|---|---|---|---|---|---|", *rows, ""]
    return "\n".join(lines), counts


def main() -> None:
    text, _ = table()
    if "--write" not in sys.argv:
        print(text)
        return
    document = DOCUMENT.read_text()
    made = re.compile(re.escape(BEGIN) + ".*" + re.escape(END), re.DOTALL)
    DOCUMENT.write_text(made.sub(lambda _: BEGIN + text + END, document))


if __name__ == "__main__":
    main()
