"""Measured tables: data files docs/data/NAME.json, which the scripts that measure write, and the pages show.

A line of a page that is nothing but a link to such a file, [What it shows](data/NAME.json), becomes the table on the site.
As a program this takes a Markdown table from standard input and writes the file:

    tables.py NAME TITLE COMMAND < table.md
"""

import json
import re
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "data"
LINK = re.compile(r"^\[([^\]]+)\]\((data/[\w-]+\.json)\)$", re.MULTILINE)
KEYS = {"title", "command", "columns", "rows"}
LONG = 40
"""A table of more rows is folded up."""


def table(title, command, columns, rows):
    """A table: a cell is a number, a text (Markdown), or None for what was not measured."""
    return {"title": title, "command": command, "columns": list(columns), "rows": [list(row) for row in rows]}


def write(name, made):
    """Writes a table's data file, a row a line."""
    text = ",\n".join(f" {json.dumps(key)}: {json.dumps(made[key], ensure_ascii=False)}" for key in ("title", "command", "columns"))
    rows = ",\n".join(f"  {json.dumps(row, ensure_ascii=False)}" for row in made["rows"])
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.json").write_text(f'{{\n{text},\n "rows": [\n{rows}\n ]\n}}\n')


def from_markdown(text):
    """The columns and rows of a Markdown table; cells that are numbers become numbers."""
    def value(cell):
        try:
            return json.loads(cell.replace(",", ""))
        except ValueError:
            return None if cell in ("–", "-") else cell

    lines = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in text.split("\n") if "|" in line]
    return lines[0], [[value(cell) for cell in line] for line in lines[2:]]


def read(file):
    """A data file, checked. Ends the program with one line where it is none."""
    try:
        made = json.loads(file.read_text())
    except (OSError, ValueError) as e:
        raise SystemExit(f"{file}: expected a table as JSON: {e}") from None
    if not isinstance(made, dict) or set(made) != KEYS:
        raise SystemExit(f"{file}: expected an object with {', '.join(sorted(KEYS))}")
    for k, row in enumerate(made["rows"]):
        if len(row) != len(made["columns"]):
            raise SystemExit(f"{file}: rows[{k}]: expected {len(made['columns'])} cells, found {len(row)}")
    return made


def cell_text(cell):
    if cell is None:
        return "–"
    if isinstance(cell, int):
        return f"{cell:,}"
    return f"{cell:g}" if isinstance(cell, float) else str(cell).replace("|", "\\|")


def markdown(made, link=""):
    """The table, and which command printed it. `link`: where its data lie."""
    def line(cells):
        return "| " + " | ".join(cells) + " |"

    def side(k):
        cells = [row[k] for row in rows if row[k] is not None]
        numbers = sum(isinstance(cell, (int, float)) for cell in cells)
        return "---:" if 2 * numbers > len(cells) else "---"

    rows = made["rows"]
    lines = [line(made["columns"]), line(side(k) for k in range(len(made["columns"]))), *(line(map(cell_text, row)) for row in rows)]
    source = f"Printed by `{made['command']}`" + (f" ([data]({link}))." if link else ".")
    if len(rows) <= LONG or not link:
        return "\n".join([f"**{made['title']}.** {source}", "", *lines])
    return "\n".join([f'<details markdown="1"><summary>{made["title"]}: {len(rows)} rows</summary>', "", source, "", *lines, "",
                      "</details>"])


def on_page_markdown(text, page, config, **_):
    return LINK.sub(lambda link: markdown(read(Path(config["docs_dir"]) / link[2]), link[2]), text)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("tables.py: expected NAME TITLE COMMAND")
    write(sys.argv[1], table(*sys.argv[2:], *from_markdown(sys.stdin.read())))
