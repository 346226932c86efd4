"""`attnfuzz ci`: what a job sees of it."""
import json
import os
import pathlib
import shutil

import jsonschema
import pytest
from program import ROOT, attnfuzz, signatures, summary

SCHEMAS = pathlib.Path(__file__).parent / "schemas"
BUGGY, RIGHT = "specimen:gqa-tiled-heads", "fixed:gqa-tiled-heads"


@pytest.fixture
def base(tmp_path):
    """A folder with one case that the specimen fails."""
    folder = tmp_path / "base"
    folder.mkdir()
    found = tmp_path / "found"
    attnfuzz("run", "-t", BUGGY, "--cases", 300, "--seed", 1, "--no-corpus", "-q", "--out", found, expect=1)
    case = next(found.glob("findings/*/case.json"))
    shutil.copy(case, folder / "old-bug.case.json")
    return folder


def ci(*words, expect, out, **environment):
    return attnfuzz("ci", "--budget", "500ms", "--seed", 1, "--out", out, *words, expect=expect, **environment)


def validate_junit(file):
    xmlschema = pytest.importorskip("xmlschema", reason="xmlschema is not installed")
    xmlschema.validate(str(file), str(SCHEMAS / "junit.xsd"))


def validate_sarif(file):
    log = json.loads(file.read_text())
    jsonschema.validate(log, json.loads((SCHEMAS / "sarif.schema.json").read_text()))
    if standard := os.environ.get("ATTNFUZZ_SARIF_SCHEMA"):  # the standard's own, where there is a copy
        jsonschema.validate(log, json.loads(pathlib.Path(standard).read_text()))
    return log["runs"][0]["results"]


def test_regressions_come_first_and_fail_the_job(base, tmp_path):
    out = tmp_path / "out"
    page = tmp_path / "summary.md"
    ci("-t", BUGGY, "--base", base, expect=1, out=out, GITHUB_STEP_SUMMARY=str(page))
    findings = summary(out)["findings"]
    assert findings[0]["corpus"] == "old-bug.case.json"
    validate_junit(out / "junit.xml")
    results = validate_sarif(out / "results.sarif")
    assert {r["baselineState"] for r in results} == {"new"}
    assert page.read_text() == (out / "job-summary.md").read_text()
    assert "new finding" in page.read_text() and "old-bug.case.json" in page.read_text()


def test_what_is_right_passes(base, tmp_path):
    ci("-t", RIGHT, "--base", base, expect=0, out=tmp_path / "out")
    validate_junit(tmp_path / "out" / "junit.xml")
    assert validate_sarif(tmp_path / "out" / "results.sarif") == []
    assert "no new finding" in (tmp_path / "out" / "job-summary.md").read_text()


def test_known_findings_do_not_fail_the_job(base, tmp_path):
    known = tmp_path / "known.json"
    ci("-t", BUGGY, "--base", base, "--baseline", known, "--update-baseline", expect=0, out=tmp_path / "1")
    assert len(json.loads(known.read_text())["findings"]) == len(signatures(tmp_path / "1"))
    printed = ci("-t", BUGGY, "--base", base, "--baseline", known, expect=0, out=tmp_path / "2").stdout
    assert "0 new, " in printed
    assert "<skipped" in (tmp_path / "2" / "junit.xml").read_text()
    validate_junit(tmp_path / "2" / "junit.xml")
    results = validate_sarif(tmp_path / "2" / "results.sarif")
    assert {r["baselineState"] for r in results} == {"unchanged"} and all(r["suppressions"] for r in results)
    known.write_text('{"attnfuzz_baseline": 1, "findings": []}')
    ci("-t", BUGGY, "--base", base, "--baseline", known, expect=1, out=tmp_path / "3")


def test_a_case_of_the_base_is_run_by_one_shard(base, tmp_path):
    corpus = set()
    for k in (1, 2):
        done = ci("-t", BUGGY, "--base", base, "--shard", f"{k}/2", expect=1, out=tmp_path / str(k))
        assert done.returncode == 1
        corpus |= {(k, f["corpus"]) for f in summary(tmp_path / str(k))["findings"] if f["corpus"]}
    assert len(corpus) == 1


@pytest.mark.parametrize("words, says", [
    (["--base", "/nowhere"], "/nowhere: expected a folder of cases"),
    (["--budget", "soon"], "--budget: expected a duration"),
    (["--baseline", "/nowhere.json"], "/nowhere.json: expected a readable file"),
    (["--update-baseline"], "--update-baseline: expected --baseline FILE too"),
])
def test_wrong_usage(tmp_path, words, says):
    done = attnfuzz("ci", "-t", "cpu:naive", "--out", tmp_path / "out", *words, expect=2)
    assert says in done.stderr


def test_the_log_tells_of_workers_that_die(tmp_path):
    done = attnfuzz("--log-level", "info", "ci", "-t", "hostile:abort", "--budget", "500ms", "--base", tmp_path, "--out",
                    tmp_path / "out", expect=1)
    assert "the worker ended" in done.stderr and "a new worker is process" in done.stderr


def test_files_for_ci_systems_are_well_formed():
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    for file in ("action.yml", "tools/ci/gitlab.yml", ".clusterfuzzlite/project.yaml"):
        assert isinstance(yaml.safe_load((ROOT / file).read_text()), dict)
