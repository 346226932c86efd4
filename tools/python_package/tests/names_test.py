"""Names of what is tested: functions, methods, layers, and the calls that make them."""

import subprocess
import sys

import pytest

import attnfuzz
from attnfuzz import _isolate

SOURCE = '''
import numpy as np

def attention(q, k, v, scale=None):
    s = q @ k.swapaxes(-1, -2) * (q.shape[-1] ** -0.5 if scale is None else scale)
    p = np.exp(s - s.max(-1, keepdims=True))
    return (p / p.sum(-1, keepdims=True) @ v).astype(q.dtype)

class Layer:
    def __init__(self, factor=1.0, bias=None):
        self.factor = factor

    def __call__(self, q, k, v):
        return attention(q, k, v) * np.float32(self.factor)

    def run(self, q, k, v):
        return self(q, k, v)

class Quiet:
    def __init__(self, *, dropout_prob: float, biases: "dict | None"):
        assert dropout_prob == 0 and biases is None

    def __call__(self, q, k, v):
        return attention(q, k, v)

class Needy:
    def __init__(self, dim):
        self.dim = dim

double = Layer(2.0)
'''


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "layers_of_a_test.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    yield "layers_of_a_test"
    sys.modules.pop("layers_of_a_test", None)


@pytest.mark.parametrize("path, right", [
    ("attention", True),
    ("Layer", True),
    ("Layer()", True),
    ("Quiet", True),
    ("Layer(factor=2.0)", False),
    ("Layer(2.0, bias=attention)", False),
    ("Layer(1.0).run", True),
    ("double", False),
    ("double.run", False),
])
def test_what_a_name_stands_for(module, path, right):
    fn = attnfuzz.load(f"{module}:{path}")
    assert _isolate.place_of(fn).path == path
    result = attnfuzz.check(fn, cases=10, stop_after=1, max_shrink_tries=0, isolate=True)
    assert bool(result) is right and result.target == f"python:{module}:{path}"


@pytest.mark.parametrize("path, words", [
    ("Needy", r"Needy\(dim\) can't be called so: TypeError: .*expected its arguments, as in module:Class"),
    ("Layer(", "expected a name, or a call"),
    ("Layer(1 + open)", "expected a literal or a name as an argument, found 1 . open"),
    ("[attention]", "expected names, dots and calls"),
    ("nothing", "has no attribute 'nothing'"),
])
def test_names_that_are_none(module, path, words):
    with pytest.raises(attnfuzz.InputError, match=words):
        attnfuzz.load(f"{module}:{path}")


def test_a_layer_of_torch_drops_nothing_and_its_function_is_applied(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    (tmp_path / "torch_layers_of_a_test.py").write_text('''
import torch
class Drops(torch.nn.Module):
    def __init__(self, rate):
        super().__init__()
        self.drop = torch.nn.Dropout(rate)
    def forward(self, q, k, v):
        return self.drop(torch.softmax(q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5, -1)) @ v
class Function(torch.autograd.Function):
    @staticmethod
    def forward(ctx, q, k, v, scale=None):
        return torch.softmax(q @ k.transpose(-1, -2) * (scale or q.shape[-1] ** -0.5), -1) @ v
''')
    monkeypatch.chdir(tmp_path)
    for path in ("Drops(0.5)", "Function"):
        assert attnfuzz.check(attnfuzz.load(f"torch_layers_of_a_test:{path}"), cases=10)
    assert "scale" in attnfuzz.check(attnfuzz.load("torch_layers_of_a_test:Function"), cases=20, isolate=False).covered


def test_the_program_takes_such_a_name(module):
    done = subprocess.run([sys.executable, "-m", "attnfuzz", f"{module}:Layer(2.0)", "--cases", "5"], text=True,
                          capture_output=True)
    assert done.returncode == 1 and f"python:{module}:Layer(2.0)" in done.stdout, done
