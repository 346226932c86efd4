"""The table of a GPU run. As a program it puts the one of OUT, where run.py left its results, into docs/gpu.md, and
keeps each finding's smallest case in corpus/gpu. Usage: table.py --update OUT
"""
from __future__ import annotations

import itertools
import json
import re
import sys
from pathlib import Path

import device

ROOT = Path(__file__).resolve().parents[2]
BEGIN, END = "<!-- begin device -->", "<!-- end device -->"
ON_A_DEVICE = "On "  # how the table of a device begins; that of a rehearsal says that it is one
SIZES = ("batch", "num_heads", "num_kv_heads", "q_len", "kv_len", "head_dim", "head_dim_v")


def case_words(case: dict) -> str:
    problem = case["problem"]
    words = [f"{name} {problem[name]}" for name in SIZES if problem.get(name, 0) > 1]
    words += [step["op"] + (f" {step['q_len']}" if "q_len" in step else "") for step in case.get("steps", [])]
    return ", ".join([problem["dtype"], *words])


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def status_words(row: dict) -> str:
    return cell(row["status"] + (f" (run again: {row['again']})" if "again" in row else ""))


def numbers(row: dict) -> str:
    """A part's cells behind its name, for one that ran cases."""
    speed = row["cases"] / max(row["case_seconds"], 1e-9)
    busy = f"{row['gpu_percent']:.0f} %" + " (all)" * row.get("gpu_shared", False) if "gpu_percent" in row else "–"
    worst = "–" if row["worst_ratio"] is None else f"{row['worst_ratio']:.3g}"  # it was not finite, or is not known
    dtypes = ", ".join(f"{name} {count}" for name, count in sorted(row["dtypes"].items()))
    return (f"{row['cases']} | {dtypes} | {row['passed']} | {row['failed']} | {row['skipped']} | {speed:.0f} | "
            f"{busy} | {worst} | {status_words(row)}")


def told_elsewhere(row: dict) -> bool:
    """Whether a program's row is told by what it said, above or below the table."""
    return row["status"] == "done" and (row["step"] == "philox" or bool(by_length(row.get("said", ""))))


def results(rows: list[dict]) -> list[str]:
    lines = ["| step | target | cases | by dtype | passed | failed | declined | cases/s | the GPU's | "
             "worst passing error / bound | |",
             "|---|---|---|---|---|---|---|---|---|---|---|"]
    for step, group in itertools.groupby((row for row in rows if not told_elsewhere(row)), lambda row: row["step"]):
        parts = list(group)
        if len(parts) > 1 and not any("cases" in row for row in parts) and len({status_words(row) for row in parts}) == 1:
            parts = [parts[0] | {"target": f"each of {len(parts)}"}]  # all the same: nothing was run
        for row in parts:
            said = f": {cell(row['said'])}" if row["status"] == "done" and "said" in row else ""  # not what was expected
            cells = numbers(row) if "cases" in row else f"| | | | | | | | {status_words(row)}{said}"
            name = row["target"] or row["part"] * (row["part"] != step)
            note = f", {row['note']}" if "note" in row else ""
            lines.append(f"| {step} | {name}{note} | {cells} |")
    return lines


def may_be_its_compiler(row: dict, finding: dict) -> bool:
    """Whether a case that took too long may have waited for its target's compiler."""
    return row.get("compiles", False) and finding["failure"] == "timeout"


def findings(rows: list[dict]) -> list[str]:
    found = [(row, f) for row in rows for f in row.get("findings", ())]
    if not found:
        return []
    lines = ["", "| target | after | failure | smallest case | 1-minimal | causes named |", "|---|---|---|---|---|---|"]
    for row, f in found:
        failure = f["failure"] + " (its target compiles)" * may_be_its_compiler(row, f)
        lines.append(f"| {row['target']} | {f['found']} | {failure} | {case_words(f['case'])} | "
                     f"{'yes' if f['minimal'] else 'no'} | {', '.join(f['causes']) or 'none'} |")
    return lines


def by_length(text: str) -> dict[str, float]:
    """What a program of the step gflops printed; empty for anything else."""
    try:
        return {str(int(length)): float(value) for length, value in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def gflops(rows: list[dict]) -> list[str]:
    said = {row["part"]: row["said"] for row in rows if row["step"] == "gflops" and "said" in row}
    ours, theirs = (by_length(said.get(f"gflops-{name}", "")) for name in ("oracle", "torch"))
    if not ours and not theirs:
        return []
    lines = ["", "GFLOP/s, 4 heads of 128:", "",
             "| length | oracle on the device | torch, float64 math |", "|---|---|---|"]
    for length in sorted({*ours, *theirs}, key=int):
        cells = [f"{each[length]:.1f}" if length in each else "–" for each in (ours, theirs)]
        lines.append(f"| {length} | {' | '.join(cells)} |")
    return lines


def table(found: dict, rows: list[dict]) -> str:
    """All of a run, as Markdown. `found`: what device.survey() found."""
    on = f"{ON_A_DEVICE}{device.words(found)}."
    if "missing" in found["device"]:
        on = (f"A rehearsal; {device.words(found)}.\nThe device's steps were left out, and packages tested on the CPU in "
              "their place: nothing here ran on a device.")
    programs = [f"{row['part']}: {row['said']}" for row in rows
                if row["step"] == "philox" and row["status"] == "done" and "said" in row]
    lines = [on, *([""] + programs if programs else []), "", *results(rows), *findings(rows), *gflops(rows)]
    return "\n".join(lines) + "\n"


def file_name(target: str, signature: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", f"{target}-{signature}")


def keep_cases(found: dict, rows: list[dict], folder: Path) -> tuple[int, list[str]]:
    """Each finding as a case, to be replayed by all that claim it; but those of mutants, which are wrong on purpose, and
    those that say only that a compiler took long. How many were kept, and a line for each of these."""
    place = "without a GPU" if "missing" in found["device"] else f"on {found['device']['name']}"
    kept: dict[Path, str] = {}
    left = []
    right = [row for row in rows if row["step"] != "mutants"]
    for row, f in [(each, f) for each in right for f in each.get("findings", ())]:
        if may_be_its_compiler(row, f):
            left.append(f"{row['target']}: {f['signature']} is not kept: a timeout of a target that compiles, on {case_words(f['case'])}")
            continue
        version = f" {f['version']}" * bool(f["version"])  # not known of one that no summary tells
        about = f"found with {row['target']}{version} {place}: {f['failure']}"
        case = {"attnfuzz": f["case"]["attnfuzz"], "about": about}
        text = json.dumps(case | {k: v for k, v in f["case"].items() if k not in case}, indent=2) + "\n"
        name = file_name(row["target"], f["signature"])
        files = (folder / f"{name}{f'-{number}' * (number > 1)}.case.json" for number in itertools.count(1))
        kept[next(file for file in files if kept.get(file, text) == text)] = text  # another part's may be smaller
    for file, text in kept.items():
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return len(kept), left


def main(arguments: list[str]) -> int:
    if len(arguments) != 2 or arguments[0] != "--update":
        print(__doc__, file=sys.stderr)
        return 2
    out, document = Path(arguments[1]), ROOT / "docs" / "gpu.md"
    try:
        found = json.loads((out / "machine.json").read_text(encoding="utf-8"))
        rows = [json.loads(line) for line in (out / "results.jsonl").read_text(encoding="utf-8").splitlines()]
        made = table(found, rows)
    except FileNotFoundError as missing:
        print(f"{missing.filename}: expected a file that run.sh wrote", file=sys.stderr)
        return 2
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        print(f"{out}: expected machine.json and results.jsonl as run.sh writes them: {error!r}", file=sys.stderr)
        return 2
    text = document.read_text()
    before, begins, rest = text.partition(BEGIN)
    there, ends, after = rest.partition(END)
    if not begins or not ends:
        print(f"{document}: expected {BEGIN} and {END}", file=sys.stderr)
        return 2
    if "missing" in found["device"] and there.lstrip().startswith(ON_A_DEVICE):
        print(f"{document}: the table of a rehearsal would replace that of a device: expected a device's, or a document "
              f"with nothing between {BEGIN} and {END}", file=sys.stderr)
        return 2
    document.write_text(f"{before}{BEGIN}\n\n{made}\n{END}{after}")
    kept, left = keep_cases(found, rows, ROOT / "corpus" / "gpu")
    print("\n".join([f"{document}: updated; {kept} cases kept in corpus/gpu", *left]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
