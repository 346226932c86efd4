"""The tables of docs/gpu.md from what tools/gpu.sh has left in a folder. --update writes them between their marks.

A part that was not run is left as it is in the document.
Usage: table.py [--update] DIR
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


def gflops(out):
    files = {name: out / f"{name}.json" for name in ("oracle", "torch")}
    rows = {name: json.loads(file.read_text()) for name, file in files.items() if file.exists()}
    lines = ["| length | oracle on the device | torch, float64 math |", "|---|---|---|"]
    for length, value in rows.get("oracle", {}).items():
        peer = rows.get("torch", {}).get(length)
        lines.append(f"| {length} | {value:.1f} | {'no torch for the GPU' if peer is None else f'{peer:.1f}'} |")
    return lines


def parts(out):
    """The document's part by its mark, and its lines."""
    environment = next(summaries(out / "host"))["environment"]
    yield "host", [f"The commands of `tools/gpu.sh`, on {environment}:", "", *campaigns(out / "host"), "",
                   *mutants(out / "host-mutants")]
    if not (out / "device").is_dir():
        return
    philox = (out / "philox.txt").read_text().strip()
    lines = [f"On {environment}. Philox: {philox}.", "", *campaigns(out / "device"), "",
             *mutants(out / "device-mutants")]
    for folder in sorted(out.glob("sanitizer-*")):
        lines += ["", f"Under compute-sanitizer's {folder.name.partition('-')[2]}:", "", *campaigns(folder)]
    if (out / "oracle.json").exists():
        lines += ["", "GFLOP/s, 4 heads of 128:", "", *gflops(out)]
    if (out / "adapters").is_dir():
        lines += ["", "Adapters on the GPU:", "", *campaigns(out / "adapters")]
    yield "device", lines


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
    out = Path(arguments[-1])
    text = DOCUMENT.read_text()
    for mark, lines in parts(out):
        print("\n".join(lines), end="\n\n")
        text = replaced(text, mark, lines)
    if update:
        DOCUMENT.write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])
