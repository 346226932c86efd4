"""The measured tables: each data file is one and is shown, and the scripts that measure write them."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "docs" / "data").glob("*.json"))
SPEC = importlib.util.spec_from_file_location("tables", Path(__file__).with_name("tables.py"))
tables = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(tables)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_data_file_is_one_and_a_page_shows_it(file):
    assert tables.read(file)["rows"]
    shown = [link for page in ROOT.glob("docs/*.md") for _, link in tables.LINK.findall(page.read_text())]
    assert shown.count(f"data/{file.name}") == 1


def test_a_link_alone_on_its_line_becomes_the_table(tmp_path):
    (tmp_path / "data").mkdir()
    text = json.dumps(tables.table("Speeds", "measure.sh", ["what", "cases", "rate"], [["a|b", 12345, 0.5], ["c", None, 2.0]]))
    (tmp_path / "data" / "speed.json").write_text(text)
    config = {"docs_dir": str(tmp_path)}
    page = tables.on_page_markdown("Before.\n\n[Speeds](data/speed.json)\n\nsee [x](data/speed.json).\n", None, config)
    assert page == ("Before.\n\n**Speeds.** Printed by `measure.sh` ([data](data/speed.json)).\n\n| what | cases | rate |\n"
                    "| --- | ---: | ---: |\n| a\\|b | 12,345 | 0.5 |\n| c | – | 2 |\n\nsee [x](data/speed.json).\n")


def test_a_long_table_is_folded_up():
    made = tables.table("Many", "m.sh", ["n"], [[n] for n in range(tables.LONG + 1)])
    assert tables.markdown(made, "data/m.json").startswith('<details markdown="1"><summary>Many: 41 rows</summary>')


@pytest.mark.parametrize("text, words", [
    ("{", "expected a table as JSON"),
    ('{"rows": []}', "expected an object with columns, command, rows, title"),
    ('{"title": "", "command": "", "columns": ["a"], "rows": [[1], [1, 2]]}', r"rows\[1\]: expected 1 cells, found 2"),
])
def test_a_file_that_is_none_is_told(tmp_path, text, words):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(SystemExit, match=words):
        tables.read(tmp_path / "x.json")


@pytest.fixture
def tree(tmp_path):
    """A tree with the scripts that make tables, which write into its docs/."""
    for folder in ("tools/bench", "tools/docs"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("*.cpp", "__pycache__"))
    (tmp_path / "docs").mkdir()
    return tmp_path


def run(tree, script, *arguments, stdin=""):
    done = subprocess.run([sys.executable, "-B", tree / "tools" / script, *map(str, arguments)], capture_output=True, text=True,
                          input=stdin)
    assert done.stderr == ""
    return done


def written(tree, name):
    return tables.read(tree / "docs" / "data" / f"{name}.json")


def columns(name):
    return tables.read(ROOT / "docs" / "data" / f"{name}.json")["columns"]


def test_false_alarms_are_written(tree):
    for name, ratio in (("cpu:naive", 0.25), ("fixed:a", None)):
        folder = tree / "out" / name
        folder.mkdir(parents=True)
        target = {"target": name, "cases": 12000, "failed": 1, "skipped": 0, "worst_ratio": ratio}
        (folder / "summary.json").write_text(json.dumps({"targets": [target]}))
    done = run(tree, "bench/false_alarms_table.py", "--update", tree / "out", 100, 1)
    assert done.returncode == 1 and "| cpu:naive | 12,000 | 1 | 0 | 0.25 |" in done.stdout
    made = written(tree, "false-alarms")
    assert made["command"] == "tools/bench/false_alarms.sh --update 100 1" and made["columns"] == columns("false-alarms")
    assert made["rows"] == [["cpu:naive", 12000, 1, 0, 0.25], ["1 specimens' mended forms", 12000, 1, 0, "∞"],
                            ["all", 24000, 2, 0, "∞"]]


def test_sharpness_is_written(tree):
    target = {"target": "cpu:naive", "dtype": "f32", "elements": 5, "median": 0.000171, "p999": 0.0221, "max": 0.5,
              "worst": "b1: 2 for 1", "curve": [[0.1, 0.5]]}
    (tree / "targets.jsonl").write_text(json.dumps(target) + "\n")
    rows = [{"precision": "f32", "length": n, "dropped": d, "doubled": d, "changed": 100} for n, d in ((4, 99), (8, 0))]
    (tree / "keys.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert run(tree, "bench/sharpness_table.py", "--update", tree, 50, 1).returncode == 0
    assert written(tree, "sharpness")["rows"] == [["cpu:naive", "f32", 5, 0.00017, 0.022, 0.5]]
    assert written(tree, "one-key")["rows"] == [["f32", "99.0 / 99.0 (100.0)", "0.0 / 0.0 (100.0)", 4]]
    assert written(tree, "sharpness")["columns"] == columns("sharpness")
    assert written(tree, "sharpness-largest")["rows"] == [["cpu:naive", "f32", "`b1: 2 for 1`"]]
    assert "<svg" in (tree / "docs" / "numerics.svg").read_text()


def test_the_zoo_is_written(tree):
    hunted = [{"name": "scale-missing", "kernel": "cpu:naive", "found": 3, "weight": 1, "case": "b1", "minimal": True,
               "causes": ["scale-missing"], "first": True, "among": True},
              {"name": "new", "kernel": "cpu:tiled", "found": None, "weight": None, "causes": []}]
    (tree / "attnfuzz.jsonl").write_text("\n".join(map(json.dumps, hunted)))
    (tree / "grid.jsonl").write_text(json.dumps({"name": "scale-missing", "found": None, "cases": 72}))
    assert run(tree, "bench/zoo/zoo_table.py", "--update", tree, 100, 10, 1).returncode == 0
    made = written(tree, "zoo-mutants")
    assert made["rows"] == [
        ["scale-missing", "cpu:naive", 3, None, "not found", "`b1`", 1, 1, "`scale-missing`"],
        ["new", "cpu:tiled", "not found", None, None, None, None, None, None]]
    assert made["columns"] == columns("zoo-mutants")
    assert ["found", "1 (50.0 %)", "not run", "0 of 1 (0.0 %)"] in written(tree, "zoo-summary")["rows"]


def test_a_printed_table_is_taken(tree):
    printed = "| claims | goals |\n|---|---|\n| 32/8 × 128 | 1,091 |\n| x | – |\n"
    assert run(tree, "docs/tables.py", "reach", "Goals", "reach.sh 1", stdin=printed).returncode == 0
    assert written(tree, "reach") == tables.table("Goals", "reach.sh 1", ["claims", "goals"], [["32/8 × 128", 1091], ["x", None]])


def test_the_columns_of_reach_are_those_that_its_program_prints():
    printed = (ROOT / "tools" / "bench" / "reach_table.cpp").read_text()
    heads = [cell.strip() for cell in re.search(r"\| claims \|[^\"]*", printed)[0].strip("|\\n ").split("|")]
    assert heads == columns("reach")
