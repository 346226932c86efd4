"""The table of the documented bugs in the released packages: every case of corpus/ that expects a verdict for a target in an
environment ("package:name@environment"), run there and compared.

    tools/upstream.sh [--short] [--only WORD] [--no-create] [--repros] [--markdown FILE] [--json FILE]

--short: only the environments named in `short` of environments.toml. --only: cases, targets or environments that have WORD in
their name. --no-create: run what is installed, and say what is not. --repros: run the program that `attnfuzz repro` writes for
each row too, and hold its exit and what it says against the verdict. Rows that no machine without a GPU, or no registry, can
give are in `unavailable` of environments.toml and stay in the table with their word.
Exit: 0 all as expected (what could not be run is in the table and counted), 1 some verdict or repro is another, 2 wrong usage.
"""
from __future__ import annotations

import argparse
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import env
from replay import verdict
from repros import fault

CORPUS = Path(__file__).resolve().parents[2] / "corpus"
COLUMNS = ("case", "target", "environment", "version", "verdict", "signature", "cause")
HEAD = """# The documented bugs in the released packages

This page shows in which releases each documented bug is. Each row is a case of corpus/. It was run on the released package in its
pinned environment (targets/python/environments.toml) on a CPU, and judged by the reference. A verdict whose cause or signature
differs from what the case file expects is marked. The same failure of a target has the same signature in every release.
upstream-notes.md says what the rows mean.

Printed by `tools/upstream.sh --markdown docs/upstream.md --json docs/upstream.json`; do not edit.
"""


def expectations(data: dict, only: str, short: bool) -> list[dict]:
    """One row for each expected verdict on a target in an environment."""
    rows = []
    for file in sorted(CORPUS.glob("*/*.case.json")):
        for name, expected in json.loads(file.read_text()).get("expect", {}).items():
            target, _, environment = name.partition("@")
            words = f"{file} {name}"
            if environment and only in words and (not short or environment in data["short"]):
                rows.append({"case": str(file.relative_to(CORPUS)), "target": target, "environment": environment,
                             "expected": expected})
    return rows


def run(data: dict, row: dict) -> dict:
    """The row with what came out, and whether that is the failure or pass that the case file expects."""
    if not env.installed(data, row["environment"]):
        return row | {"verdict": "not installed", "version": "", "signature": "", "cause": "", "detail": ""}
    found = verdict(CORPUS / row["case"], f'{row["target"]}@{row["environment"]}')
    causes = found.pop("causes")
    return found | row | {"cause": causes[0]["name"] if causes else "", "causes": causes}


def make_environments(data: dict, names: list[str]) -> None:
    for name in names:
        try:
            env.create(data, name)
        except LookupError as missing:
            print(f"environment {name}: {missing}", file=sys.stderr)
        except subprocess.CalledProcessError as failure:
            print(f"environment {name}: {Path(failure.cmd[0]).name} failed with status {failure.returncode}", file=sys.stderr)


def was_run(row: dict) -> bool:
    return row["verdict"] == "pass" or row["verdict"].startswith("fail:")


def differs(row: dict) -> bool:
    return row.get("expected") is not None and row["verdict"] != "not installed" and not row.get("as_expected", False)


def markdown(rows: list[dict]) -> str:
    """The table, then what was said where something failed, one line for each signature."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    for row in rows:
        word = f'{row.get("found", row["verdict"])} (expected {row["expected"]})' if differs(row) else row["verdict"]
        cells = row | {"verdict": word, "case": row["case"].removesuffix(".case.json")}
        lines.append("| " + " | ".join(cells[column].replace("|", "\\|") for column in COLUMNS) + " |")
    lines += ["", "## What the failures said", ""]
    said = {}
    for row in rows:
        if row["verdict"].startswith("fail:"):
            said.setdefault(row["signature"], row)
    for signature, row in said.items():
        lines.append(f'- `{signature}` ({row["target"]}): {one_line(row["detail"])}')
        lines += [f'  - {cause["name"]}: {one_line(cause["words"])}' for cause in row["causes"][:1]]
    lines += ["", "## What could not be run here", ""]
    lines += [f'- {r["case"]}, {r["target"]}, {r["environment"]}: {r["verdict"]}. {r["detail"]}' for r in rows if not was_run(r)]
    return HEAD + "\n" + "\n".join(lines) + "\n"


def one_line(text: str) -> str:
    """Short enough for a line, without what a Markdown reader would take for markup."""
    text = " ".join(text.split()).replace("<", "&lt;").replace("*", "\\*")
    return text if len(text) <= 300 else text[:297] + "…"


def run_repros(pool: ThreadPoolExecutor, rows: list[dict]) -> int:
    """Of all rows that were run; how many programs are wrong."""
    rows = [row for row in rows if was_run(row)]
    found = list(pool.map(lambda row: fault(CORPUS / row["case"], row["target"], row["environment"], row), rows))
    for row, wrong in zip(rows, found):
        if wrong:
            print(f'the repro of {row["case"]}, {row["target"]}@{row["environment"]} ({row["verdict"]}): {wrong}')
    wrong, alone = sum(map(bool, found)), sum(word is not None for word in found)
    print(f"{alone} repros run, {wrong} not as expected, {len(found) - alone} rows without a program that needs the package alone")
    return wrong


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="tools/upstream.sh", description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--only", default="", metavar="WORD")
    parser.add_argument("--no-create", action="store_true")
    parser.add_argument("--repros", action="store_true")
    parser.add_argument("--markdown", type=Path, metavar="FILE")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("-j", "--jobs", type=int, default=2)
    args = parser.parse_args(argv)
    data = env.table()
    rows = expectations(data, args.only, args.short)
    if not args.no_create:
        make_environments(data, sorted({row["environment"] for row in rows}))
    with ThreadPoolExecutor(args.jobs) as pool:
        rows = list(pool.map(lambda row: run(data, row), rows))
        wrong = run_repros(pool, rows) if args.repros else 0
    if not args.short:
        empty = {"version": "", "signature": "", "cause": ""}
        rows += [empty | {k: v for k, v in row.items()} for row in data["unavailable"] if args.only in str(row)]
    rows.sort(key=lambda row: row["case"])
    text = markdown(rows)
    if args.markdown:
        args.markdown.write_text(text)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    not_run = sum(not was_run(row) for row in rows)
    print(text)
    differing = sum(map(differs, rows))
    print(f"{len(rows) - not_run} run, {differing} not as expected, {not_run} not run", flush=True)
    return 1 if wrong or differing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
