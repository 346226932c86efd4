"""Runs Python packages under test for attnfuzz, one case at a time.

    worker.py --list               one JSON line on fd 3: every target of the adapters, with what is missing for it
    worker.py python:MODULE:FUNCTION    serves that function (the package attnfuzz is needed for it)
    worker.py PACKAGE:NAME[@ENV]   serves that target until its parent closes fd 3; ENV, the environment whose interpreter
                                   runs this, is a part of the name that the target then goes by

fd 3 is a socket (one JSON line a message), fd 4 shared memory with the tensors; both are made by targets/remote.cpp, and
the messages are written down in targets/protocol.h. stdout and stderr are the package's own.
"""
from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import json
import mmap
import os
import socket
import sys
import time
from pathlib import Path

PROTOCOL = 1
ADAPTERS = Path(os.environ.get("ATTNFUZZ_ADAPTERS") or Path(__file__).resolve().parent / "adapters")
ALIGN = 64
MORE_OUTPUTS = ("lse", "dq", "dk", "dv", "dbias", "dsinks", "dmem_k", "dmem_v")  # beside out


def requirements(file: Path) -> list[str]:
    """The adapter's REQUIRES (names of distributions), read without running it."""
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Assign) and any(getattr(t, "id", None) == "REQUIRES" for t in node.targets):
            return list(ast.literal_eval(node.value))
    return []


def missing(file: Path) -> str:
    """The first required distribution that is not installed, empty if all are."""
    for name in requirements(file):
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return name
    return ""


def load(file: Path) -> dict:
    """The adapter's targets by name."""
    spec = importlib.util.spec_from_file_location(f"attnfuzz_adapters_{file.stem}", file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pickle look modules up by name
    spec.loader.exec_module(module)
    return {target.name: target for target in module.targets()}


def sendable(text: str) -> str:
    """Without the lone surrogates of names that are not UTF-8, which JSON has no way to say."""
    return text.encode("utf-8", "backslashreplace").decode()


def package_of(file: Path) -> str:
    return file.stem.replace("_", "-")


def describe(target) -> dict:
    return {"name": target.name, "version": str(target.version), "about": getattr(target, "about", ""),
            "capabilities": target.capabilities}


def environment() -> str:
    """The versions that a report tells beside the package's own."""
    return f"Python {sys.version.split()[0]}, NumPy {importlib.metadata.version('numpy')}"


def no_device(target) -> str:
    """Why the target's device (its `device`, without one the CPU) can't be had here; empty if it can."""
    from attnfuzz_worker import has_gpu

    return "no GPU here" if getattr(target, "device", "cpu") == "cuda" and not has_gpu() else ""


def touch(target) -> None:
    """One kernel on the device of a target of PyTorch: where that fails (a build without CUDA, a driver that is too old)
    the target can't be had here, and no case is to blame."""
    if getattr(target, "device", "cpu") == "cuda" and (torch := sys.modules.get("torch")):
        torch.ones(2, device="cuda").sum().item()


def surveyed(target) -> dict:
    if why_not := no_device(target):
        return describe(target) | {"capabilities": None, "missing": why_not}
    entry = describe(target) | {"missing": ""}
    json.dumps(entry, allow_nan=False)  # what can't be sent is the adapter's fault alone
    return entry


def survey(file: Path) -> list[dict]:
    """One entry for each target of an adapter, or one that says why it has none here."""
    absent = {"name": package_of(file), "version": "", "about": "", "capabilities": None}
    try:
        if name := missing(file):
            return [absent | {"missing": f"not installed: {name}"}]
        return [surveyed(target) for target in load(file).values()]
    except ModuleNotFoundError as e:
        return [absent | {"missing": f"not installed: {e.name}"}]
    except (Exception, SystemExit) as e:
        return [absent | {"missing": sendable(f"adapter {file.name}: {type(e).__name__}: {e}")}]


def find(name: str) -> tuple[object | None, str]:
    """The target, or why there is none."""
    if name.startswith("python:"):  # a function, by its import path
        return function(name)
    file = ADAPTERS / (name.partition(":")[0].replace("-", "_") + ".py")
    if not file.is_file():
        return None, "this package has no adapter; `attnfuzz targets` lists the targets that there are"
    if absent := missing(file):
        return None, f"not installed: {absent}"
    try:
        targets = load(file)
    except ModuleNotFoundError as e:
        return None, f"not installed: {e.name}"
    if name not in targets:
        return None, f"expected one of {', '.join(targets)}"
    why_not = no_device(targets[name])
    return (None, why_not) if why_not else (targets[name], "")


def function(name: str) -> tuple[object | None, str]:
    """The target python:MODULE:FUNCTION, or why there is none."""
    sys.path.extend(filter(None, [os.environ.get("ATTNFUZZ_PACKAGE")]))
    try:
        from attnfuzz import _isolate
    except ModuleNotFoundError as e:
        return None, f"Python functions need attnfuzz's Python package: {e}"
    return _isolate.served(name)


class Memory:
    """The shared memory, mapped anew when either side has made it longer."""

    def __init__(self, fd: int):
        self.fd, self.map = fd, None

    def reach(self, size: int) -> mmap.mmap:
        if self.map is None or len(self.map) < size:
            if os.fstat(self.fd).st_size < size:
                os.ftruncate(self.fd, size)
            self.map = mmap.mmap(self.fd, os.fstat(self.fd).st_size)  # arrays keep the old map alive
        return self.map


class Server:
    """Answers one request after another."""

    def __init__(self, target, memory: Memory):
        import numpy

        from attnfuzz_guard import make_guard
        from attnfuzz_strides import lay_out
        from attnfuzz_worker import NUMPY_TYPES

        self.lay_out = lay_out
        self.guard = make_guard()
        self.np, self.target, self.memory = numpy, target, memory
        self.types = {name: numpy.dtype(t) for name, t in NUMPY_TYPES.items()}
        self.names = {t: name for name, t in reversed(self.types.items())}  # uint8 is told apart by the case

    def inputs(self, request: dict) -> dict:
        buffer = self.memory.reach(request["free"])
        tensors = {}
        for name, dtype, shape, offset in request["tensors"]:
            kind, count = self.types[dtype], 1
            for n in shape:
                count *= n
            if not count:
                tensors[name] = self.np.zeros(shape, kind)
                continue
            tensors[name] = self.np.frombuffer(buffer, kind, count, offset).reshape(shape)
        if not self.guard:
            return self.lay_out(request["case"], tensors)
        seed = request["case"]["data"].get("seed", 0)
        laid = self.lay_out(request["case"], tensors, lambda name, memory: self.guard.guarded(name, memory, seed))
        return {name: self.guard.guarded(name, array, seed) if array is tensors[name] and array.size else array
                for name, array in laid.items()}

    def output(self, array, case_dtype: str, free: int) -> tuple[list, int]:
        """[dtype, shape, offset] of an array copied into the shared memory, and where the next one goes."""
        array = self.np.asarray(array)
        name = case_dtype if array.dtype == self.types[case_dtype] else self.names.get(array.dtype, str(array.dtype))
        name = "bf16" if name == "bfloat16" else name
        if name not in self.types:
            raise TypeError(f"the output's dtype is {array.dtype}")
        if array.nbytes:
            view = self.memory.reach(free + array.nbytes)
            self.np.copyto(self.np.frombuffer(view, array.dtype, array.size, free).reshape(array.shape), array)
        return [name, list(array.shape), free], (free + array.nbytes + ALIGN - 1) // ALIGN * ALIGN

    def steps(self, case: dict, tensors: dict):
        """What the target gives, step by step; self.seconds: what it took for them, without our own copying."""
        self.seconds, start = 0.0, time.perf_counter()
        for step in self.target.run(case, tensors):
            self.seconds += time.perf_counter() - start
            yield step
            start = time.perf_counter()
        self.seconds += time.perf_counter() - start

    def answer(self, request: dict) -> dict:
        from attnfuzz_worker import Declined

        reply, steps, free = {"id": request["id"], "status": "ok", "text": ""}, [], request["free"]
        try:
            if "threads" in request:
                self.target.use_threads(request["threads"])
            case, tensors = request["case"], self.inputs(request)
            for step in self.steps(case, tensors):
                out, free = (None, free) if step.get("out") is None else self.output(
                    step["out"], case["problem"]["dtype"], free)
                steps.append({"out": out, "lengths": [int(n) for n in step.get("lengths") or ()]})
                for name in MORE_OUTPUTS:
                    if step.get(name) is not None:
                        placed, free = self.output(step[name], case["problem"]["dtype"], free)
                        steps[-1].setdefault("more", {})[name] = placed
                if step.get("positions") is not None:
                    steps[-1]["positions"] = [int(n) for n in step["positions"]]
                if step.get("capacity") is not None:
                    steps[-1]["capacity"] = int(step["capacity"])
        except Declined as e:
            reply |= {"status": "declined", "text": str(e)}
        except MemoryError as e:
            reply |= {"status": "memory", "text": f"MemoryError: {e}"}
        except Exception as e:
            reply |= {"status": "error", "text": f"{type(e).__name__}: {e}"}
        else:
            reply["seconds"] = self.seconds
        if getattr(self.target, "spent", False):
            reply["final"] = True
        return reply | {"text": sendable(reply["text"]), "steps": steps}


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # cases are small; campaigns run one worker a core
    os.set_inheritable(3, False)
    os.set_inheritable(4, False)
    channel = socket.socket(fileno=3)
    lines = channel.makefile("rb", buffering=1 << 16)

    def send(message: dict) -> None:
        channel.sendall(json.dumps(message, separators=(",", ":")).encode() + b"\n")

    if arguments[0] == "--list":
        send({"attnfuzz_worker": PROTOCOL, "targets": [t for f in sorted(ADAPTERS.glob("*.py")) for t in survey(f)]})
        return 0
    target, why_not = find(arguments[0].partition("@")[0])
    if target is None:
        send({"attnfuzz_worker": PROTOCOL, "missing": why_not})
        return 0
    if hasattr(target, "load"):
        target.load()
    touch(target)
    server = Server(target, Memory(4))
    send({"attnfuzz_worker": PROTOCOL, "target": describe(target) | {"name": arguments[0], "environment": environment()}})
    for line in lines:
        reply = server.answer(json.loads(line))
        send(reply)
        if reply.get("final"):  # the process can do no more: its device has faulted
            break
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
