"""Functions whose arrays or masks have a form of their own: check() with claims that say it, probe that finds it."""

import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import attnfuzz
from attnfuzz import _arrays, _trials
from attnfuzz._forms import LAYOUTS, MASK_MEANS, MASK_SHAPES, OF_ONE_QUERY, Form, groups
from attnfuzz._function import How

sys.path.insert(0, str(Path(__file__).parent))
from reference import attention


def in_order(array, have, wanted):
    """np.einsum-like: axes moved, merged, dropped and added, written apart from the code under test."""
    for letter in [each for each in "bh" if each not in wanted]:
        array, have = array.take(0, have.index(letter)), have.replace(letter, "")
    flat = wanted.replace("(", "").replace(")", "")
    array = np.moveaxis(array, [have.index(letter) for letter in flat], range(len(flat)))
    shape, at = [], 0
    for group in groups(wanted):
        shape.append(int(np.prod(array.shape[at : at + len(group)])))
        at += len(group)
    return array.reshape(shape)


def back(array, wanted, batch, heads):
    """The inverse, to bhsd."""
    flat = wanted.replace("(", "").replace(")", "")
    sizes = {"b": batch, "h": heads}
    for axis, group in enumerate(groups(wanted)):
        sizes.setdefault(group[-1], array.shape[axis] // (heads if group == "hd" else 1))
    array = array.reshape([sizes[letter] for letter in flat])
    if len(flat) == 4:
        array = np.moveaxis(array, range(4), [[*"bhsd"].index(letter) for letter in flat])
    if len(flat) < 4:
        array = array.transpose([flat.index(letter) for letter in "bhsd" if letter in flat])
        array = np.expand_dims(array, [k for k, letter in enumerate("bhsd") if letter not in flat])
    return array


def function_with(layout, means="visible", shape="bhqk"):
    """A right function of that form."""
    def fn(q, k, v, num_heads, num_kv_heads, mask=None):
        batch = 1 if "b" not in layout else None
        if batch is None:
            at = next(axis for axis, group in enumerate(groups(layout)) if "b" in group)
            batch = q.shape[at] // (num_heads if "(bh)" in layout else 1)
        q = back(q, layout, batch, num_heads)
        k, v = (back(each, layout, batch, num_kv_heads) for each in (k, v))
        seen = None
        if mask is not None:
            assert mask.ndim == len(groups(shape)), mask.shape
            seen = {"visible": lambda m: m, "hidden": lambda m: ~m, "additive": lambda m: m,
                    "ones": lambda m: m == 1.0}[means](mask)
            seen = seen.reshape([{"b": batch, "h": num_heads, "q": q.shape[2], "k": k.shape[2]}[a] if a in shape else 1
                                 for a in "bhqk"])
        out = attention(q, k, v, None, seen) if means == "additive" else attention(q, k, v, seen)
        return in_order(out, "bhsd", layout)

    return fn


def decoding(layout, keys):
    """A right function of one query in that form, which is told how many keys each batch row has."""
    with_length = "bs(hd)" if layout == "b(hd)" else layout.replace("d", "sd")
    axis = 1 if layout == "b(hd)" else -2

    def fn(q, k, v, num_heads, num_kv_heads, cache_seqlens):
        batch = len(cache_seqlens)
        q = back(np.expand_dims(q, axis), with_length, batch, num_heads)
        k, v = (back(each, keys, batch, num_kv_heads) for each in (k, v))
        assert cache_seqlens.dtype == np.int32
        seen = np.arange(k.shape[2]) < cache_seqlens[:, None, None, None]
        return in_order(attention(q, k, v, seen), "bhsd", with_length).squeeze(axis)

    return fn


ONE_QUERY = [(layout, keys) for layout, several in OF_ONE_QUERY.items() for keys in several]


@pytest.mark.parametrize("layout, keys", ONE_QUERY)
def test_layouts_of_one_query(layout, keys):
    fn = decoding(layout, keys)
    assert _trials.found(fn, How()) == {"layout": layout, "k_layout": keys}
    result = attnfuzz.check(fn, cases=40, layout=layout, k_layout=keys, features=["gqa"], isolate=False)
    assert result and result.passed == 40 and result.covered["rule:padding"] > 5, result
    lost = attnfuzz.check(lambda q, k, v, num_heads, num_kv_heads, cache_seqlens: fn(
        q, k, v, num_heads, num_kv_heads, cache_seqlens.clip(1, 5)), layout=layout, k_layout=keys, isolate=False,
                          cases=40, stop_after=1, max_shrink_tries=0)
    assert lost.verdict == "failed"


def test_gradients_in_a_layout_of_one_query():
    torch = pytest.importorskip("torch")

    def fn(q, k, v):
        scores = torch.einsum("bhd,bshd->bhs", q, k) * q.shape[-1] ** -0.5
        return torch.einsum("bhs,bshd->bhd", scores.softmax(-1), v)

    assert attnfuzz.check(fn, cases=30, layout="bhd", k_layout="bshd", gradients=True)


def test_a_layout_of_one_query_needs_that_of_the_keys():
    with pytest.raises(attnfuzz.InputError, match="layout: bhd has no axis for the keys: expected k_layout too"):
        attnfuzz.check(decoding("bhd", "bshd"), layout="bhd")


@pytest.mark.parametrize("layout", [each for each in LAYOUTS if each not in OF_ONE_QUERY])
def test_each_layout(layout):
    own = Form(layout).mask
    result = attnfuzz.check(function_with(layout, shape=own), cases=24, layout=layout, isolate=False,
                            features=["gqa"] if "h" in layout else [])
    assert result and result.passed == 24, result


@pytest.mark.parametrize("shape, means", [*zip(MASK_SHAPES, MASK_MEANS * 2)])
def test_each_mask(means, shape):
    fn = function_with("bhsd", means, shape)
    result = attnfuzz.check(fn, cases=24, mask_means=means, mask_shape=shape, isolate=False, dtype=["f32", "f16"])
    assert result and result.passed == 24, result
    other = "hidden" if means != "hidden" else "visible"
    assert not attnfuzz.check(fn, cases=12, stop_after=1, mask_means=other, mask_shape=shape, isolate=False,
                              max_shrink_tries=0)


@pytest.mark.parametrize("means, shape, found", [
    ("visible", "bhqk", {}),
    ("visible", "bk", {"mask_means": "visible", "mask_shape": "bk"}),
    ("hidden", "b1qk", {"mask_means": "hidden", "mask_shape": "b1qk"}),
    ("additive", "b11k", {"mask_means": "additive", "mask_shape": "b11k"}),
    ("additive", "bhqk", {"mask_means": "additive"}),
])
def test_trial_calls_find_the_mask(means, shape, found):
    assert _trials.found(function_with("bhsd", means, shape), How()) == found


@pytest.mark.parametrize("layout", ["bshd", "sbhd", "bs(hd)", "(bh)sd", "sd"])
def test_trial_calls_find_the_layout(layout):
    found = _trials.found(function_with(layout, "hidden", Form(layout).mask), How())
    assert found.get("layout", "bhsd") == layout and found["mask_means"] == "hidden", found


def test_a_wrong_function_has_no_form():
    assert _trials.found(lambda q, k, v, mask=None: v, How()) == {}
    assert _trials.found(lambda q, k, v, mask=None: attention(q, k, v), How()) == {}  # the mask makes no difference


def test_a_mask_bits_of_half_types():
    seen = np.array([[[[True, False]]]])
    for dtype, bits in (("f16", [0, 0xFC00]), ("bf16", [0, 0xFF80])):
        assert Form(mask_means="additive").mask_for(seen, dtype).view(np.uint16).tolist() == [[[bits]]]
    assert Form(mask_means="ones").mask_for(seen, "bf16").tolist() == [[[[0x3F80, 0]]]]


def test_what_a_failing_check_suggests():
    few = {"stop_after": 1, "max_shrink_tries": 0, "cases": 20}
    result = attnfuzz.check(lambda q, k, v, mask=None: attention(q, k, v, None if mask is None else ~mask), **few)
    assert result.verdict == "failed" and "mask_means='hidden'" in dict(result.notes)["perhaps"]
    result = attnfuzz.check(lambda q, k, v, mask=None: attention(q, k, v, mask, scale=1 / q.shape[-1]), **few)
    assert result.verdict == "failed" and "perhaps" not in dict(result.notes)


@pytest.mark.parametrize("claims, words", [
    ({"layout": "bsdh"}, "layout: expected one of bhsd, bshd, sbhd"),
    ({"layout": ["bs(hd)", "bhsd"]}, "expected one of these words"),
    ({"mask_means": "true"}, "mask_means: expected one of visible, hidden"),
    ({"layout": "sd", "batch": 2}, "batch: expected 1, since the layout sd has no axis"),
])
def test_forms_that_are_none(claims, words):
    with pytest.raises(attnfuzz.InputError, match=words):
        attnfuzz.check(attention, **claims)


def values_first(values, keys, query, mask=None):
    return attention(query, keys, values, mask)


def layer_first(layer, query_states, key_states, value_states, attention_mask: "np.ndarray | None", scaling,
                dropout=0.5):
    assert layer is None or not dropout
    return attention(query_states, key_states, value_states, None, attention_mask, scaling)


def with_a_random_key(query, key_, value, mask=None, *, key=None):
    assert key is None
    return attention(query, key_, value, mask)


def segmented(q, k, v, segment_ids: "np.ndarray | None", deterministic):
    assert segment_ids is None and deterministic is True
    return attention(q, k, v)


@pytest.mark.parametrize("fn", [values_first, with_a_random_key, segmented])
def test_parameters_are_known_by_their_names(fn):
    assert attnfuzz.check(fn, cases=30)


def test_a_layer_that_is_bound_comes_before_q():
    import functools

    result = attnfuzz.check(functools.partial(layer_first, None), cases=40, mask_means="additive")
    assert result and {"scale", "rule:causal"} <= set(result.covered), result


class Tensor:
    """An array of a package that NumPy can't read directly."""

    def __init__(self, array):
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "fb" or array.dtype.name == "bfloat16":
            raise TypeError("expected NumPy's float or bool")
        self.inner = array.copy()

    dtype = property(lambda self: "own." + self.inner.dtype.name)

    def numpy(self):
        if self.inner.dtype.name == "bfloat16":
            raise TypeError("NumPy has no bfloat16")
        return self.inner

    def cast(self, dtype):
        import ml_dtypes

        made = Tensor.__new__(Tensor)
        made.inner = self.inner.astype(ml_dtypes.bfloat16 if dtype == "own.bfloat16" else dtype)
        return made


@pytest.fixture
def own_package(monkeypatch):
    pytest.importorskip("ml_dtypes")
    package = types.ModuleType("own_arrays")
    package.Tensor, package.bfloat16, package.float32 = Tensor, "own.bfloat16", "float32"

    def own_attention(q, k, v, mask=None):
        if not all(isinstance(each, package.Tensor) for each in (q, k, v)):
            raise TypeError("expected Tensors")
        half = q.inner.dtype.name == "bfloat16"
        q, k, v = (each.inner.astype(np.float32 if half else each.inner.dtype) for each in (q, k, v))
        out = Tensor(attention(q, k, v, None if mask is None else mask.inner))
        return out.cast("own.bfloat16") if half else out

    own_attention.__module__ = Tensor.__module__ = "own_arrays"
    own_attention.__qualname__ = "attention"
    package.attention = own_attention
    monkeypatch.setitem(sys.modules, "own_arrays", package)
    yield package
    Tensor.__module__ = __name__


def test_arrays_of_a_package_that_attnfuzz_does_not_know(own_package):
    result = attnfuzz.check(own_package.attention, cases=40, dtype=["f32", "bf16"], isolate=False)
    assert result and result.arrays == "own_arrays" and "dtype:bf16" in result.covered, result
    assert _arrays.maker(own_package) is Tensor and _arrays.maker(json) is None


def test_an_output_may_lie_as_the_next_projection_wants_it():
    def swapped(q, k, v):
        return np.ascontiguousarray(attention(q, k, v).swapaxes(1, 2))

    def merged(q, k, v):
        return swapped(q, k, v).reshape(q.shape[0], q.shape[2], -1)

    for fn, out_layout in ((swapped, "bshd"), (merged, "bs(hd)")):
        assert _trials.found(fn, How()) == {"layout": "bhsd", "out_layout": out_layout}
        result = attnfuzz.check(fn, cases=30, isolate=False, layout="bhsd", out_layout=out_layout,
                                features=["head_dim_v"])
        assert result and result.passed == 30, result
    assert not attnfuzz.check(swapped, cases=4, isolate=False, max_shrink_tries=0, stop_after=1)


def test_a_mask_of_none_may_be_causal():
    def fn(q, k, v, mask=None):
        causal = np.tril(np.ones((q.shape[2], k.shape[2]), bool))
        return attention(q, k, v, causal if mask is None else mask)

    assert not attnfuzz.check(fn, cases=200, isolate=False, max_shrink_tries=0, stop_after=1)
    form = _trials.found(fn, How())
    assert form == {"layout": "bhsd", "mask_always": True, "mask_means": "visible"}
    assert attnfuzz.check(fn, cases=40, isolate=False, **form).passed == 40


class BuiltIn:
    """A function without a signature, as those built in C are."""

    __name__ = "attend"
    __qualname__ = "attend"
    __signature__ = "none"
    __doc__ = """attend(q: array, k: array, v: array, *, scale: float, mask: None | str | array = None) -> array

    Softmax attention.
    """

    def __call__(self, *arrays, scale, mask=None):
        return attention(*arrays, mask, scale=scale)


def test_parameters_are_read_from_the_documentation():
    result = attnfuzz.check(BuiltIn(), cases=30, isolate=False)
    assert result and {"scale", "rule:causal"} <= set(result.covered), result


def other_map(q, k, v):
    """Head h uses KV head h mod num_kv_heads."""
    group = q.shape[1] // k.shape[1]
    return attention(q, np.tile(k, (1, group, 1, 1)), np.tile(v, (1, group, 1, 1)))


def test_probe_finds_the_map_of_heads(monkeypatch):
    import functools

    from attnfuzz import _isolate, _probe_targets
    from attnfuzz._probe import Probe

    module = types.ModuleType("made_up")
    module.fn = functools.partial(other_map)
    monkeypatch.setitem(sys.modules, "made_up", module)
    monkeypatch.setattr(_isolate, "place_of", lambda fn: "no worker can import a module that has no file")
    target = _probe_targets.function("made_up:fn", "numpy", None, 20)
    probe = Probe("made_up", target.examine, target.can_reach, print, target.layouts, target.fixed, target.precision)
    claims = target.claims(probe.run())
    assert {"gqa", "head_map:interleaved"} <= set(claims["features"]), claims
    assert "f16" in claims["dtype"] and "precision" not in claims, claims
