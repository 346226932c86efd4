"""Makes the tables (docs/data) and the plot of docs/numerics.md from what sharpness.sh collected.

Usage: sharpness_table.py [--update] FOLDER CASES SEED
"""
import json
import math
import pathlib
import sys

update = "--update" in sys.argv
folder, cases, seed = [a for a in sys.argv[1:] if a != "--update"]
ROOT = pathlib.Path(__file__).resolve().parents[2]
PLOT = ROOT / "docs/numerics.svg"
sys.path.insert(0, str(ROOT / "tools/docs"))
import tables  # noqa: E402

COMMAND = f"tools/bench/sharpness.sh --update {cases} {seed}"


def rows(name):
    return [json.loads(line) for line in pathlib.Path(folder, name).read_text().splitlines()]


def number(x):
    return float(f"{x:.2g}" if x < 0.1 else f"{x:.3f}")


targets, keys = rows("targets.jsonl"), rows("keys.jsonl")

def caught(mine):
    """Up to which length a missing and a doubled key show in some element; None: in none that was tried."""
    return max((n for n, row in mine.items() if min(row["dropped"], row["doubled"]) > 0), default=None)


def one_key():
    lengths = sorted({row["length"] for row in keys})
    for precision in dict.fromkeys(row["precision"] for row in keys):
        mine = {row["length"]: row for row in keys if row["precision"] == precision}
        cells = (f"{mine[n]['dropped']:.1f} / {mine[n]['doubled']:.1f} ({mine[n]['changed']:.1f})" for n in lengths)
        yield [precision, *cells, caught(mine)]


def plot():
    """Cumulative curves: which part of the elements is below a quotient."""
    width, height, left, top = 640, 320, 60, 20
    low, high = -12, 0  # log10

    def x(ratio):
        return left + (min(max(math.log10(max(ratio, 1e-300)), low), high) - low) / (high - low) * (width - left - 180)

    def y(part):
        return top + (1 - part) * (height - top - 40)

    shades = ["#1b6ca8", "#c8553d", "#3c7a57", "#7d4e9e", "#b5892b", "#50808e", "#a23b72", "#5b5f97"]
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
           'font-size="11">', f'<rect width="{width}" height="{height}" fill="white"/>']
    for power in range(low, high + 1, 3):
        out.append(f'<line x1="{x(10**power):.1f}" x2="{x(10**power):.1f}" y1="{top}" y2="{y(0):.1f}" stroke="#ddd"/>'
                   f'<text x="{x(10**power):.1f}" y="{y(0) + 16:.1f}" text-anchor="middle">1e{power}</text>')
    for part in (0, .25, .5, .75, 1):
        out.append(f'<text x="{left - 6}" y="{y(part) + 4:.1f}" text-anchor="end">{100 * part:.0f} %</text>')
    out.append(f'<text x="{left}" y="{height - 6}">|error| / bound</text>')
    for n, row in enumerate(targets):
        points = " ".join(f"{x(ratio):.1f},{y(part):.1f}" for part, ratio in row["curve"])
        dash = ["", ' stroke-dasharray="5 3"', ' stroke-dasharray="2 2"'][n // len(shades) % 3]
        shade = shades[n % len(shades)]
        out.append(f'<polyline points="{points}" fill="none" stroke="{shade}" stroke-width="1.5"{dash}/>')
        if 14 * n < height - 30:
            out.append(f'<text x="{width - 172}" y="{top + 10 + 13 * n}" fill="{shade}">{row["target"]} '
                       f'{row["dtype"]}</text>')
    return "\n".join(out + ["</svg>", ""])


made = {
    "sharpness": tables.table(
        "|error| / bound, element by element", COMMAND, ["target", "dtype", "elements", "median", "99.9 %", "largest"],
        [[row["target"], row["dtype"], row["elements"], *(number(row[key]) for key in ("median", "p999", "max"))]
         for row in targets]),
    "sharpness-largest": tables.table(
        "The elements with the largest quotients", COMMAND, ["target", "dtype", "element"],
        [[row["target"], row["dtype"], f"`{row['worst']}`"] for row in sorted(targets, key=lambda r: -r["max"])[:5]]),
    "one-key": tables.table(
        "One key missing or there twice: percent of the elements outside the bound", COMMAND,
        ["arithmetic", *(f"L = {n}" for n in sorted({row["length"] for row in keys})), "shows up to L ="], one_key()),
}
for name, table in made.items():
    print(tables.markdown(table), "\n")
    if update:
        tables.write(name, table)
if update:
    PLOT.write_text(plot())
