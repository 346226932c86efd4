"""How a function's arrays are arranged and what its mask says, if that is not what attnfuzz hands over by default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from attnfuzz._core import InputError
from attnfuzz._types import Array

CORE_LAYOUTS = ("bhsd", "bshd")
OF_ONE_QUERY = {"bhd": ("bshd", "bhsd"), "b(hd)": ("bs(hd)",), "(bh)d": ("(bh)sd",), "hd": ("shd", "hsd")}
"""The arrangements of q and out of functions of one query: no axis for the length. k and v lie in one of those."""
LAYOUTS = (*CORE_LAYOUTS, "sbhd", "bs(hd)", "sb(hd)", "(bh)sd", "hsd", "shd", "bsd", "sbd", "sd", *OF_ONE_QUERY)
"""The arrangements of q, k, v and out: b batch, h heads, s length, d head_dim; axes in parentheses are one axis.

A layout without b is that of a function of one batch row, one without h that of a function of one head, and one without
s that of a function of one query.
"""
KEY_LAYOUTS = (*LAYOUTS, "bhds", "(bh)ds", "hds", "bds", "ds")
"""Those of k, which some functions take transposed, as the product q·k needs it."""
MASK_MEANS = ("visible", "hidden", "additive", "ones")
"""What a mask says: True = visible, True = hidden, 0 or -inf to be added, 1.0 = visible and 0.0 = hidden."""
MASK_SHAPES = ("bhqk", "b1qk", "bqk", "hqk", "(bh)qk", "qk", "bk", "b11k")
"""The axes of a mask: b batch, h heads, q queries, k keys, 1 an axis of length one."""
_LENGTHS = {"q": "q_len", "k": "kv_len", "v": "kv_len", "out": "q_len", "grad_out": "q_len", "lse": "q_len",
            "dq": "q_len", "dk": "kv_len", "dv": "kv_len"}
_BITS = {"f64": ("u8", 0x3FF << 52, 0xFFF << 52), "f32": ("u4", 0x7F << 23, 0x1FF << 23),
         "f16": ("u2", 0xF << 10, 0x3F << 10), "bf16": ("u2", 0x7F << 7, 0x1FF << 7)}
"""Of an element type: that of its bits, and those of 1 and of -inf."""
_KV = ("k", "v", "dk", "dv")
_FOR_EACH_ROW = ("rule:padding", "padding.side:left", "padding.side:right", "rule:documents", "rule:prefix",
                 "boolean.shape:bqk", "boolean.shape:bhqk", "chunk.origin:token", "bias.shape:bqk", "bias.shape:bhqk")
_FOR_EACH_HEAD = ("boolean.shape:hqk", "boolean.shape:bhqk")
_KEYS_ALONE = ("rule:padding", "padding.side:left", "padding.side:right")


class TooNarrow(Exception):
    """A mask differs along an axis that the function's mask does not have."""


def groups(layout: str) -> list[str]:
    """"bs(hd)" → ["b", "s", "hd"]."""
    found, inside = [], False
    for letter in layout:
        if letter in "()":
            inside = letter == "("
            if inside:
                found.append("")
        elif inside:
            found[-1] += letter
        else:
            found.append(letter)
    return found


@dataclass(frozen=True)
class Form:
    """The arrangement of one function's arrays."""

    layout: str = "bhsd"
    mask_means: str = "visible"
    mask_shape: str = ""  # empty: as many of the axes bhqk as the layout has
    out_layout: str = ""  # empty: that of q
    mask_always: bool = False  # a mask is handed over where nothing is hidden too: None means something else
    k_layout: str = ""  # empty: that of q
    scaled_q: bool = False  # it does not scale: q is handed over multiplied by the case's scale

    @property
    def core(self) -> str:
        """The layout of the cases: the order in which the length and the heads lie in memory."""
        letters = (self.layout if "s" in self.layout else self.k_layout).replace("(", "").replace(")", "")
        return "bshd" if "h" in letters and letters.index("s") < letters.index("h") else "bhsd"

    def layout_of(self, name: str) -> str:
        """How a tensor or an output is arranged."""
        own = {"out": self.out_layout, "grad_out": self.out_layout, "k": self.k_layout, "dk": self.k_layout}
        if "s" not in self.layout:
            own |= {"v": self.k_layout, "dv": self.k_layout}
        return own.get(name) or self.layout

    @property
    def ndim(self) -> int:
        """Of the output."""
        return len(groups(self.layout_of("out")))

    @property
    def mask(self) -> str:
        return self.mask_shape or self.axes

    @property
    def axes(self) -> str:
        """Those of the axes bhqk that the layout has: a bias has them, and so has a mask of which nothing is said."""
        if "(bh)" in self.layout:
            return "(bh)qk"
        return "".join(letter for letter in "bh" if letter in self.layout) + "qk"

    @property
    def fixed(self) -> dict[str, int]:
        """The sizes of the axes that the layout lacks."""
        absent = {"batch": "b", "num_heads": "h", "num_kv_heads": "h", "q_len": "s"}
        return {size: 1 for size, letter in absent.items() if letter not in self.layout}

    def can_say(self, word: str) -> bool:
        """Whether the mask, or the bias, has the axes that a feature varies along."""
        axes = self.axes if word.startswith(("bias.", "rule:bias", "rule:alibi")) else self.mask
        if "q" not in axes and word.startswith(("rule:", "boolean.", "padding.", "chunk.")):
            return word in _KEYS_ALONE
        return not ("b" not in axes and word in _FOR_EACH_ROW or "h" not in axes and word in _FOR_EACH_HEAD)

    def arrange(self, name: str, array: Array) -> Array:
        """A tensor of a case as the function has it."""
        layout = self.layout_of(name)
        if layout == self.core or name not in _LENGTHS:
            return array
        return _grouped(array, self.core, groups(layout))

    def restore(self, name: str, array: Array, problem: Mapping[str, Any]) -> Array:
        """An output of the function as cases have it; as it is where its shape is not the layout's."""
        if name == "dq":
            array = self.scaled(array, problem)
        layout = self.layout_of(name)
        if layout == self.core or name not in _LENGTHS:
            return array
        letters = "bhs" if name == "lse" else self.core
        wanted = [group for each in groups(layout) if (group := each if name != "lse" else each.replace("d", ""))]
        sizes = {"b": problem["batch"], "s": problem[_LENGTHS[name]],
                 "h": problem["num_kv_heads" if name in _KV else "num_heads"],
                 "d": problem["head_dim" if name in ("dq", "dk") else "head_dim_v"]}
        if array.shape != tuple(int(np.prod([sizes[letter] for letter in group])) for group in wanted):
            return array
        apart = [letter for group in wanted for letter in group]
        array = array.reshape([sizes[letter] for letter in apart] + [1] * (len(letters) - len(apart)))
        apart += [letter for letter in letters if letter not in apart]
        return np.ascontiguousarray(array.transpose([apart.index(letter) for letter in letters]))

    def scaled(self, array: Array, problem: Mapping[str, Any]) -> Array:
        """q as the function takes it, and dq as cases have it. Raises TooNarrow where it would have to be rounded."""
        if not self.scaled_q:
            return array
        scale, dtype = float(problem["scale"] or 0), problem["dtype"]
        wide = (array.astype(np.uint32) << 16).view(np.float32) if dtype == "bf16" else array
        if np.frexp(scale)[0] != 0.5 or dtype not in _BITS:
            raise TooNarrow(f"the product with the scale {scale} is not exact in {dtype}")
        product = wide * wide.dtype.type(scale)
        if not np.array_equal(product / wide.dtype.type(scale), wide, equal_nan=True):
            raise TooNarrow(f"the product with the scale {scale} is not exact in {dtype}")
        return (product.view(np.uint32) >> 16).astype(np.uint16) if dtype == "bf16" else product

    def narrowed(self, array: Array, axes: str) -> Array:
        """[batch, num_heads, q_len, kv_len] with the axes of the function's mask, or of its bias. Raises TooNarrow."""
        for axis, letter in enumerate("bhqk"):
            if letter not in axes:
                first = array.take([0], axis)
                if not np.array_equal(array, np.broadcast_to(first, array.shape), equal_nan=array.dtype.kind == "f"):
                    raise TooNarrow(f"the mask differs along {letter}, and the function has the axes {axes}")
                array = first
        array = _grouped(array, "bhqk", groups(axes.replace("1", "")))
        for axis, letter in enumerate(axes if "1" in axes else ""):
            if letter == "1":
                array = np.expand_dims(array, axis)
        return array

    @property
    def mask_is_float(self) -> bool:
        """Whether the mask has the element type of q."""
        return self.mask_means in ("additive", "ones")

    def mask_for(self, visible: Array, dtype: str) -> Array:
        """The mask as the function takes it, of a bool array [batch, num_heads, q_len, kv_len] with True = visible.

        `dtype`: the word of its elements where it has q's; raw bits where NumPy lacks the type. Raises TooNarrow.
        """
        visible = self.narrowed(visible, self.mask)
        if not self.mask_is_float:
            return visible if self.mask_means == "visible" else ~visible
        if dtype not in _BITS:
            raise TooNarrow(f"a mask of {dtype} can't say -inf")
        element, of_one, of_infinity = _BITS[dtype]
        shown, hidden = (0, of_infinity) if self.mask_means == "additive" else (of_one, 0)
        bits = np.where(visible, np.array(shown, element), np.array(hidden, element))
        return bits if dtype == "bf16" else bits.view(element.replace("u", "f"))


def _grouped(array: Array, have: str, wanted: list[str]) -> Array:
    """Axes moved and merged; those that are not wanted have the length one."""
    kept = [letter for group in wanted for letter in group]
    absent = [letter for letter in have if letter not in kept]
    array = array.transpose([have.index(letter) for letter in (*absent, *kept)])[(0,) * len(absent)]
    sizes = dict(zip(kept, array.shape))
    return np.ascontiguousarray(array).reshape([int(np.prod([sizes[each] for each in group])) for group in wanted])


KEYS = ("layout", "mask_means", "mask_shape", "out_layout", "mask_always", "k_layout", "scaled_q", "parameters",
        "projections")
"""The claims that say a form, and how else the function is called."""


def said(claims: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the claims that say a form and not the layout of cases."""
    core = all(word in CORE_LAYOUTS for word in words(claims.get("layout", ())))
    return {key: claims[key] for key in KEYS if key in claims and (
        key != "layout" or not core or {"out_layout", "k_layout"} & set(claims))}


def words(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def form_of(claims: Mapping[str, Any], where: str) -> Form:
    """What the claims say of it. Raises InputError for words that are none."""
    known = {"layout": LAYOUTS, "mask_means": MASK_MEANS, "mask_shape": MASK_SHAPES, "out_layout": LAYOUTS,
             "k_layout": KEY_LAYOUTS}
    found: dict[str, Any] = {}
    for key, value in said(claims).items():
        if key in ("mask_always", "scaled_q"):
            found[key] = bool(value)
        if key not in known:
            continue
        several = words(value)
        for word in several:
            if word not in known[key]:
                raise InputError(f"{where}: {key}: expected one of {', '.join(known[key])}, not {word!r}")
        if len(several) != 1:
            raise InputError(f"{where}: {key}: expected one of these words, not {', '.join(several)}")
        found[key] = several[0]
    layout = found.get("layout", "")
    if layout in OF_ONE_QUERY and "s" not in found.get("k_layout", ""):
        raise InputError(f"{where}: layout: {layout} has no axis for the keys: expected k_layout too, such as "
                         f"{OF_ONE_QUERY[layout][0]}")
    return Form(**found)
