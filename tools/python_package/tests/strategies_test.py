"""The Hypothesis strategies."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("hypothesis")
from hypothesis import HealthCheck, find, given, settings

import attnfuzz
from attnfuzz.strategies import cases, inputs

sys.path.insert(0, str(Path(__file__).parent))
from reference import attention, double_scale

LIMITS = settings(max_examples=60, deadline=None, database=None, derandomize=True,
                  suppress_health_check=list(HealthCheck))
CLAIMS = {"head_dim": (1, 16), "rules": ["causal", "boolean"], "features": ["gqa", "boolean.shape:bqk"]}
seen = set()


@LIMITS
@given(cases(**CLAIMS))
def test_cases_are_inside_the_claims(case):
    assert 1 <= case.problem["head_dim"] <= 16
    seen.update(case.features)
    t = case.inputs()
    case.check(attention(t["q"], t["k"], t["v"], t.get("mask")))


def test_the_claims_are_used():
    test_cases_are_inside_the_claims()
    assert {"gqa", "rule:causal", "rule:boolean"} <= seen, seen


@LIMITS
@given(inputs("numpy"))
def test_inputs_come_with_their_case(pair):
    case, tensors = pair
    assert tensors["q"].shape[0] == case.problem["batch"]


def test_what_hypothesis_finds_is_shrunk_by_replay():
    def wrong(case):
        t = case.inputs()
        try:
            case.check(double_scale(t["q"], t["k"], t["v"]))
        except AssertionError:
            return True
        return False

    case = find(cases(head_dim=(2, 16)), wrong, settings=settings(LIMITS, max_examples=300))
    finding = attnfuzz.replay(double_scale, case, max_shrink_tries=2000)
    assert finding.case.problem["kv_len"] <= 3 and "gqa" not in finding.case.features, (case, finding)


def test_claims_that_are_none():
    with pytest.raises(attnfuzz.InputError, match="cases.*gqqa"):
        cases(features="gqqa")
