"""ONNX's published node test vectors as a recording, and the same with one planted error in each call.

    vectors.py make DIR     writes DIR/published and DIR/planted
    vectors.py check DIR    reads what `attnfuzz judge --json` said of them: tools/vectors.sh does all of it

The vectors are made by the installed package onnx (no download). Each says what the operator's reference implementation
gives. The planted errors take turns: a key that is dropped, a scale that is twice as large, one element that is off
by a tenth of the largest. Printed are the vectors that no Case can say, by name, with the reason.
"""

from __future__ import annotations

import json
import sys
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent / "python_package"))

from attnfuzz_record._arrays import NUMPY, Array, encode, from_numpy
from attnfuzz_record._call import Call, to_case
from attnfuzz_record._errors import NotSaid
from attnfuzz_record._folder import Entry, Folder
from attnfuzz_record._onnx_nodes import NODES, heads

OPSET = 25  # of the graphs inside of FlexAttention nodes
OPERATORS = ("Attention", "FlexAttention", "RotaryEmbedding", "TensorScatter")
UNSAID = {
    "RotaryEmbedding": "the operator gives rotated vectors and no attention, and takes the angles as tables",
    "TensorScatter": "the operator writes into a cache and computes no attention",
}


def attribute(each: Any) -> Any:
    from onnx import helper

    value = helper.get_attribute_value(each)
    return value.decode() if isinstance(value, bytes) else value


def run_graph(graph: Any, scores: Any) -> Any:
    from onnx.reference import ReferenceEvaluator

    evaluator: Any = ReferenceEvaluator(graph, {"": OPSET})
    return evaluator.run(None, {evaluator.input_names[0]: scores})[0]


def vectors() -> dict[str, Any]:
    """The test cases of OPERATORS by name, each a model of one node (the expanded functions have the same numbers)."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other operators' vectors are made too
        cases: dict[str, Any] = {case.name: case for case in collect_testcases(None)}
    return {name: case for name, case in cases.items()
            if len(case.model.graph.node) == 1 and case.model.graph.node[0].op_type in OPERATORS}


def call_of(case: Any) -> Call:
    """A vector as a call with the output that it publishes. Raises NotSaid."""
    node = case.model.graph.node[0]
    if node.op_type in UNSAID:
        raise NotSaid(UNSAID[node.op_type])
    given = iter(case.data_sets[0][0])
    inputs = [from_numpy(next(given)) if name else None for name in node.input]
    attributes = {each.name: attribute(each) for each in node.attribute}
    if node.op_type == "FlexAttention":
        call = NODES[node.domain, node.op_type](attributes, inputs, run_graph)
    else:
        call = NODES[node.domain, node.op_type](attributes, inputs)
    call.outputs["out"] = heads(from_numpy(case.data_sets[0][1][0]), call.sizes["num_heads"])
    call.options = {name: value for name, value in attributes.items() if isinstance(value, (int, float, str))}
    return call


def softmax(call: Call, scale: float, dropped: bool) -> np.ndarray[Any, Any]:
    """Attention of the call's tensors by NumPy, without a softcap: only to make an error of a certain kind."""
    q, k, v = (each.wide() for each in (call.q, call.k, call.v))
    k, v = (each.repeat(q.shape[1] // each.shape[1], axis=1) for each in (k, v))
    scores = q @ k.swapaxes(2, 3) * scale
    scores[..., -1] = -np.inf if dropped else scores[..., -1]
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return np.asarray(weights @ v / weights.sum(-1, keepdims=True))


def rounded(numbers: np.ndarray[Any, Any], dtype: str) -> Array:
    """Numbers in a case's type, cut off for bf16."""
    if dtype == "bf16":
        bits = numbers.astype(np.float32).view(np.uint32) & np.uint32(0xFFFF0000)
        return encode(bits.view(np.float32).astype(np.float64), dtype)
    return encode(numbers.astype(NUMPY[dtype]).astype(np.float64), dtype)


def planted(call: Call, number: int) -> tuple[str, Array]:
    """An output with one error, of three kinds in turn; the next kind where one changes next to nothing.

    A dropped key and a wrong scale: the published output, and what the error would change in it without mask and
    softcap.
    """
    out = call.outputs["out"].wide()
    scale = call.scale or call.sizes["head_dim"] ** -0.5
    one = np.zeros(out.size)
    one[number % out.size] = 0.1 * max(np.abs(out).max(), 1)
    changes = (("the last key is dropped", softmax(call, scale, True) - softmax(call, scale, False)),
               ("the scale is twice as large", softmax(call, 2 * scale, False) - softmax(call, scale, False)),
               ("one element is off", one.reshape(out.shape)))
    kind, change = next(each for each in (*changes[number % 3:], changes[2]) if np.abs(each[1]).max() > 0.03)
    return kind, rounded(out + change, call.outputs["out"].dtype)


def make(directory: str) -> int:
    """Writes the two recordings, and prints the vectors that are in neither."""
    folders = {name: Folder(Path(directory) / name, f"ONNX's node test vectors, {name}")
               for name in ("published", "planted")}
    unsaid = []
    for number, (name, case) in enumerate(vectors().items()):
        try:
            call = call_of(case)
            kind, wrong = planted(call, number)
            entry = Entry(function=call.function, module=name, options=call.options)
            as_case = partial(to_case, call)
            folders["published"].add(entry, as_case, call.outputs, None)
            entry.options = call.options | {"planted": kind}
            folders["planted"].add(entry, as_case, {"out": wrong}, None)
        except NotSaid as reason:
            unsaid.append((name, str(reason)))
            folders["published"].not_kept(str(reason), name)
    for folder in folders.values():
        folder.close()
    said = folders["published"].count
    print(f"{said} of {said + len(unsaid)} vectors are said as Cases; not said:")
    for name, why in unsaid:
        print(f"  {name}: {why}")
    return 0


def check(directory: str) -> int:
    """Reads what `attnfuzz judge --json` said of the recordings, and prints the vectors that were judged wrongly."""
    failed = 0
    for name, expected in (("published", False), ("planted", True)):
        calls = json.loads((Path(directory) / f"{name}.json").read_text())["calls"]
        wrong = [call for call in calls if call["wrong"] is not expected]
        failed += len(wrong) + (not calls)
        print(f"{name}: {len(calls) - len(wrong)} of {len(calls)} are judged {'wrong' if expected else 'right'}")
        for call in wrong:
            print(f"  {call['module']}: judged {'wrong' if call['wrong'] else 'right'}: {call['problem']}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit({"make": make, "check": check}[sys.argv[1]](sys.argv[2]))
