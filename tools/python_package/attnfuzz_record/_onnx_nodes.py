"""ONNX's attention operators as calls: by the operators' documentation (ai.onnx Attention 23 to 25, ai.onnx.preview
FlexAttention, com.microsoft MultiHeadAttention and GroupQueryAttention of ONNX Runtime)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Optional

import numpy as np

from attnfuzz_record._arrays import Array
from attnfuzz_record._call import Call
from attnfuzz_record._errors import NotSaid
from attnfuzz_record._score_mod import add_score_mod

UNBOUNDED = 2147483647
Inputs = list[Optional[Array]]


def heads(array: Optional[Array], count: int) -> Array:
    """[batch, len, heads · dim] (or four axes already) as [batch, heads, len, dim]."""
    if array is None:
        raise NotSaid("a node without a tensor for q, k or v")
    if len(array.shape) == 4:
        return array
    batch, length, hidden = array.shape
    return array.of(array.data.reshape(batch, length, count, hidden // count).swapaxes(1, 2))


def with_past(past: Optional[Array], new: Array) -> Array:
    return new if past is None else new.of(np.concatenate((past.data, new.data), axis=2))


def attention(attributes: dict[str, Any], inputs: Inputs) -> Call:
    """ai.onnx Attention. Key j is not after query i if j <= i + offset; the offset is the past's length, or in each row
    nonpad_kv_seqlen - q_len, or 0. A row without keys gives zeros.
    """
    q, k, v, mask, past_k, past_v, lens = (*inputs, *[None] * 7)[:7]
    groups = attributes.get("kv_num_heads", 0)
    q, k, v = heads(q, attributes.get("q_num_heads", 0)), heads(k, groups), heads(v, groups)
    new = k.shape[2]
    call = Call("ai.onnx Attention", q, with_past(past_k, k), with_past(past_v, v), fully_masked="zero",
                align="top_left", scale=attributes.get("scale"), softcap=attributes.get("softcap", 0.0))
    left, right = attributes.get("left_window_size", -1), attributes.get("right_window_size", -1)
    rules: list[dict[str, Any]] = [{"rule": "causal"}] if attributes.get("is_causal") else []
    if max(left, right) >= 0:
        left, right = (size if size >= 0 else UNBOUNDED for size in (left, right))
        rules.append({"rule": "window", "left": left, "right": right})
    q_len, kv_len = call.sizes["q_len"], call.sizes["kv_len"]
    if lens is not None:
        call.rules.append({"rule": "padding", "side": "right", "lens": [int(n) for n in lens.data.reshape(-1)]})
        if rules:
            call.add_mask(visible(rules, lens.data.reshape(-1, 1) - q_len, q_len, kv_len))
    elif past_k is None:
        call.rules += rules
    elif new == q_len:
        call.rules, call.align = call.rules + rules, "bottom_right"
    elif rules:
        call.add_mask(visible(rules, np.array([[past_k.shape[2]]]), q_len, kv_len))
    if mask is not None:
        add_mask(call, mask, kv_len)
    return call


def visible(rules: list[dict[str, Any]], offset: Any, q_len: int, kv_len: int) -> Any:
    """[batch or 1, 1, q_len, kv_len]: the rules at an offset of each row, [batch or 1, 1]."""
    position = (np.arange(q_len) + offset)[:, None, :, None]
    key = np.arange(kv_len)
    seen = np.ones((*position.shape[:3], kv_len), bool)
    for rule in rules:
        if rule["rule"] == "causal":
            seen &= key <= position
        else:
            seen &= (key >= position - rule["left"]) & (key <= position + rule["right"])
    return seen


def add_mask(call: Call, mask: Array, kv_len: int) -> None:
    """A mask that may be shorter than the keys: those beyond it are hidden."""
    missing = kv_len - mask.shape[-1] if mask.shape[-1] > 1 or kv_len == 1 else 0
    data = mask.data if len(mask.shape) > 1 else mask.data[None]
    if missing > 0:
        hides = np.zeros(call.sizes["kv_len"], bool)
        hides[:mask.shape[-1]] = True
        call.add_mask(hides[None])
        data = np.pad(data, [(0, 0)] * (data.ndim - 1) + [(0, missing)])
    if mask.dtype == "bool":
        call.add_mask(data)
    else:
        before = call.fully_masked
        call.add_additive(mask.of(data), before)


def flex_attention(attributes: dict[str, Any], inputs: Inputs, ask: Optional[Callable[[Any, Any], Any]] = None) -> Call:
    """ai.onnx.preview FlexAttention. ask: runs a graph (score_mod) on an array."""
    if "prob_mod" in attributes:
        raise NotSaid("a prob_mod: what is done to the weights after the softmax")
    q, k, v = (heads(each, 0) for each in inputs[:3])
    call = Call("ai.onnx.preview FlexAttention", q, k, v, fully_masked="zero", scale=attributes.get("scale"))
    if (graph := attributes.get("score_mod")) is not None:
        if ask is None or q.dtype not in ("f64", "f32"):
            raise NotSaid(f"a score_mod in {q.dtype}")
        shape, run = (*q.shape[:3], k.shape[2]), ask
        add_score_mod(call, lambda score: np.asarray(run(graph, np.full(shape, score, q.data.dtype)), np.float64))
    return call


def multi_head_attention(attributes: dict[str, Any], inputs: Inputs) -> Call:
    """com.microsoft MultiHeadAttention."""
    q, k, v, projection, padding, bias, past_k, past_v = (*inputs, *[None] * 8)[:8]
    if projection is not None:
        raise NotSaid("a node that adds a bias to q, k and v")
    count = attributes["num_heads"]
    q, k, v = (heads(each, count) for each in (q, k, v))
    square = q.shape[2] == k.shape[2]
    call = Call("com.microsoft MultiHeadAttention", q, with_past(past_k, k), with_past(past_v, v),
                scale=attributes.get("scale") or None)
    if attributes.get("unidirectional"):
        if not square:
            raise NotSaid("unidirectional where q_len is not the number of new keys")
        call.rules.append({"rule": "causal"})
    if padding is not None:
        add_padding(call, padding)
    if bias is not None:
        call.add_additive(bias)
    return call


def add_padding(call: Call, padding: Array) -> None:
    """key_padding_mask: lengths, [batch, kv_len] or [batch, q_len, kv_len]; what else it may be is not said."""
    batch, kv_len = call.sizes["batch"], call.sizes["kv_len"]
    if padding.shape == (batch,):
        call.rules.append({"rule": "padding", "side": "right", "lens": [int(n) for n in padding.data]})
    elif padding.shape in ((batch, kv_len), (batch, call.sizes["q_len"], kv_len)):
        call.add_mask((padding.data != 0).reshape(batch, 1, -1, kv_len))
    else:
        raise NotSaid(f"a key_padding_mask of shape {list(padding.shape)}")


def group_query_attention(attributes: dict[str, Any], inputs: Inputs) -> Call:
    """com.microsoft GroupQueryAttention, causal; of the keys the last of each row are the new ones."""
    q, k, v, past_k, past_v, lens, _, _, _, _, bias, sinks = (*inputs, *[None] * 12)[:12]
    if attributes.get("do_rotary"):
        raise NotSaid("rotary embedding inside of the node")
    if lens is None:
        raise NotSaid("a node without seqlens_k")
    count, groups = attributes["num_heads"], attributes["kv_num_heads"]
    if k is None and q is not None:  # packed
        parts = q.data.reshape(*q.shape[:2], count + 2 * groups, -1).swapaxes(1, 2)
        q, k, v = (q.of(part) for part in np.split(parts, (count, count + groups), axis=1))
    q, k, v = heads(q, count), heads(k, groups), heads(v, groups)
    ends = lens.data.reshape(-1) + 1
    if len(set(ends.tolist())) > 1 or int(ends[0]) < q.shape[2]:
        raise NotSaid("rows of different lengths")
    held = int(ends[0]) - k.shape[2]
    if past_k is not None and past_v is not None:
        past_k, past_v = past_k.of(past_k.data[:, :, :held]), past_v.of(past_v.data[:, :, :held])
    call = Call("com.microsoft GroupQueryAttention", q, with_past(past_k, k), with_past(past_v, v),
                rules=[{"rule": "causal"}], scale=attributes.get("scale") or None,
                softcap=attributes.get("softcap", 0.0))
    if (window := attributes.get("local_window_size", -1)) > 0:
        call.rules.append({"rule": "window", "left": window - 1, "right": 0})
    if bias is not None:
        call.add_additive(bias.of(bias.data[..., :call.sizes["kv_len"]]))
    if sinks is not None or attributes.get("smooth_softmax") == 1:
        call.sinks = sinks if sinks is not None else q.of(np.zeros(count, q.data.dtype))
    return call


NODES: dict[tuple[str, str], Callable[..., Call]] = {
    ("", "Attention"): attention, ("ai.onnx.preview", "FlexAttention"): flex_attention,
    ("com.microsoft", "MultiHeadAttention"): multi_head_attention,
    ("com.microsoft", "GroupQueryAttention"): group_query_attention}
"""(domain, operator) → (attributes, inputs) → the call."""
