"""The emulation's tables of docs/gpu.md from what `tools/gpu.sh --host` has left in a folder. --update writes them there.

Usage: host_table.py [--update] DIR
"""
import json
import sys
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "gpu.md"


def summaries(folder):
    for file in sorted(folder.glob("*/summary.json")):
        yield json.loads(file.read_text())


def campaigns(folder):
    lines = ["| target | cases | by dtype | passed | failed | declined | cases/s | worst passing error / bound |",
             "|---|---|---|---|---|---|---|---|"]
    for summary in summaries(folder):
        for row in summary["targets"]:
            dtypes = ", ".join(f"{word[6:]} {count}" for word, count in sorted(row["features"].items())
                               if word.startswith("dtype:"))
            speed = row["cases"] / max(row["seconds"], 1e-9)
            lines.append(f"| {row['target']} | {row['cases']} | {dtypes} | {row['passed']} | {row['failed']} | "
                         f"{row['skipped']} | {speed:.0f} | {row['worst_ratio']:.3g} |")
    return lines


def case_words(case):
    problem = case["problem"]
    sizes = ["batch", "num_heads", "num_kv_heads", "q_len", "kv_len", "head_dim", "head_dim_v"]
    words = [f"{name} {problem[name]}" for name in sizes if problem.get(name, 0) > 1]
    words += [step["op"] + (f" {step['q_len']}" if "q_len" in step else "") for step in case.get("steps", [])]
    return ", ".join(words) or "all sizes 1"


def mutants(folder):
    lines = ["| mutant | found after | failure | smallest case | 1-minimal | first cause named |",
             "|---|---|---|---|---|---|"]
    for summary in summaries(folder):
        name, findings = summary["targets"][0]["target"], summary["findings"]
        if not findings:
            lines.append(f"| {name} | not in {summary['targets'][0]['cases']} cases | | | | |")
            continue
        found = findings[0]
        cause = found["causes"][0]["name"] if found["causes"] else "none"
        lines.append(f"| {name} | {found['index'] + 1} | {found['failure']} | {case_words(found['case'])} | "
                     f"{'yes' if found['shrink']['minimal'] else 'no'} | {cause} |")
    return lines


def document_part(out):
    environment = next(summaries(out / "host"))["environment"]
    return [f"The commands of `tools/gpu.sh --host`, on {environment}:", "", *campaigns(out / "host"), "", *mutants(out / "host-mutants")]


def replaced(text, mark, lines):
    """The text with other lines between <!-- begin MARK --> and <!-- end MARK -->."""
    begin, end = f"<!-- begin {mark} -->", f"<!-- end {mark} -->"
    before, found, rest = text.partition(begin)
    inside, ends, after = rest.partition(end)
    if not found or not ends:
        sys.exit(f"{DOCUMENT}: expected {begin} and {end}")
    return before + begin + "\n\n" + "\n".join(lines) + "\n\n" + end + after


def main(arguments):
    update = "--update" in arguments
    lines = document_part(Path(arguments[-1]))
    print("\n".join(lines))
    if update:
        DOCUMENT.write_text(replaced(DOCUMENT.read_text(), "host", lines))


if __name__ == "__main__":
    main(sys.argv[1:])
