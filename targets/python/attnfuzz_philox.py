"""The input tensors of a case, the same bits as attnfuzz's own (oracle/inputs.cpp). Needs NumPy only.

Every element comes from Philox 4x32-10 (attnfuzz_normal.py), keyed by the seed and counted by (tensor, batch, head, token,
element).
"""
from __future__ import annotations

import math

import numpy as np
from attnfuzz_normal import element_bits, normal

ROLES = (
    *("q", "k", "v", "bias", "mask", "sinks", "mem_k", "mem_v", "grad_out", "gate", "beta", "dropout"),
    *("k_scales", "v_scales"),
)


def random_bits(seed: int, role: str, step: int, b, h, s, d) -> np.ndarray:
    """64 bits for each element; b, h, s, d are integer arrays that broadcast (np.ogrid)."""
    index = np.asarray((b << 52) + (h << 40) + (s << 16) + d).astype(np.uint64)
    return element_bits(seed, ROLES.index(role) + 16 * step, index)


def uniform(bits: np.ndarray) -> np.ndarray:
    """Uniform in [0, 1)."""
    return (bits >> 11).astype(np.float64) * 2.0**-53


# dtype: (type of the array, stored mantissa bits, exponent of the smallest normal number, codes of infinity and NaN)
RAW_TYPES = {"bf16": (np.uint16, 7, -126, 0x7F80, 0x7FC0), "e4m3": (np.uint8, 3, -6, 0x7F, 0x7F),
             "e5m2": (np.uint8, 2, -14, 0x7C, 0x7E)}
LARGEST = {"f16": 65504, "e4m3": 448, "e5m2": 57344, "int8": 127}  # finite numbers of narrow types
TYPES = {"f64": np.float64, "f32": np.float32, "f16": np.float16}


def encode(x: np.ndarray, dtype: str) -> np.ndarray:
    """Rounds to nearest, ties to even. bf16 and the 8-bit floats, which NumPy lacks, as their raw bits."""
    if dtype in TYPES:
        with np.errstate(over="ignore"):
            return x.astype(TYPES[dtype])
    kind, mantissa, least, infinity, nan = RAW_TYPES[dtype]
    size = np.where(np.isfinite(x), np.abs(x), 0)
    exponent = np.where(size > 0, np.maximum(np.frexp(size)[1] - 1, least), least)
    code = np.rint(np.ldexp(size, mantissa - exponent)) + (exponent - least) * 2.0**mantissa
    code = np.where(np.isfinite(x), np.minimum(code, infinity), infinity)
    code += np.signbit(x) * 2.0 ** (8 * np.dtype(kind).itemsize - 1)
    return np.where(np.isnan(x), nan, code).astype(kind)


def decode(array: np.ndarray, dtype: str) -> np.ndarray:
    """The numbers that `encode`'s elements stand for."""
    if dtype == "bf16":
        with np.errstate(invalid="ignore"):  # signalling NaNs
            return (array.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    if dtype == "e5m2":
        return (array.astype(np.uint16) << 8).view(np.float16).astype(np.float64)
    if dtype == "e4m3":
        bits = array.astype(np.uint16)
        value = ((bits & 0x80) << 8 | (bits & 0x7F) << 7).view(np.float16).astype(np.float64) * 256
        return np.where(bits & 0x7F == 0x7F, np.nan, value)
    return array.astype(np.float64)


def factor(dist: str, dtype: str, role: str) -> float:
    """What a distribution multiplies normal numbers with."""
    least = {"f16": -14, "e4m3": -6, "e5m2": -14}.get(dtype, -126)
    is_value = role in ("v", "mem_v")
    return {"large": 64.0 if is_value else 8.0, "tiny": 2.0 ** (least - 2), "huge": 1.0 if is_value else 64.0}.get(dist, 1.0)


def elements(data: dict, dtype: str, role: str, step: int, b, h, s, d, dim: int) -> np.ndarray:
    """The elements of a tensor before rounding, by the case's distribution."""
    bits = random_bits(data["seed"], role, step, b, h, s, d)
    if role == "gate":
        return uniform(bits) * np.where(bits & 15 == 0, -16.0, -1.0)
    if role == "beta":
        return uniform(bits)
    dist = "normal" if role in ("bias", "sinks") else data["dist"]
    if dist == "far_below" and role in ("q", "k", "mem_k"):
        x = 10 * (1 + uniform(bits)) * (1 if role == "q" else -1)
    elif dist == "cancelling" and role in ("v", "mem_v"):
        x = (64 + normal(bits)) * np.where(s % 2 == 0, 1, -1)
    elif dist == "constant":
        x = np.full(bits.shape, 0.5)
    elif dist == "one_hot":
        x = np.where(np.broadcast_to(d == s % dim, bits.shape), 1.0, 0.0)
    else:
        x = normal(bits) * factor(dist, dtype, role)
    if data["nonfinite"] == "inf_value" and role == "v":
        x = np.where(bits & 63 == 0, np.where(bits & 64, -np.inf, np.inf), x)
    return x


def dense_mask(problem: dict, data: dict) -> tuple[np.ndarray, np.ndarray | None]:
    """Which keys each query sees and what is added to its scores (None: nothing), [batch, num_heads, q_len, kv_len]."""
    batch, heads, q_len, kv_len = shape = [problem[size] for size in ("batch", "num_heads", "q_len", "kv_len")]
    b, h, i, j = np.ogrid[:batch, :heads, :q_len, :kv_len]
    rules = problem["mask"]["rules"]
    pos = query_positions(problem)[None, None, :, None]
    left = [r["lens"] for r in rules if r["rule"] == "padding" and r["side"] == "left"]
    first = kv_len - rows(left[0]) if left else 0
    seen, bias = np.ones(shape, bool), None
    for rule in rules:
        name = rule["rule"]
        axes = rule.get("shape", "")
        at = (b if "b" in axes else b * 0, h if "h" in axes else h * 0, i, j)
        if name == "causal":
            seen &= j <= pos
        elif name == "window":
            seen &= (j >= pos - rule["left"]) & (j <= pos + rule["right"])
        elif name == "chunk":
            origin = first if rule["origin"] == "token" else 0
            seen &= (pos - origin) // rule["size"] == (j - origin) // rule["size"]
        elif name == "prefix":
            seen &= j <= np.maximum(pos, rows(rule["lens"]) - 1)
        elif name == "documents":
            document = lambda at: np.searchsorted(np.cumsum(rule["lens"]), at, side="right") - (at < 0)
            seen &= document(pos) == document(j)
        elif name == "packed":
            sequence = lambda lens: np.repeat(np.arange(len(lens)), lens)
            seen &= sequence(rule["q_lens"])[:, None] == sequence(rule["kv_lens"])
        elif name == "padding":
            seen &= j >= kv_len - rows(rule["lens"]) if rule["side"] == "left" else j < rows(rule["lens"])
        elif name == "spans":
            ends = np.cumsum(rule["lens"])
            span = np.searchsorted(ends, pos, side="right")
            inside = (pos >= 0) & (span < len(ends))
            last = np.append(ends, 0)[np.minimum(span, len(ends))] - 1
            seen &= j <= np.where(inside, last, pos)
        elif name == "dilated":
            seen &= (pos - j) % rule["step"] == 0
        elif name == "tree":
            seen &= tree_mask(rule["parents"], kv_len, pos, j)
        elif name == "block_sparse":
            block = (*at[:2], i // rule["q_block"], j // rule["kv_block"])
            seen &= (random_bits(data["seed"], "mask", 0, *block) >> 32) * 100 >> 32 < rule["keep"]
        elif name == "indices":
            lists = random_bits(data["seed"], "mask", 0, *at[:2], i // rule["q_block"], j)
            rank = lists.argsort(axis=-1, kind="stable").argsort(axis=-1)
            seen &= (rank < rule["count"]) & ((lists & 0xFFFFFFFF) * 100 >> 32 < rule["keep"])
        elif name == "relative_bias":
            bias = (np.zeros(shape) if bias is None else bias) + relative_bias(problem, data, rule, j - pos)
        elif name == "boolean":
            seen &= (random_bits(data["seed"], "mask", 0, *at) >> 32) * 100 >> 32 < rule["keep"]
        elif name == "bias":
            bits = random_bits(data["seed"], "bias", 0, *at)
            added = decode(encode(normal(bits), problem["dtype"]), problem["dtype"])
            if data["nonfinite"] == "inf_bias":
                added = np.where(bits & 3 == 0, -np.inf, added)
            bias = (np.zeros(shape) if bias is None else bias) + added
        elif name == "alibi":
            slope = np.array([exp2(-8.0 * (n + 1) / heads) for n in range(heads)])[None, :, None, None]
            bias = (np.zeros(shape) if bias is None else bias) - slope * np.abs(pos - j)
    return seen, bias


def query_positions(problem: dict) -> np.ndarray:
    """Where each query stands on the keys' axis, [q_len]."""
    lens = [(problem["q_len"], problem["kv_len"])]
    for rule in problem["mask"]["rules"]:
        if rule["rule"] == "packed":
            lens = list(zip(rule["q_lens"], rule["kv_lens"]))
    found, first_key = [], 0
    for q_len, kv_len in lens:
        offset = 0 if problem["mask"]["align"] == "top_left" else kv_len - q_len
        found.append(first_key + offset + np.arange(q_len))
        first_key += kv_len
    return np.concatenate([np.arange(0), *found])


def rope_frequencies(problem: dict, half: int, real=np.float64) -> np.ndarray:
    """The angle of each of `half` pairs from one position to the next, with the law of rope_scaling, in numbers of type `real`."""
    base, scaling = real(problem.get("rope_base", 10000)), problem.get("rope_scaling", {"law": "none"})
    law, s, trained, pair = scaling["law"], real(scaling.get("factor", 1)), scaling.get("original_len"), np.arange(half, dtype=real)
    if law == "dynamic_ntk" and problem["kv_len"] <= trained:
        law = "none"
    if law == "dynamic_ntk":
        s = s * problem["kv_len"] / trained - (s - 1)
    if law in ("ntk", "dynamic_ntk") and half > 1:
        base = base * s ** (real(half) / (half - 1))
    theta = base ** (-pair / half)
    if law == "linear":
        return theta / s
    if law == "yarn":
        end = lambda turns: half * np.log(trained / (2 * real(np.pi) * real(turns))) / np.log(base)
        low, high = end(scaling["high"]), end(scaling["low"])
        if scaling.get("truncate", True):
            low, high = np.floor(low), np.ceil(high)
        low, high = max(low, 0), min(high, 2 * half - 1)
        slowed = np.clip((pair - low) / (high - low if high != low else real(0.001)), 0, 1)
        return theta / s * slowed + theta * (1 - slowed)
    if law == "llama3":
        wavelength = 2 * real(np.pi) / theta
        smooth = (trained / wavelength - scaling["low"]) / (scaling["high"] - scaling["low"])
        mean = (1 - smooth) * theta / s + smooth * theta
        slow, quick = wavelength > trained / scaling["low"], wavelength < trained / scaling["high"]
        return np.where(slow, theta / s, np.where(quick, theta, mean))
    return theta


def tree_mask(parents: list[int], kv_len: int, pos, j) -> np.ndarray:
    """Whether the key is before the tree and not after the query, or on the query's path to the root."""
    nodes = len(parents)
    path = np.zeros((nodes + 1, nodes + 1), bool)  # a last row and column for queries and keys that are none of it
    for node, parent in enumerate(parents):
        path[node] |= path[parent] if parent >= 0 else False
        path[node, node] = True
    query, key = pos - (kv_len - nodes), j - (kv_len - nodes)
    place = lambda node: np.where((node >= 0) & (node < nodes), node, nodes)
    return np.where(query < 0, key <= query, (key < 0) | path[place(query), place(key)])


def relative_buckets(rule: dict, distance) -> np.ndarray:
    """The bucket of each distance, key - query."""
    both, most = rule["direction"] == "both", rule["max_distance"]
    count = rule["buckets"] // 2 if both else rule["buckets"]
    n = np.abs(distance) if both else np.maximum(0, -distance)
    if rule["spacing"] == "linear":
        bucket = np.minimum(n, most)
    else:
        exact = count // 2
        far = np.maximum(n, exact) / exact
        share = np.log(far) / np.log(most / exact) if most > exact else 0 * far
        bucket = np.where(n >= most, count - 1, exact + np.floor(share * (count - exact) + 1e-9).astype(np.int64))
        bucket = np.where(n < exact, n, bucket)
    return np.minimum(bucket, count - 1) + np.where((distance > 0) & both, count, 0)


def relative_bias(problem: dict, data: dict, rule: dict, distance) -> np.ndarray:
    """[batch, num_heads, q_len, kv_len], or with an axis of 1 where it does not differ."""
    heads, dtype = problem["num_heads"], problem["dtype"]
    head = np.arange(heads)[None, :, None, None]
    bits = random_bits(data["seed"], "bias", 0, 0, head, np.arange(rule["buckets"])[None, None, :, None], 0)
    table = decode(encode(normal(bits), dtype), dtype)[0, :, :, 0]  # [num_heads, buckets]
    return table[head, relative_buckets(rule, distance)]


# libm's, as in C++. Without it (before Python 3.11) f64 slopes may differ in the last bit.
exp2 = getattr(math, "exp2", lambda x: 2.0**x)


def rows(lens: list[int]) -> np.ndarray:
    """One number for each batch row, as an axis of [batch, heads, q_len, kv_len]."""
    return np.array(lens, np.int64)[:, None, None, None]


def hidden(problem: dict, data: dict) -> np.ndarray:
    """The keys that no query of their KV head sees, [batch, num_kv_heads, kv_len]."""
    seen, kv_heads = dense_mask(problem, data)[0].any(axis=2), problem["num_kv_heads"]
    group = problem["num_heads"] // kv_heads if kv_heads else 0
    if problem["head_map"] == "interleaved":
        by_head = seen.reshape(len(seen), group, kv_heads, seen.shape[2]).any(axis=1)
    else:
        by_head = seen.reshape(len(seen), kv_heads, group, seen.shape[2]).any(axis=2)
    return ~by_head


def inputs(case: dict) -> dict[str, np.ndarray]:
    """All inputs of a case by name, in its dtype and layout, as make_inputs() in oracle/inputs.h gives them."""
    p, data = case["problem"], case["data"]
    dtype, heads_first, shared = p["dtype"], p["layout"] == "bhsd", p.get("strides") == "shared"
    unreal_value = {"nan_padding": np.nan, "nan_hidden": np.nan, "inf_padding": np.inf,
                    "inf_hidden": np.inf}.get(data["nonfinite"])

    def tokens(role, step, heads, length, dim, unreal=None):
        b, *at = np.ogrid[: p["batch"], :heads, :length, :dim]
        x = elements(data, dtype, role, step, b * 0 if shared and role in "kv" else b, *at, dim)
        if role == "k" and "beta" in extras:
            x = x / math.sqrt(dim)
        if unreal is not None and unreal_value is not None and role in "kv":
            x = np.where(unreal, unreal_value, x)
        return encode(x if heads_first else np.ascontiguousarray(x.swapaxes(1, 2)), dtype)

    # Inputs of attention with a state: their last axis' size, 0 for none.
    extras = {"linear": {"gate": p["head_dim"]}, "ssd": {"gate": 0}, "delta": {"beta": 0},
              "gated_delta": {"gate": 0, "beta": 0}}.get(p.get("kind"), {})
    tensors = {}

    def add(step, suffix, q_len, kv_len, unreal):
        tensors["q" + suffix] = tokens("q", step, p["num_heads"], q_len, p["head_dim"])
        if "cache" in case and kv_len == 0 and case["cache"]["kind"] == "cross":
            return
        tensors["k" + suffix] = tokens("k", step, p["num_kv_heads"], kv_len, p["head_dim"], unreal)
        tensors["v" + suffix] = tokens("v", step, p["num_kv_heads"], kv_len, p["head_dim_v"], unreal)
        for role, dim in extras.items():
            x = tokens(role, step, p["num_kv_heads"], kv_len, dim or 1)
            tensors[role + suffix] = x if dim else x[..., 0]

    for n, step in enumerate(case.get("steps", [])):
        if "q_len" in step:
            keys = step.get("kv_len", step["q_len"])
            slot, unreal = np.arange(keys)[:, None], None
            if step.get("lens"):
                lens = rows(step["lens"])
                unreal = slot < keys - lens if step.get("side") == "left" else slot >= lens
            add(n, f".{n}", step["q_len"], keys, unreal)
    if "cache" not in case:
        slot = np.arange(p["kv_len"])[:, None]
        unreal = None
        for rule in p["mask"]["rules"]:
            if rule["rule"] == "padding":
                lens = rows(rule["lens"])
                unreal = slot < p["kv_len"] - lens if rule["side"] == "left" else slot >= lens
        if data["nonfinite"].endswith("_hidden"):
            unreal = hidden(p, data)[..., None]
        add(0, "", p["q_len"], p["kv_len"], unreal)
        if p["mask"]["rules"]:
            seen, bias = dense_mask(p, data)
            tensors["mask"] = encode(seen.astype(np.float64), dtype)
            if bias is not None:
                largest = LARGEST.get(dtype, np.inf)
                finite = np.clip(bias, -largest, largest)
                tensors["bias"] = encode(np.where(np.isfinite(bias), finite, bias), dtype)
        if p.get("dropout_keep", 100) < 100:
            at = np.ogrid[: p["batch"], : p["num_heads"], : p["q_len"], : p["memory_kv"] + p["kv_len"]]
            percent = random_bits(data["seed"], "dropout", 0, *at) >> 32
            tensors["dropout"] = encode((percent * 100 >> 32 < p["dropout_keep"]).astype(np.float64), dtype)
        if any(name.startswith("d") for name in p.get("outputs", ())):
            tensors["grad_out"] = tokens("grad_out", 0, p["num_heads"], p["q_len"], p["head_dim_v"])
    if case.get("cache", {}).get("scales") == "head":
        for role in ("k_scales", "v_scales"):
            bits = random_bits(data["seed"], role, 0, *np.ogrid[:1, : p["num_kv_heads"], :1, :1]).reshape(-1)
            reach = 3.5 * factor(data["dist"], dtype, role[0]) / LARGEST[case["cache"]["quant"]]
            tensors[role] = encode(reach * (0.5 + 0.125 * (bits & 7)), "f32")
    if p["sinks"]:
        at = np.ogrid[:1, : p["num_heads"], :1, :1]
        tensors["sinks"] = encode(elements(data, dtype, "sinks", 0, *at, 1).reshape(-1), dtype)
    for role, dim in (("mem_k", p["head_dim"]), ("mem_v", p["head_dim_v"])):
        if p["memory_kv"]:
            at = np.ogrid[:1, : p["num_kv_heads"], : p["memory_kv"], :dim]
            tensors[role] = encode(elements(data, dtype, role, 0, *at, dim)[0], dtype)
    return tensors
