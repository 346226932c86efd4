"""What trial calls find out of a function: its parameters of unknown names, and what it does without being told."""

import sys
from pathlib import Path

import numpy as np
import pytest

import attnfuzz
from attnfuzz import _probe_targets, _trials
from attnfuzz._function import How
from attnfuzz._probe import Probe
from attnfuzz._signature import class_of

sys.path.insert(0, str(Path(__file__).parent))
from reference import attention


def causal(q, k, v):
    return attention(q, k, v, np.tril(np.ones((q.shape[2], k.shape[2]), bool)))


def unscaled(q, k, v):
    return attention(q, k, v, scale=1.0)


def transposed_keys(q, k, v):
    return attention(q, k.swapaxes(2, 3), v)


def decode(q, k, v):
    if q.shape[2] != 1:
        raise ValueError("expected one query")
    return attention(q, k, v)


def keep_and_temperature(q, k, v, keep, temp):
    return attention(q, k, v, keep, scale=temp)


def hidden_keys(q, k, v, gone: np.ndarray):
    return attention(q, k, v, ~gone[:, None, None, :])


def rows_of(n, k, v):
    return np.arange(k.shape[2]) < np.reshape(n, (-1, 1, 1, 1))


def counted(q, k, v, n, temp):
    if n.ndim != 1 or n.dtype != np.int32:
        raise ValueError("expected the keys of each row")
    return attention(q, k, v, rows_of(n, k, v), scale=temp)


def listed(q, k, v, real: list[int]):
    return attention(q, k, v, rows_of([real[b] for b in range(len(q))], k, v))


def flagged(q, k, v, lower: bool):
    return causal(q, k, v) if lower else attention(q, k, v)


def flag_of_no_meaning(q, k, v, verbose: bool):
    return attention(q, k, v)


def length_first(q, k, v):
    return attention(*(each.swapaxes(1, 2) for each in (q, k, v))).swapaxes(1, 2)


class KeyMask:
    """A class of its own that holds a mask."""

    def __init__(self, seen):
        if seen.ndim != 2:
            raise ValueError("expected a mask [batch, kv_len]")
        self.seen = seen

    @property
    def shape(self):
        return self.seen.shape


class OwnArray(KeyMask):
    """An array of its own, not a class that holds one."""

    def __mul__(self, other):
        return OwnArray(self.seen * other)


def own_array(q, k, v, mask: "OwnArray"):
    return v


def held_mask(q, k, v, mask: "KeyMask"):
    return attention(q, k, v, mask.seen[:, None, None, :])


FOUND = [
    (held_mask, {"mask_means": "visible", "mask_shape": "bk"}),
    (causal, {"always": ["causal"]}),
    (unscaled, {"scaled_q": True}),
    (transposed_keys, {"layout": "bhsd", "k_layout": "bhds"}),
    (decode, {"q_len": 1}),
    (keep_and_temperature, {"parameters": {"keep": "mask", "temp": "scale"}}),
    (hidden_keys, {"mask_means": "hidden", "mask_shape": "bk", "parameters": {"gone": "mask"}}),
    (flagged, {"parameters": {"lower": "causal"}}),
    (counted, {"parameters": {"n": "cache_seqlens", "temp": "scale"}}),
    (listed, {"parameters": {"real": "lens"}}),
    (flag_of_no_meaning, {"parameters": {"verbose": "false"}}),
]


@pytest.mark.parametrize("fn, claims", FOUND, ids=lambda each: getattr(each, "__name__", ""))
def test_trial_calls_find_it_and_check_takes_it(fn, claims):
    assert _trials.found(fn, How()) == claims
    result = attnfuzz.check(fn, cases=40, **claims)
    assert result and result.passed + result.declined == 40 and result.passed >= 25, result
    for word in claims.get("always", ()):
        assert result.covered[f"rule:{word}"] == 40


@pytest.mark.parametrize("fn, claims", FOUND, ids=lambda each: getattr(each, "__name__", ""))
def test_a_bug_is_found_beside_what_is_claimed(fn, claims):
    def fifth_key_is_lost(q, k, v, *more, **keywords):
        v = v.copy()
        v[:, :, 4:5] = 0
        return fn(q, k, v, *more, **keywords)

    fifth_key_is_lost.__wrapped__ = fn  # its signature
    assert not attnfuzz.check(fifth_key_is_lost, cases=60, stop_after=1, max_shrink_tries=0, **claims)


def test_classes_that_hold_a_mask():
    assert class_of(held_mask, "mask") is KeyMask
    assert class_of(own_array, "mask") is None and class_of(hidden_keys, "gone") is None


def test_what_is_wrong_stays_wrong():
    def other_scale(q, k, v, keep):
        return attention(q, k, v, keep, scale=3.3)

    assert _trials.found(lambda q, k, v: attention(q, k, v, scale=3.3), How()) == {}
    assert _trials.found(other_scale, How()) == {}
    assert _trials.found(lambda q, k, v, anything: v, How()) == {}


def test_probe_claims_it():
    for fn, found in ((causal, "align:top_left"), (unscaled, "cross"), (decode, "cross"),
                      (length_first, "layout:bshd")):
        target = _probe_targets.function(f"{__name__}:{fn.__name__}", None, None, 20)
        learned = Probe(fn.__name__, target.examine, target.can_reach, lambda line: None, target.layouts,
                        target.fixed, target.precision, target.always).run()
        assert found in learned.right, learned
        claims = target.claims(learned)
        assert attnfuzz.check(fn, cases=30, **claims), claims


def unlike_anything(q, k, v, anything):
    return v


def test_probe_says_that_trial_calls_found_no_meaning():
    with pytest.raises(attnfuzz.InputError, match="parameter anything; .*trial calls were right with none"):
        _probe_targets.function(f"{__name__}:unlike_anything", None, None, 20)


@pytest.mark.parametrize("claims, words", [
    ({"parameters": {"kept": "mask"}}, "parameters: the function has no parameter kept"),
    ({"parameters": {"keep": "masks", "temp": "scale"}}, "parameters: keep: expected one of q, k, v, none, true"),
    ({}, "hand to the required parameters keep, temp; expected .*parameters={'keep': 'mask'}; .attnfuzz probe. looks"),
])
def test_claims_of_parameters_that_are_none(claims, words):
    with pytest.raises(attnfuzz.InputError, match=words):
        attnfuzz.check(keep_and_temperature, **claims)


def test_gradients_through_a_checkpoint_that_refuses_chosen_inputs():
    torch = pytest.importorskip("torch")
    from torch.utils.checkpoint import checkpoint

    class Layer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.factor = torch.nn.Parameter(torch.ones(()))

        def inner(self, q, k, v):
            return torch.softmax(q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5, -1) @ v * self.factor

        def forward(self, q, k, v):
            return checkpoint(self.inner, q, k, v, use_reentrant=True)

    layer = Layer()
    layer.factor.grad = torch.full((), 7.0)
    assert attnfuzz.check(layer, cases=30, gradients=True) and layer.factor.grad == 7


def test_dq_of_a_function_that_does_not_scale():
    torch = pytest.importorskip("torch")

    def fn(q, k, v):
        return torch.softmax(q @ k.transpose(-1, -2), -1) @ v

    assert attnfuzz.check(fn, cases=40, gradients=True, scaled_q=True)


def test_a_layer_with_projections():
    torch = pytest.importorskip("torch")

    class Sharper(torch.nn.MultiheadAttention):
        """Wrong: scaled twice."""

        def forward(self, query, key, value):
            return super().forward(query * 2, key, value, need_weights=False)

    for options, layout in (({"batch_first": True}, "bs(hd)"), ({}, "sb(hd)")):
        layer = torch.nn.MultiheadAttention(24, 3, **options).eval()
        before = layer.in_proj_weight.clone()
        claims = _trials.found(layer, How())
        assert claims == {"projections": "identity", "layout": layout, "num_heads": 3, "num_kv_heads": 3, "head_dim": 8,
                          "mask_means": "hidden", "mask_shape": "(bh)qk", "parameters": {"is_causal": "false"}}
        assert attnfuzz.check(layer, cases=60, **claims)
        assert torch.equal(layer.in_proj_weight, before)
        plain = {name: claim for name, claim in claims.items() if not name.startswith(("mask_", "parameters"))}
        assert not attnfuzz.check(Sharper(24, 3, **options), cases=20, stop_after=1, max_shrink_tries=0, **plain)
    with pytest.raises(attnfuzz.InputError, match="expected a layer of PyTorch with linear layers"):
        attnfuzz.check(attention, projections="identity")
