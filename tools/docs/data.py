"""Measured tables: data files docs/data/NAME.json, which the scripts that measure write, and the pages show.

A line of a page that is nothing but a link to such a file, [What it shows](data/NAME.json), becomes the table on the site.
As a program this takes a Markdown table from standard input and writes the file:

    data.py NAME TITLE COMMAND < table.md
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


def write(name, title, command, columns, rows, folder=FOLDER):
    """Writes a data file, a row a line. A cell is a number, a text (Markdown), or None for what was not measured."""
    lines = ",\n  ".join(json.dumps(list(row), ensure_ascii=False) for row in rows)
    head = {"title": title, "command": command, "columns": list(columns)}
    text = "".join(f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)},\n" for key, value in head.items())
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(f"{{\n{text} \"rows\": [\n  {lines}\n ]\n}}\n")


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
        table = json.loads(file.read_text())
    except (OSError, ValueError) as e:
        raise SystemExit(f"{file}: expected a table as JSON: {e}") from None
    if not isinstance(table, dict) or set(table) != KEYS:
        raise SystemExit(f"{file}: expected an object with {', '.join(sorted(KEYS))}")
    for k, row in enumerate(table["rows"]):
        if len(row) != len(table["columns"]):
            raise SystemExit(f"{file}: rows[{k}]: expected {len(table['columns'])} cells, found {len(row)}")
    return table


def cell_text(cell):
    if cell is None:
        return "–"
    if isinstance(cell, int):
        return f"{cell:,}"
    return f"{cell:g}" if isinstance(cell, float) else str(cell).replace("|", "\\|")


def markdown(table, link):
    """The table, and which command printed it."""
    def line(cells):
        return "| " + " | ".join(cells) + " |"

    def side(k):
        cells = [row[k] for row in table["rows"] if row[k] is not None]
        return "---:" if cells and all(isinstance(cell, (int, float)) for cell in cells) else "---"

    made = [line(table["columns"]), line(side(k) for k in range(len(table["columns"])))]
    made += [line(map(cell_text, row)) for row in table["rows"]]
    source = f"Printed by `{table['command']}` ([data]({link}))."
    if len(table["rows"]) <= LONG:
        return "\n".join([f"**{table['title']}.** {source}", "", *made])
    count = f"{len(table['rows'])} rows"
    return "\n".join([f'<details markdown="1"><summary>{table["title"]}: {count}</summary>', "", source, "", *made, "",
                      "</details>"])


def on_page_markdown(text, page, config, **_):
    return LINK.sub(lambda link: markdown(read(Path(config["docs_dir"]) / link[2]), link[2]), text)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("data.py: expected NAME TITLE COMMAND")
    write(*sys.argv[1:], *from_markdown(sys.stdin.read()))
