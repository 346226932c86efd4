"""ONNX Runtime: the attention nodes of a session's model, whose inputs and outputs become further outputs of its graph.

A session that is made while a recording runs gets them; they are computed in every run, and are fetched in those whose
calls are kept. Nodes inside of If, Loop and Scan are not caught, nor are attention nodes that ONNX Runtime itself fuses
while it loads, nor runs with an io_binding. Needs the package onnx.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from attnfuzz_record._arrays import from_numpy
from attnfuzz_record._call import Call
from attnfuzz_record._imports import Replaced
from attnfuzz_record._onnx_nodes import NODES, heads
from attnfuzz_record._recorder import Caught, Recorder


@dataclass
class Node:
    """An attention node of a model: its operator, attributes, and the names of its inputs and first output."""

    kind: tuple[str, str]
    name: str
    attributes: dict[str, Any]
    inputs: list[str]
    output: str


def nodes_of(model: Any) -> list[Node]:
    from onnx import helper

    found = []
    for each in model.graph.node:
        kind = ("" if each.domain == "ai.onnx" else each.domain, each.op_type)
        if kind in NODES:
            values = {a.name: helper.get_attribute_value(a) for a in each.attribute}
            found.append(Node(kind, each.name or each.output[0], values, list(each.input), each.output[0]))
    return found


def extended(model: Any, nodes: list[Node]) -> Any:
    """The model with the nodes' tensors as outputs, less those that it has, and its inputs and initializers, which are
    known.
    """
    import onnx

    constants = {each.name for each in model.graph.initializer}
    have = {each.name for each in (*model.graph.output, *model.graph.input)} | constants
    wanted = [name for node in nodes for name in (*node.inputs, node.output) if name]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in dict.fromkeys(wanted) if name not in have)
    return model


def install(runtime: ModuleType, recorder: Recorder, replaced: Replaced) -> None:
    kind = runtime.InferenceSession
    make, run, get_outputs = kind.__init__, kind.run, kind.get_outputs

    def __init__(self: Any, path_or_bytes: Any, *args: Any, **kwargs: Any) -> None:
        self._attnfuzz = None
        if recorder.running:
            path_or_bytes = prepare(self, path_or_bytes, recorder)
        make(self, path_or_bytes, *args, **kwargs)

    def _get_outputs(self: Any) -> Any:
        found = get_outputs(self)
        return found if self._attnfuzz is None else found[:self._attnfuzz.own]

    def _run(self: Any, output_names: Any, input_feed: Any, run_options: Any = None) -> Any:
        session = self._attnfuzz
        names = list(output_names) if output_names else [each.name for each in _get_outputs(self)]
        if session is None or not recorder.running:
            return run(self, names, input_feed, run_options)
        return session.run(lambda wanted: run(self, wanted, input_feed, run_options), names, input_feed, recorder)

    for name, value in (("__init__", __init__), ("run", _run), ("get_outputs", _get_outputs)):
        replaced.attribute(kind, name, value)


@dataclass
class Session:
    """What is known of a session's model: its attention nodes, its constants, and how many outputs are its own."""

    nodes: list[Node]
    constants: dict[str, Any]
    own: int

    def run(self, run: Any, names: list[str], feed: Any, recorder: Recorder) -> Any:
        """One run; the nodes' tensors come out of it beside the outputs, where a call is to be kept."""
        step = recorder.wanted("onnxruntime", id(self))
        if step is None:
            return run(names)
        known = {**self.constants, **feed}
        more = [name for node in self.nodes for name in (*node.inputs, node.output) if name and name not in known]
        more = [name for name in dict.fromkeys(more) if name not in names]
        results = run([*names, *more])
        known |= dict(zip([*names, *more], results))
        for node in self.nodes:
            self.keep(node, known, recorder, step)
        return results[:len(names)]

    @staticmethod
    def keep(node: Node, known: dict[str, Any], recorder: Recorder, step: int) -> None:
        def describe(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
            inputs = [from_numpy(known[name]) if name else None for name in node.inputs]
            call = NODES[node.kind](node.attributes, inputs)
            call.options = {name: value for name, value in node.attributes.items() if isinstance(value, (int, float))}
            return call

        def results(call: Call, out: Any) -> None:
            call.outputs["out"] = heads(from_numpy(out), call.sizes["num_heads"])

        function = f"{node.kind[0] or 'ai.onnx'} {node.kind[1]}"
        recorder.seen(Caught(function, describe, results), known[node.output], node.name, step)


def prepare(session: Any, path_or_bytes: Any, recorder: Recorder) -> Any:
    """The model to load in place of the given one; the given one where nothing of it can be caught."""
    try:
        import onnx
        from onnx import numpy_helper

        if isinstance(path_or_bytes, (str, os.PathLike)):
            if not str(path_or_bytes).endswith(".onnx"):
                return path_or_bytes
            model = onnx.load(str(Path(path_or_bytes)))
        else:
            model = onnx.load_model_from_string(path_or_bytes)
        nodes = nodes_of(model)
        if not nodes:
            return path_or_bytes
        wanted = {name for node in nodes for name in node.inputs}
        constants = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer if each.name in wanted}
        own = len(model.graph.output)
        changed = extended(model, nodes).SerializeToString()
        session._attnfuzz = Session(nodes, constants, own)
        return changed
    except Exception as error:
        recorder.folder.not_kept(f"a session's model cannot be changed: {type(error).__name__}: {error}", "onnxruntime")
        return path_or_bytes


WATCHES = {"onnxruntime": install}
