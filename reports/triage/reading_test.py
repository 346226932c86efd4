"""What a reading must keep: other names, sizes and noise around a text change nothing, and most public texts are read right.

The texts that are kept back (heldout_texts.json) are not looked at here; tools/bench/triage_table.sh counts them.
"""
from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/bench"))
import triage_table  # noqa: E402

ATTNFUZZ = os.environ["ATTNFUZZ"]
BROADCAST = "RuntimeError: The size of tensor a ({a}) must match the size of tensor b ({b}) at non-singleton dimension {dim}"


def axes(text: str) -> list[str]:
    """The axes of the message's numbers."""
    done = subprocess.run([ATTNFUZZ, "triage", "-", "--no-run", "--json"], input=text, text=True, check=True, stdout=subprocess.PIPE)
    return [number["axis"] for number in json.loads(done.stdout)["numbers"]]


# A text, a consistent change of its sizes, names of which another may stand, and the axes.
TEXTS = (
    ("attn = attn + attention_mask\n" + BROADCAST.format(a=63, b=59, dim=3), {63: 1187, 59: 1180}, {"attn": "w"}, ["kv_len"] * 2),
    ("scores = torch.matmul(q, k.transpose(-1, -2))\n" + BROADCAST.format(a=32, b=8, dim=1), {32: 24, 8: 4},
     {"scores": "r", "q": "query_states", "k": "key_layer"}, ["num_heads", "num_kv_heads"]),
    ("q_out = q * cos + rotate(q) * sin\n" + BROADCAST.format(a=2049, b=2048, dim=2), {2049: 777, 2048: 776}, {"q_out": "y", "rotate": "g"}, ["q_len"] * 2),
    ("x = k.view(bsz, q_len, self.num_heads, self.head_dim)\nRuntimeError: shape '[16, 2048, 32, 128]' is invalid for input of size 33554432",
     {2048: 300, 33554432: 4915200}, {"x": "t", "bsz": "batch_size"}, ["batch", "q_len", "num_heads", "head_dim"]),
    ("ValueError: Incompatible shapes for broadcasting: ((3, 12, 37, 37), (1, 1, 37, 41))", {37: 55, 41: 66}, {},
     ["batch", "num_heads", "q_len", "kv_len", "1", "1", "q_len", "kv_len"]),
)


def agrees(got: list[str], wanted: list[str]) -> bool:
    elements = [axis for axis in got if axis != "elements"]
    return len(elements) == len(wanted) and all(w in ("1", g) for g, w in zip(elements, wanted))


@pytest.mark.parametrize("text,sizes,names,wanted", TEXTS)
def test_names_sizes_and_noise_change_no_reading(text: str, sizes: dict[int, int], names: dict[str, str], wanted: list[str]) -> None:
    noise = 'Traceback (most recent call last):\n  File "/x/run.py", line 12, in main\n    out = model(batch)\n'
    other_sizes = re.sub(r"\d+", lambda found: str(sizes.get(int(found.group()), found.group())), text)
    other_names = re.sub(r"\b[a-z_]+\b", lambda found: names.get(found.group(), found.group()), text.split("\n")[0]) + text[text.find("\n"):] \
        if "\n" in text else text
    for each in (text, other_sizes, other_names, noise + text, text.replace("\n", "\n\n") + "\n\nthanks!", "    " + text.replace("\n", "\n[rank3]: ")):
        assert agrees(axes(each), wanted), (each, axes(each))


def counted(name: str) -> tuple[int, int, int, int]:
    """How many texts of a file there are, are right, wrong, and wrong though sure."""
    records = json.loads((triage_table.DATA / name).read_text())
    verdicts = [triage_table.verdict(record, triage_table.read(ATTNFUZZ, record, False)) for record in records]
    return (len(records), sum(v == "right" for v, _ in verdicts), sum(v == "wrong" for v, _ in verdicts), sum(sure for _, sure in verdicts))


@pytest.mark.parametrize("name", ["texts.json", "public_texts.json"])
def test_most_public_texts_are_read_right(name: str) -> None:
    count, right, _, sure = counted(name)
    assert right >= 0.65 * count, (right, count)
    assert sure <= 0.09 * count, (sure, count)
