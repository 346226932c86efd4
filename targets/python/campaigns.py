"""Campaigns against the newest releases, from campaigns.toml: run one after another, and the table of what they found.

    tools/campaigns.sh --out DIR [--only WORD] [--scale X] [--no-run] [--markdown FILE] [--json FILE]

A campaign that has its summary under DIR is not run again unless it was interrupted, so an interrupted run goes on where it
stopped. --only: targets or environments with WORD in their name. --scale: every time or number of cases times X. --no-run: the
table of what DIR holds. A row that DIR has no summary of, or that --only leaves out, is kept as the JSON file has it.
Every finding has to be judged by hand: `judged` in campaigns.toml says what its signature is, by a heading of
docs/findings.md. Exit: 0 all judged, 1 some finding is not or some campaign gave no summary, 2 wrong usage.
"""
from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tomllib
from pathlib import Path

from replay import TIMEOUT, program

TABLE = Path(__file__).with_name("campaigns.toml")
COLUMNS = ("target", "environment", "version", "minutes", "cases", "passed", "declined", "failed", "findings")
HEAD = """# Campaigns against the newest releases

This page lists what random campaigns did with the newest releases of the packages under test. Each row is one
`attnfuzz run -t TARGET@ENVIRONMENT` on a CPU. It replayed the cases of corpus/ first, and ran for the `--time` or `--cases` of
targets/python/campaigns.toml, multiplied by `--scale` in rows with fewer.

A finding is one signature. The rows were run on different days, and signatures are those of that day. The name of a finding is
a heading of findings.md, where it is judged. Declined are cases that the package's documentation excludes.

Printed by `tools/campaigns.sh --out DIR --markdown docs/campaigns.md --json docs/campaigns.json`; do not edit.
"""


def name(entry: dict) -> str:
    return f'{entry["target"]}@{entry["environment"]}'


def folder(out: Path, entry: dict) -> Path:
    return out / name(entry).replace(":", "_")


def budget(entry: dict, scale: float) -> list[str]:
    """What a campaign may take: its cases, or else its minutes."""
    if "cases" in entry:
        return ["--cases", str(round(entry["cases"] * scale))]
    return ["--time", f'{round(60 * entry["minutes"] * scale)}s']


def run(entry: dict, scale: float, seed: int, to: Path) -> None:
    """One campaign; its exit status is in its summary too."""
    words = [program(), "run", "-t", name(entry), *budget(entry, scale), "--seed", str(seed), "--timeout", TIMEOUT, "--jobs", "1",
             "--out", str(to), "--format", "md"]
    subprocess.run(words, check=False)


def finished(summary: Path) -> dict | None:
    """What a campaign that ran to its end has written."""
    found = json.loads(summary.read_text()) if summary.exists() else {}
    return found if found.get("targets") and not found.get("interrupted") else None


def row(entry: dict, summary: dict, judged: dict) -> dict:
    """A line of the table."""
    counts, findings = summary["targets"][0], summary["findings"]
    version = findings[0]["version"] if findings else entry["environment"].rpartition("-")[2]
    named: dict[str, list[str]] = {}
    for finding in findings:
        named.setdefault(judged.get(finding["signature"], "not judged"), []).append(finding["signature"])
    return {"target": entry["target"], "environment": entry["environment"], "version": version,
            "minutes": round(counts["seconds"] / 60, 1), "cases": counts["cases"], "passed": counts["passed"],
            "declined": counts["skipped"], "failed": counts["failed"], "findings": named, "seed": summary["seed"]}


def findings_cell(named: dict) -> str:
    return "; ".join(f'{heading} ({", ".join(f"`{s}`" for s in signatures)})' for heading, signatures in sorted(named.items()))


def markdown(rows: list[dict]) -> str:
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    for each in rows:
        cells = each | {"findings": findings_cell(each["findings"])}
        lines.append("| " + " | ".join(str(cells[column]) for column in COLUMNS) + " |")
    total = {key: sum(each[key] for each in rows) for key in ("minutes", "cases", "passed", "declined", "failed")}
    names = {heading for each in rows for heading in each["findings"]}
    lines += ["", f'Together: {total["minutes"]:.0f} minutes, {total["cases"]} cases, {total["passed"]} passed, {total["declined"]} '
                  f'declined, {total["failed"]} failed, {len(names)} bugs.']
    return HEAD + "\n" + "\n".join(lines) + "\n"


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="tools/campaigns.sh", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--only", default="", metavar="WORD")
    parser.add_argument("--scale", type=float, default=1.0, metavar="X")
    parser.add_argument("--no-run", action="store_true")
    parser.add_argument("--markdown", type=Path, metavar="FILE")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args(argv)
    data = tomllib.loads(TABLE.read_text())
    kept = {name(row): row for row in json.loads(args.json.read_text())} if args.json and args.json.exists() else {}
    rows, missing = [], []
    for entry in data["campaign"]:
        asked, summary = args.only in name(entry), folder(args.out, entry) / "summary.json"
        found = finished(summary) if asked else None
        if asked and found is None and not args.no_run:
            run(entry, args.scale, data["seed"], summary.parent)
            found = finished(summary)
        if found is not None:
            rows.append(row(entry, found, data["judged"]))
        elif name(entry) in kept:
            rows.append(kept[name(entry)])
        elif asked:
            missing.append(name(entry))
    text = markdown(rows)
    if args.markdown:
        args.markdown.write_text(text)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1, sort_keys=True) + "\n")
    print(text)
    for absent in missing:
        print(f"not run: {absent}")
    unjudged = sum(len(each["findings"].get("not judged", [])) for each in rows)
    print(f"{len(rows)} campaigns, {unjudged} findings not judged", flush=True)
    return 1 if unjudged or (missing and not args.no_run) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
