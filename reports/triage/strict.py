"""Checks shapes as frameworks do that may not be installed here, and says what is wrong in their words.

Each function takes shapes, no data, and raises ShapeError if the framework would refuse them: the rule is checked
first, so a call that is well formed raises nothing. The words are facts of the frameworks' error texts, as public
reports quote them (named beside each); no code of theirs is used.
"""
from __future__ import annotations

from math import prod

VERSION = "1"
Shape = tuple[int, ...]


class ShapeError(ValueError):
    pass


def _misfits(*shapes: Shape) -> list[int]:
    """The axes, counted from the right from 1, on which the shapes do not broadcast."""
    wrong = []
    for back in range(1, max(map(len, shapes)) + 1):
        sizes = {shape[-back] for shape in shapes if len(shape) >= back} - {1}
        if len(sizes) > 1:
            wrong.append(back)
    return wrong


def _spaced(shape: Shape) -> str:
    return "[" + ", ".join(map(str, shape)) + "]"


def _tight(shape: Shape) -> str:
    return "(" + ",".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"


def _product_fails(a: Shape, b: Shape) -> bool:
    return a[-1] != b[-2 if len(b) > 1 else 0]


def _joins(shapes: tuple[Shape, ...], axis: int) -> bool:
    rest = {tuple(size for place, size in enumerate(shape) if place != axis % len(shape)) for shape in shapes}
    return len(rest) == 1


# JAX (phlippe/uvadlc_notebooks#67, google-deepmind/gemma#407, jax-ml/jax#36702).
def jax_where(*shapes: Shape) -> None:
    if _misfits(*shapes):
        raise ShapeError(f"Incompatible shapes for broadcasting: shapes={list(shapes)}")


def jax_broadcast(a: Shape, b: Shape) -> None:
    if _misfits(a, b):
        raise ShapeError(f"Incompatible shapes for broadcasting: ({a}, {b})")


def jax_add(a: Shape, b: Shape) -> None:
    if _misfits(a, b):
        raise ShapeError(f"add got incompatible shapes for broadcasting: {a}, {b}.")


def jax_reshape(a: Shape, b: Shape) -> None:
    if prod(a) != prod(b):
        raise ShapeError(f"cannot reshape array of shape {a} (size {prod(a)}) into shape {b} (size {prod(b)})")


def jax_reshape_plain(a: Shape, b: Shape) -> None:
    if prod(a) != prod(b):
        raise ShapeError(f"cannot reshape array of shape {a} into shape {b}")


# MLX (ml-explore/mlx-lm#545, ml-explore/mlx-swift-examples#114).
def mlx_broadcast(a: Shape, b: Shape) -> None:
    if _misfits(a, b):
        raise ShapeError(f"[broadcast_shapes] Shapes {_tight(a)} and {_tight(b)} cannot be broadcast.")


def mlx_matmul(a: Shape, b: Shape) -> None:
    if _product_fails(a, b):
        raise ShapeError(f"[matmul] Last dimension of first input with shape {_tight(a)} must match second to last "
                         f"dimension of second input with shape {_tight(b)}.")


def mlx_concatenate(axis: int, *shapes: Shape) -> None:
    if not _joins(shapes, axis):
        given = ", ".join(map(_tight, shapes))
        raise ShapeError("[concatenate] All the input array dimensions must match exactly except for the concatenation "
                         f"axis. However, the provided shapes are {given}, and the concatenation axis is {axis}.")


# TensorFlow (tensorflow/tensorflow#58726, keras-team/keras-hub#783).
def tensorflow_add(a: Shape, b: Shape) -> None:
    if _misfits(a, b):
        shapes = (str(list(shape)).replace(" ", "") for shape in (a, b))
        raise ShapeError("Incompatible shapes: " + " vs. ".join(shapes) + " [Op:AddV2]")


# PaddlePaddle (PaddlePaddle/Knover#45).
def paddle_add(a: Shape, b: Shape) -> None:
    wrong = _misfits(a, b)
    if wrong:
        place = max(wrong)
        at = max(len(a), len(b)) - place
        raise ShapeError("Broadcast dimension mismatch. Operands could not be broadcast together with the shape of "
                         f"X = {_spaced(a)} and the shape of Y = {_spaced(b)}. Received [{a[-place]}] in X is not "
                         f"equal to [{b[-place]}] in Y at i:{at}.")


# candle (EricLBuehler/mistral.rs#1952, llmmanorg/llmman#130, tracel-ai/burn-lm#25).
def candle_add(a: Shape, b: Shape) -> None:
    if _misfits(a, b):
        raise ShapeError(f"shape mismatch in broadcast_add, lhs: {_spaced(a)}, rhs: {_spaced(b)}")


def candle_where(a: Shape, b: Shape) -> None:
    if a != b:
        raise ShapeError(f"shape mismatch in where_cond, lhs: {_spaced(a)}, rhs: {_spaced(b)}")


def candle_matmul(a: Shape, b: Shape) -> None:
    if _product_fails(a, b) or a[:-2] != b[:-2]:
        raise ShapeError(f"shape mismatch in matmul, lhs: {_spaced(a)}, rhs: {_spaced(b)}")


def candle_expand(a: Shape, b: Shape) -> None:
    if any(have not in (1, want) for have, want in zip(reversed(a), reversed(b))):
        raise ShapeError(f"cannot broadcast {_spaced(a)} to {_spaced(b)}")


# xformers (tiny-smart/in-context-matting#5, vllm-project/vllm#925). Shapes are (batch, length, heads, features).
def xformers_inputs(query: Shape, key: Shape, value: Shape) -> None:
    batch_and_heads = {shape[:1] + shape[2:-1] for shape in (query, key, value)}
    if len(batch_and_heads) > 1 or query[-1] != key[-1] or key[1] != value[1]:
        sizes = (f"torch.Size({list(shape)})" for shape in (query, key, value))
        raise ShapeError("Incompatible shapes for attention inputs:\n  query.shape: {}\n  key.shape  : {}\n"
                         "  value.shape: {}\nHINT: We don't support broadcasting, please use `expand` yourself before "
                         "calling `memory_efficient_attention` if you need to".format(*sizes))


def xformers_bias(bias: Shape, query: Shape, key: Shape, value: Shape) -> None:
    expected = (query[0], query[2], query[1], key[1])
    if bias != expected:
        sizes = (f"torch.Size({list(shape)})" for shape in (query, key, value))
        raise ShapeError(f"Invalid shape for attention bias: torch.Size({list(bias)}) (expected {expected})\n"
                         "query.shape: {}\nkey.shape  : {}\nvalue.shape: {}".format(*sizes))


# Transformers' eager attention (huggingface/transformers#24637 and many).
def transformers_mask(expected: Shape, mask: Shape) -> None:
    if mask != expected:
        raise ShapeError(f"Attention mask should be of size {expected}, but is torch.Size({list(mask)})")


def transformers_weights(expected: Shape, weights: Shape) -> None:
    if weights != expected:
        raise ShapeError(f"Attention weights should be of size {expected}, but is torch.Size({list(weights)})")


# tinygrad (exo-explore/exo#288).
def tinygrad_reshape(a: Shape, b: Shape) -> None:
    if prod(a) != prod(b):
        raise ShapeError(f"size mismatched, can't reshape self.shape={a} -> new_shape={b}")


# FlexAttention's eager checks (meta-pytorch/attention-gym#122).
def flex_mask(mask: Shape, q_len: int, kv_len: int) -> None:
    if mask[-2:] != (q_len, kv_len):
        raise ShapeError(f"block_mask was created for block_mask.shape={mask} but got q_len={q_len} and "
                         f"kv_len={kv_len}.")
