"""The table of the campaigns, without running one."""
import json
import re
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import campaigns  # noqa: E402
import env  # noqa: E402

DATA = tomllib.loads(campaigns.TABLE.read_text())
ENTRY = {"target": "p:t", "environment": "p-1.2.0", "minutes": 1}


def summary(*signatures: str) -> dict:
    counts = {"cases": 5, "passed": 3, "skipped": 1, "failed": 1, "seconds": 90.0}
    return {"targets": [counts], "seed": 1, "findings": [{"signature": s, "version": "1.2"} for s in signatures]}


def test_a_row_names_what_each_finding_is():
    row = campaigns.row(ENTRY, summary("error-1", "error-2", "error-3"), {"error-1": "a-bug", "error-3": "a-bug"})
    assert row["findings"] == {"a-bug": ["error-1", "error-3"], "not judged": ["error-2"]}
    assert (row["minutes"], row["version"]) == (1.5, "1.2")
    text = campaigns.markdown([row])
    assert "| p:t | p-1.2.0 | 1.2 | 1.5 | 5 | 3 | 1 | 1 | a-bug (`error-1`, `error-3`); not judged (`error-2`) |" in text


def test_a_campaign_without_a_finding_has_its_environments_version():
    assert campaigns.row(ENTRY, summary(), {})["version"] == "1.2.0"


def test_what_is_there_is_not_run_again(tmp_path, monkeypatch):
    ran = []
    monkeypatch.setattr(campaigns, "run", lambda entry, *_: ran.append(campaigns.name(entry)))
    there = campaigns.folder(tmp_path, DATA["campaign"][0])
    there.mkdir(parents=True)
    (there / "summary.json").write_text('{"targets": [{"cases": 1, "passed": 1, "skipped": 0, "failed": 0, "seconds": 1}], '
                                        '"seed": 1, "findings": []}')
    assert campaigns.main(["--out", str(tmp_path)]) == 1  # those that ran gave no summary
    assert ran == [campaigns.name(entry) for entry in DATA["campaign"][1:]]


def test_a_row_that_was_not_run_now_is_kept(tmp_path):
    table = tmp_path / "campaigns.json"
    row = campaigns.row(DATA["campaign"][0], summary(), {})
    table.write_text(json.dumps([row]))
    assert campaigns.main(["--out", str(tmp_path), "--no-run", "--json", str(table)]) == 0
    assert json.loads(table.read_text()) == [row]


def test_an_interrupted_campaign_is_run_again(tmp_path, monkeypatch):
    ran = []
    monkeypatch.setattr(campaigns, "run", lambda entry, *_: ran.append(campaigns.name(entry)))
    there, word = campaigns.folder(tmp_path, DATA["campaign"][0]), campaigns.name(DATA["campaign"][0])
    there.mkdir(parents=True)
    for text in (summary() | {"interrupted": True}, summary() | {"targets": []}):
        (there / "summary.json").write_text(json.dumps(text))
        campaigns.main(["--out", str(tmp_path), "--only", word])
    assert ran == [word, word]


def test_rows_that_are_not_asked_for_stay(tmp_path):
    table, rows = tmp_path / "campaigns.json", [campaigns.row(entry, summary(), {}) for entry in DATA["campaign"][:2]]
    table.write_text(json.dumps(rows))
    campaigns.main(["--out", str(tmp_path), "--no-run", "--only", campaigns.name(DATA["campaign"][1]), "--json", str(table)])
    assert json.loads(table.read_text()) == rows


def test_a_budget_is_of_cases_or_of_minutes():
    assert campaigns.budget({"cases": 1000}, 0.5) == ["--cases", "500"]
    assert campaigns.budget({"minutes": 2.5}, 2) == ["--time", "300s"]


def test_the_table_is_of_environments_and_findings_that_are_there():
    known = env.table()
    assert {entry["environment"] for entry in DATA["campaign"]} <= {*known["env"], *known["base"]}
    headings = set(re.findall(r"^## ([\w-]+):", (HERE.parents[2] / "docs" / "findings.md").read_text(), re.MULTILINE))
    assert set(DATA["judged"].values()) <= headings
