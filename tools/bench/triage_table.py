"""How many of the public error texts `attnfuzz triage` reads right: the table of docs/triage.md.

    python3 tools/bench/triage_table.py [--attnfuzz PROGRAM] [--update] [--each] [--only] [FILE…]

Reads reports/triage/testdata's texts.json, public_texts.json and, where there is one, heldout_texts.json, and FILEs of
the same form. Each text is read twice, as it stands and with the shapes that its reporter gave, and gets one of four
verdicts:

    right     every number that stands for a size has one of the axes that are right for it
    partly    some have, others have a wrong one or none
    wrong     none has, and one at least has a wrong one
    not read  no number has an axis

"Wrong and sure": a number has a wrong axis, and the reading is said to be sure.
--update puts the tables with today's date into docs/triage.md, --each prints one line for each text, --only reads the
FILEs alone. Of files whose names begin with "heldout" only totals are ever printed: nobody is to learn from them what
to build.
"""
from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DATA, DOCUMENT = ROOT / "reports/triage/testdata", ROOT / "docs/triage.md"
HELD_OUT = "heldout_texts.json"
FILES = (DATA / "texts.json", DATA / "public_texts.json", DATA / HELD_OUT)
BEGIN = "<!-- made by tools/bench/triage_table.sh --update: do not edit from here -->\n"
END = "<!-- to here -->\n"
VERDICTS = ("right", "partly", "wrong", "not read")
Record = dict[str, Any]
# One axis has several names; a reading may use any.
SAME = {"num_blocks": "num_pages", "pages": "num_pages", "block_size": "page_size", "d_model": "hidden",
        "tokens": "q_tokens", "total_q": "q_tokens", "total_k": "kv_tokens"}


def canonical(axis: str) -> str:
    """An axis in one spelling: products and sums in alphabetical order, one name for each size."""
    products = ("*".join(sorted(SAME.get(word, word) for word in term.split("*"))) for term in axis.split("+"))
    return "+".join(sorted(products))


def expected(record: Record) -> list[tuple[int, set[str]]]:
    """The numbers of a text that stand for sizes, in order, each with its right axes; "-" is right for any."""
    return [(value, {canonical(name) for name in names.split("|")}) for value, names in record["numbers"]]


def aligned(wanted: list[tuple[int, set[str]]], got: list[tuple[int, str]]) -> list[str | None]:
    """For each wanted number the axis that was read for it, None where it was not read: the same values in the same
    order, as many as possible, and of those ways the one that is right most often."""
    best: list[list[tuple[tuple[int, int], list[str | None]]]]
    best = [[((0, 0), [None] * len(wanted)) for _ in range(len(got) + 1)] for _ in range(len(wanted) + 1)]
    for i, (value, names) in enumerate(wanted, 1):
        for j, (other, axis) in enumerate(got, 1):
            options = [best[i - 1][j], best[i][j - 1]]
            if value == other:
                score, taken = best[i - 1][j - 1]
                taken = taken[:i - 1] + [axis] + taken[i:]
                options.append(((score[0] + 1, score[1] + (canonical(axis) in names)), taken))
            best[i][j] = max(options, key=lambda option: option[0])
    return best[-1][-1][1]


def verdict(record: Record, reading: Record) -> tuple[str, bool]:
    """One of VERDICTS, and whether a number is wrong and said to be sure."""
    numbers = expected(record)
    found = aligned(numbers, [(number["value"], number["axis"]) for number in reading["numbers"]])
    asked = [(names, canonical(axis) if axis else None) for (_, names), axis in zip(numbers, found) if "-" not in names]
    right = sum(axis in names for names, axis in asked)
    wrong = sum(axis is not None and axis not in names for names, axis in asked)
    sure = bool(wrong and reading["sure"])
    if right == len(asked):
        return "right", False
    if right > 0:
        return "partly", sure
    return ("wrong" if wrong else "not read"), sure


def read(program: str, record: Record, with_shapes: bool) -> Record:
    command = [program, "triage", "-", "--no-run", "--json"]
    if with_shapes and "shapes" in record:
        command += ["--shapes", record["shapes"], "--layout", record.get("layout", "bhsd")]
    done = subprocess.run(command, input=record["text"], text=True, capture_output=True)
    if done.returncode != 0:
        raise SystemExit(f"{record['source']}: {' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}")
    reading: Record = json.loads(done.stdout)
    return reading


def judge(program: str, record: Record) -> tuple[tuple[str, bool], tuple[str, bool]]:
    plain = verdict(record, read(program, record, False))
    return plain, verdict(record, read(program, record, True)) if "shapes" in record else plain


def is_kept_back(path: Path) -> bool:
    return path.name.startswith("heldout")


def set_of(path: Path, record: Record) -> str:
    names = {FILES[0]: f"first, {record.get('set')}", FILES[1]: "public, to work with", FILES[2]: "public, kept back"}
    return names.get(path, f"{path.parent.name}/{path.name}")


def table(title: str, counts: dict[str, Counter[str]]) -> list[str]:
    lines = [f"| {title} | texts | right | partly | wrong | not read | wrong and sure | right with shapes |",
             "|---|---|---|---|---|---|---|---|"]
    for name, count in counts.items():
        cells = [count["texts"], *(count[word] for word in VERDICTS), count["sure"], count["helped"]]
        lines.append(f"| {name} | " + " | ".join(map(str, cells)) + " |")
    return lines


def add(count: Counter[str], plain: tuple[str, bool], helped: tuple[str, bool]) -> None:
    count["texts"] += 1
    count[plain[0]] += 1
    count["sure"] += plain[1]
    count["helped"] += helped[0] == "right"


def main() -> None:
    parser = argparse.ArgumentParser(description="How many of the public error texts are read right")
    parser.add_argument("--attnfuzz", default=os.environ.get("ATTNFUZZ", str(ROOT / "build/release/attnfuzz")))
    parser.add_argument("--update", action="store_true", help="put the tables into docs/triage.md")
    parser.add_argument("--each", action="store_true", help="a line for each text, but for those kept back")
    parser.add_argument("--only", action="store_true", help="read the FILEs alone")
    parser.add_argument("files", nargs="*", type=Path, help="more files of texts")
    options = parser.parse_args()
    if options.update and options.only:
        parser.error("--update writes the tables of all texts, so --only cannot be with it")
    standard = [] if options.only else [path for path in FILES if path.exists()]
    sets: dict[str, Counter[str]] = {}
    frameworks: dict[str, Counter[str]] = {}
    with ThreadPoolExecutor(max_workers=2) as pool:
        for path in (*standard, *options.files):
            records = json.loads(path.read_text())
            for record, (plain, helped) in zip(records, pool.map(lambda r: judge(options.attnfuzz, r), records)):
                add(sets.setdefault(set_of(path, record), Counter()), plain, helped)
                if is_kept_back(path):
                    continue
                if "framework" in record:
                    add(frameworks.setdefault(record["framework"], Counter()), plain, helped)
                if options.each:
                    sure, last = "sure" if plain[1] else "", record["text"].splitlines()[-1]
                    print(f"{plain[0]:8} {sure:4} {record['source']}: {last[:90]}")
    today = datetime.date.today().isoformat()
    lines = [f"`tools/bench/triage_table.sh --update` printed on {today}:", "", *table("set", sets), ""]
    if frameworks:
        lines += ["By framework, without those kept back:", "", *table("framework", dict(sorted(frameworks.items()))), ""]
    text = "\n".join(lines)
    print(text)
    if options.update:
        before, rest = DOCUMENT.read_text().split(BEGIN)
        DOCUMENT.write_text(before + BEGIN + text + END + rest.split(END)[1])


if __name__ == "__main__":
    main()
