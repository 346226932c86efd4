"""Makes the tables of docs/zoo.md (docs/data) from what zoo.sh collected, and keeps the known smallest weights.

Usage: zoo_table.py [--update] FOLDER CASES PEER_CASES SEED
"""
import json
import pathlib
import statistics
import sys

update = "--update" in sys.argv
folder, cases, peer_cases, seed = [a for a in sys.argv[1:] if a != "--update"]
ROOT = pathlib.Path(__file__).resolve().parents[3]
SMALLEST = pathlib.Path(__file__).with_name("smallest.json")
COMMAND = f"tools/bench/zoo.sh --update {cases} {peer_cases} {seed}"
sys.path.insert(0, str(ROOT / "tools/docs"))
import tables  # noqa: E402


def rows(name):
    path = pathlib.Path(folder, name + ".jsonl")
    lines = path.read_text().splitlines() if path.exists() else []
    return {row["name"]: row for row in map(json.loads, lines)}


mine, grid, peer = rows("attnfuzz"), rows("grid"), rows("hypothesis")
smallest = json.loads(SMALLEST.read_text()) if SMALLEST.exists() else {}
for name, row in list(mine.items()) + list(peer.items()):
    if row.get("weight") is not None:
        smallest[name] = min(row["weight"], smallest.get(name, row["weight"]))


def percent(part, whole):
    return f"{100 * part / whole:.1f} %" if whole else "–"


def median(values):
    return statistics.median(values) if values else None


found = [row for row in mine.values() if row["found"]]
least = [row for row in found if row["weight"] == smallest[row["name"]]]
ratios = sorted(row["weight"] / smallest[row["name"]] for row in found)
peer_found = [row for row in peer.values() if row["found"]]
peer_ratios = sorted(row["weight"] / smallest[row["name"]] for row in peer_found)
grid_found = [row for row in grid.values() if row["found"]]
total = len(mine)


def of_all(run):
    """Of how many, where the run was ended before its last mutant."""
    return "" if len(run) == total else f" of {len(run)}"


grid_cases = sorted({row["cases"] for row in grid.values()})
summary = [
    ("cases at most", int(cases), int(peer_cases), "–".join(map(str, grid_cases[::max(1, len(grid_cases) - 1)]))),
    ("found", f"{len(found)} ({percent(len(found), total)})",
     f"{len(peer_found)} ({percent(len(peer_found), len(peer))})" if peer else "not run",
     f"{len(grid_found)}{of_all(grid)} ({percent(len(grid_found), len(grid))})" if grid else "not run"),
    ("median of the first failing case", median([row["found"] for row in found]),
     median([row["found"] for row in peer_found]), median([row["found"] for row in grid_found])),
    ("largest first failing case", max((row["found"] for row in found), default=None),
     max((row["found"] for row in peer_found), default=None),
     max((row["found"] for row in grid_found), default=None)),
    ("1-minimal after shrinking", percent(sum(row["minimal"] for row in found), len(found)), "not promised",
     "no shrinking"),
    ("shrunk to the smallest weight known", percent(len(least), len(found)),
     percent(sum(r == 1 for r in peer_ratios), len(peer_ratios)), None),
    ("median of shrunk weight / smallest known", median(ratios), median(peer_ratios), None),
    ("cause named right, first of those named", percent(sum(row["first"] for row in found), total), None, None),
    ("cause named right, among those named", percent(sum(row["among"] for row in found), total), None, None),
]


def mutant(name, row):
    """A row of the long table."""
    other, fixed = (run[name]["found"] or "not found" if name in run else None for run in (peer, grid))
    start = [name, row["kernel"], row["found"] or "not found", other, fixed]
    if not row["found"]:
        return [*start, None, None, None, None]
    causes = row.get("causes") or []
    mark = "" if row.get("first") else " (also right: further down)" if row.get("among") else " ✗"
    return [*start, f"`{row['case']}`", row["weight"], smallest[name], (f"`{causes[0]}`" if causes else "none") + mark]


made = {
    "zoo-summary": tables.table(f"{total} mutants, one line wrong each", COMMAND,
                                ["", "attnfuzz", "Hypothesis + assert_close", "fixed grid"], summary),
    "zoo-mutants": tables.table(
        "Each mutant", COMMAND,
        ["mutant", "of", "found after", "Hypothesis", "grid", "shrunk to", "weight", "smallest", "cause named first"],
        [mutant(name, row) for name, row in mine.items()]),
}
for name, table in made.items():
    print(tables.markdown(table), "\n")
    if update:
        tables.write(name, table)
if update:
    SMALLEST.write_text(json.dumps(dict(sorted(smallest.items())), indent=0) + "\n")
