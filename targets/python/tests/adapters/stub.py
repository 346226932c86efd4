"""Targets that do one thing each, for python_targets_test.cpp."""
import os
import time

import numpy as np
from attnfuzz_worker import Declined


class Stub:
    version = "1"
    capabilities = {"features": ["dtype:f32", "layout:bhsd"]}

    def __init__(self, name, act):
        self.name, self.act = f"stub:{name}", act

    def run(self, case, tensors):
        return self.act(case, tensors)


class Threaded(Stub):
    """Its output is the number of threads."""
    capabilities = Stub.capabilities | {"properties": ["thread_invariant"]}
    threads = 1

    def use_threads(self, count):
        self.threads = count

    def run(self, case, tensors):
        return [{"out": np.full_like(tensors["q"], self.threads)}]


def raises(case, tensors):
    raise ValueError("size 8 does not match 2")


def declines(case, tensors):
    raise Declined("head_dim 1: see the manual, page 3")


def half(case, tensors):
    yield {"out": tensors["q"], "lengths": [3, 3]}
    yield {"out": None}
    raise RuntimeError("third step")


ACTS = {
    "echo": lambda case, tensors: [{"out": tensors["q"]}],
    "raises": raises,
    "declines": declines,
    "exits": lambda case, tensors: os._exit(9),
    "aborts": lambda case, tensors: os.abort(),
    "hangs": lambda case, tensors: time.sleep(60),
    "integers": lambda case, tensors: [{"out": np.zeros(3, np.int64)}],
    "widens": lambda case, tensors: [{"out": tensors["q"].astype(np.float64)[..., None]}],
    "half": half,
    "large": lambda case, tensors: [{"out": np.full(3 << 20, 7, np.float32)}],
}


def targets():
    return [*(Stub(name, act) for name, act in ACTS.items()), Threaded("threads", None)]
