"""The pytest plug-in, on test files of its own."""

import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

import attnfuzz  # noqa: F401 (imported here, once: pytester undoes the imports of a run, and NumPy bears no second one)

sys.path.insert(0, str(Path(__file__).parent))
from where import PLUGIN

pytest_plugins = "pytester"

TESTS = """
import sys
sys.path.insert(0, {tests!r})
import attnfuzz, reference

@attnfuzz.attention_test()
def test_right(q, k, v, mask=None):
    return reference.attention(q, k, v, mask)

@attnfuzz.attention_test(cases=30)
def test_wrong(q, k, v, mask=None):
    return reference.{wrong}(q, k, v, mask)

def test_another():
    assert test_right.__name__ == "test_right"
"""


@pytest.fixture
def run(pytester):
    def run(*arguments, wrong="mask_over_heads"):
        pytester.makepyfile(test_mine=TESTS.format(tests=str(Path(__file__).parent), wrong=wrong))
        sys.modules.pop("test_mine", None)
        return pytester.runpytest_inprocess(*PLUGIN, "-v", "--attnfuzz-cases=30", *arguments)

    return run


def names(result, outcome):
    return [line.split()[0].partition("::")[2] for line in result.outlines if f" {outcome}" in line and "[" in line]


def test_each_finding_is_a_test(run):
    result = run("--junitxml=junit.xml")
    result.assert_outcomes(passed=3, failed=2)
    failed = names(result, "FAILED")
    assert all(name.startswith(("test_wrong::error-", "test_wrong::shape-")) for name in failed), failed
    result.stdout.fnmatch_lines(["*cause*combined elementwise*", '*"attnfuzz": 1*'])
    tests = ElementTree.parse(result_file(result)).getroot().iter("testcase")
    assert sum(test.find("failure") is not None for test in tests) == 2


def result_file(result):
    return Path("junit.xml")  # pytester works in the test's own folder


def test_findings_are_remembered_until_they_pass(run):
    first = names(run(), "FAILED")
    again = run("--collect-only")
    assert [line.strip() for line in again.outlines if "<FindingItem" in line] == [
        f"<FindingItem {name.partition('::')[2]}>" for name in sorted(first)
    ]
    run().assert_outcomes(passed=3, failed=2)  # each is reported once
    run("--last-failed").assert_outcomes(failed=2)
    fixed = run(wrong="attention")
    fixed.assert_outcomes(passed=5)
    run(wrong="attention").assert_outcomes(passed=3)


def test_one_finding_by_its_name(run):
    name = names(run(), "FAILED")[0]
    run(f"test_mine.py::{name}").assert_outcomes(failed=1)


def test_options(run, pytester):
    result = run("--attnfuzz-cases=7", "--attnfuzz-seed=3", "--junitxml=junit.xml", "-k", "right")
    result.assert_outcomes(passed=1, deselected=2)
    cases = ElementTree.parse("junit.xml").getroot().find(".//property[@name='attnfuzz_cases']")
    assert cases.get("value") == "7"
    pytester.runpytest_inprocess(*PLUGIN, "--help").stdout.fnmatch_lines(["*--attnfuzz-cases*"])


def test_wrong_claims_are_told_without_a_traceback(pytester):
    pytester.makepyfile("""
        import attnfuzz
        @attnfuzz.attention_test(heads=3)
        def test_mine(q, k, v): return v
    """)
    result = pytester.runpytest_inprocess(*PLUGIN)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*heads is no capability*"])
    result.stdout.no_fnmatch_line("*_claims.py*")


def test_a_case_that_is_not_claimed_any_more_is_skipped(run, pytester):
    run().assert_outcomes(passed=3, failed=2)
    text = Path("test_mine.py").read_text().replace("cases=30", "cases=30, head_dim=64")
    Path("test_mine.py").write_text(text)
    sys.modules.pop("test_mine", None)
    result = pytester.runpytest_inprocess(*PLUGIN)
    assert result.parseoutcomes()["skipped"] >= 2


def test_methods_and_no_cache(pytester):
    pytester.makepyfile("""
        import attnfuzz
        class TestMine:
            @staticmethod
            @attnfuzz.attention_test(cases=3)
            def test_wrong(q, k, v): return v[:, :, :1]

            @attnfuzz.attention_test(cases=3, q_len=1, kv_len=1)
            def test_right(self, q, k, v): return v + self.zero()

            def zero(self): return 0
    """)
    result = pytester.runpytest_inprocess(*PLUGIN, "-p", "no:cacheprovider")
    outcomes = result.parseoutcomes()
    assert outcomes["failed"] >= 1 and outcomes["passed"] == 2
