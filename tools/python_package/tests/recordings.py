"""Reads a recording with NumPy alone, and computes each call anew: an answer that shares no code with the oracle."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

TYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": np.uint16, "BOOL": np.bool_}
TOLERANCE = {"f64": 1e-12, "f32": 2e-5, "f16": 1e-2, "bf16": 5e-2}


def tensors(path):
    raw = path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header, data, found = json.loads(raw[8:8 + size]), raw[8 + size:], {}
    for name, each in header.items():
        begin, end = each["data_offsets"]
        array = np.frombuffer(data[begin:end], TYPES[each["dtype"]]).reshape(each["shape"])
        if each["dtype"] == "BF16":
            array = (array.astype(np.uint32) << 16).view(np.float32)
        found[name] = array if each["dtype"] == "BOOL" else array.astype(np.float64)
    return found


def visible(problem, given):
    """[batch, heads, q_len, kv_len]: which keys the rules let a query see."""
    batch, heads, q_len, kv_len = shape = [problem[name] for name in ("batch", "num_heads", "q_len", "kv_len")]
    i, j = np.arange(q_len)[:, None], np.arange(kv_len)
    rules = {rule["rule"]: rule for rule in problem["mask"]["rules"]}
    packed = rules.get("packed", {"q_lens": [q_len], "kv_lens": [kv_len]})
    of_query, of_key = (np.repeat(np.arange(len(packed[lens])), packed[lens]) for lens in ("q_lens", "kv_lens"))
    ends_q, ends_k = (np.cumsum(packed[lens])[of_query][:, None] for lens in ("q_lens", "kv_lens"))
    first_q, first_k = (ends - np.array(packed[lens])[of_query][:, None] for ends, lens in ((ends_q, "q_lens"), (ends_k, "kv_lens")))
    position = i - first_q + first_k if problem["mask"]["align"] == "top_left" else i - ends_q + ends_k
    lens = np.array(rules.get("padding", {}).get("lens", [kv_len] * batch))[:, None, None, None]
    seen = np.ones(shape, bool)
    for name, rule in rules.items():
        if name == "causal":
            seen &= j <= position
        elif name == "window":
            seen &= (j >= position - rule["left"]) & (j <= position + rule["right"])
        elif name == "chunk":
            origin = kv_len - lens if rule["origin"] == "token" else 0
            seen &= (position - origin) // rule["size"] == (j - origin) // rule["size"]
        elif name == "documents":
            ends = np.cumsum(rule["lens"])
            seen &= np.searchsorted(ends, position, side="right") == np.searchsorted(ends, j, side="right")
        elif name == "packed":
            seen &= of_query[:, None] == of_key
        elif name == "padding":
            seen &= j >= kv_len - lens if rule["side"] == "left" else j < lens
        elif name == "boolean":
            seen &= given["mask"]
        else:
            assert name == "bias", name
    return seen


def answer(case, given):
    """out as the case asks for it; NaN where anything is right."""
    p = case["problem"]
    q, k, v = (given[name] if p["layout"] == "bhsd" else given[name].swapaxes(1, 2) for name in "qkv")
    k, v = (x.repeat(p["num_heads"] // p["num_kv_heads"], axis=1) for x in (k, v))
    scores = q @ k.swapaxes(2, 3) * (p["head_dim"] ** -0.5 if p["scale"] is None else p["scale"])
    bias, first = given.get("bias", 0), p["bias_order"] == "before_softcap"
    scores = scores + (bias if first else 0)
    if p["softcap"]:
        scores = p["softcap"] * np.tanh(scores / p["softcap"])
    seen = visible(p, given)
    scores = np.where(seen, scores + (0 if first else bias), -np.inf)
    largest = np.maximum(scores.max(-1, keepdims=True), -1e300)
    weights = np.exp(scores - largest)
    total = weights.sum(-1, keepdims=True)
    if p["sinks"]:
        total = total + np.exp(given["sinks"][None, :, None, None] - largest)
    out = weights @ v / np.where(total == 0, 1, total)
    out[~seen.any(-1)] = 0 if p["fully_masked"] == "zero" else np.nan
    return out if p["layout"] == "bhsd" else out.swapaxes(1, 2)


@dataclass
class Seen:
    """A call of a recording: its entry, its Case (asked, or by the configuration), and whether its output is right."""

    entry: dict
    problem: dict
    right: bool

    @property
    def rules(self):
        return [rule["rule"] for rule in self.problem["mask"]["rules"]]


def load(folder):
    return json.loads((Path(folder) / "recording.json").read_text())


def calls(folder, which="case"):
    """The calls that returned, judged by NumPy. which: "case" or "by_config"."""
    folder, found = Path(folder), []
    for entry in load(folder)["calls"]:
        if "outputs" not in entry or which not in entry:
            continue
        case = json.loads((folder / entry[which]).read_text())
        expected = answer(case, tensors((folder / entry[which]).parent / case["data"]["given"]))
        out = tensors(folder / entry["outputs"])["out"]
        assert out.shape == expected.shape
        error = np.abs(np.nan_to_num(out - expected))
        right = not np.isnan(out[~np.isnan(expected)]).any() and error.max() < TOLERANCE[case["problem"]["dtype"]]
        found.append(Seen(entry, case["problem"], bool(right)))
    return found
