"""Makes the table of false alarms (docs/data/false-alarms.json) from the campaigns that false_alarms.sh ran.

Usage: false_alarms_table.py [--update] FOLDER CASES SEED [TARGET…]: of the targets that were named
"""
import json
import pathlib
import sys

update = "--update" in sys.argv
folder, cases, seed, *named = [a for a in sys.argv[1:] if a != "--update"]
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "docs"))
import tables  # noqa: E402

runs = [json.loads(path.read_text())["targets"][0] for path in sorted(pathlib.Path(folder).glob("*/summary.json"))]
mended = [run for run in runs if run["target"].startswith("fixed:")]


def row(name, some):
    worst = max(float("inf") if run["worst_ratio"] is None else run["worst_ratio"] for run in some)
    numbers = [sum(run[key] for run in some) for key in ("cases", "failed", "skipped")]
    return [name, *numbers, round(worst, 3) if worst < float("inf") else "∞"]


table = [row(run["target"], [run]) for run in runs if run not in mended]
if mended:
    table.append(row(f"{len(mended)} specimens' mended forms", mended))
table.append(row("all", runs))
made = tables.table("Cases of right targets, and what failed", " ".join(["tools/bench/false_alarms.sh --update", cases, seed, *named]),
                    ["target", "cases", "failed", "declined", "largest error/bound"], table)
print(tables.markdown(made))
if update:
    tables.write("false-alarms", made)
sys.exit(any(run["failed"] for run in runs))
