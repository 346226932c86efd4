"""What recording costs a program: the time of a decode loop without it, and with it when calls are not kept, or kept.

    record_overhead.py [--hidden 512] [--layers 8] [--tokens 64] [--repeats 5]

The program is a small decoder of PyTorch alone on one thread (attention, and a feed-forward layer of four times its
width), which decodes one token at a time. Printed is the least processor time of the repeats, which take turns, and
each way's ratio to the loop without a recording.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "python_package"))

import torch
from attnfuzz_record import record

HEAD_DIM = 64


class Layer(torch.nn.Module):
    def __init__(self, hidden: int):
        super().__init__()
        self.qkv, self.out = torch.nn.Linear(hidden, 3 * hidden), torch.nn.Linear(hidden, hidden)
        self.feed = torch.nn.Sequential(torch.nn.Linear(hidden, 4 * hidden), torch.nn.GELU(),
                                        torch.nn.Linear(4 * hidden, hidden))
        self.keys = self.values = torch.zeros(0)

    def forward(self, x: Any) -> Any:
        batch, length, hidden = x.shape
        q, k, v = self.qkv(x).view(batch, length, 3, -1, HEAD_DIM).permute(2, 0, 3, 1, 4)
        self.keys = torch.cat([self.keys, k], 2) if self.keys.numel() else k
        self.values = torch.cat([self.values, v], 2) if self.values.numel() else v
        seen = torch.nn.functional.scaled_dot_product_attention(q, self.keys, self.values, is_causal=length > 1)
        x = x + self.out(seen.transpose(1, 2).reshape(batch, length, hidden))
        return x + self.feed(x)


def decode(model: torch.nn.Sequential, hidden: int, tokens: int) -> float:
    """Seconds of the processor for a prompt of 32 tokens and so many steps."""
    for layer in model:
        layer.keys = layer.values = torch.zeros(0)
    x, one = torch.randn(1, 32, hidden), torch.randn(1, 1, hidden)
    begin = time.process_time()
    with torch.inference_mode():
        model(x)
        for _ in range(tokens):
            model(one)
    return time.process_time() - begin


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("hidden", 512), ("layers", 8), ("tokens", 64), ("repeats", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = torch.nn.Sequential(*(Layer(options.hidden) for _ in range(options.layers))).eval()
    folder = tempfile.mkdtemp()
    ways: dict[str, Callable[[], Any]] = {
        "without": nullcontext,
        "limit reached": lambda: record(folder, calls=1),
        "every 64th call": lambda: record(folder, every=64, calls=10**6),
        "only what is new": lambda: record(folder, new=True, calls=1),
        "all calls kept": lambda: record(folder, calls=10**6, megabytes=10**6),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    decode(model, options.hidden, options.tokens)
    for _ in range(options.repeats):
        for name, way in ways.items():
            with way():
                times[name].append(decode(model, options.hidden, options.tokens))
    calls = options.layers * (options.tokens + 1)
    base = min(times["without"])
    print(f"{calls} calls, hidden {options.hidden}, {options.layers} layers, one thread, PyTorch {torch.__version__}")
    print("| recording | seconds | ratio | µs a call more |\n|---|---|---|---|")
    for name, each in times.items():
        print(f"| {name} | {min(each):.3f} | {min(each) / base:.3f} | {(min(each) - base) / calls * 1e6:.1f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
