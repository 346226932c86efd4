"""`attnfuzz compare` on pairs of small adapters."""

import json

from judge_test import adapters, attnfuzz  # noqa: F401


def test_compare_shrinks_what_differs(adapters, tmp_path):
    done = attnfuzz("compare", "pair:right", "pair:late", "--cases", "60", "--json", "--out", tmp_path / "out", env=adapters)
    assert done.returncode == 1, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert result["cases"] == 60 and result["differ"] > 0
    assert result["same_bits"] + result["within_bounds"] + result["differ"] + result["skipped"] == 60
    least = result["differences"][0]
    assert (least["first"], least["second"]) == ("pass", "fail:mismatch")
    problem = least["case"]["problem"]
    assert (problem["kv_len"], problem["q_len"], problem["head_dim"], problem["batch"]) == (4, 1, 1, 1)
    assert (tmp_path / "out" / "difference-1.case.json").exists()
    again = attnfuzz("compare", "pair:right", "pair:late", "--case", tmp_path / "out" / "difference-1.case.json", env=adapters)
    assert again.returncode == 1 and "1 differ" in again.stdout, again.stdout + again.stderr


def test_compare_tells_other_bits_only_when_asked(adapters):
    done = attnfuzz("compare", "pair:right", "pair:last-bit", "--cases", "30", env=adapters)
    assert done.returncode == 0 and " 0 differ" in done.stdout and "within the bounds (at most" in done.stdout, done.stdout + done.stderr
    done = attnfuzz("compare", "pair:right", "pair:last-bit", "--cases", "30", "--bitwise", env=adapters)
    assert done.returncode == 1 and "1. " in done.stdout, done.stdout + done.stderr
    assert attnfuzz("compare", "pair:right", "pair:right", "--cases", "30", "--bitwise", env=adapters).returncode == 0
    assert attnfuzz("compare", "pair:right", "no:such", env=adapters).returncode == 2
