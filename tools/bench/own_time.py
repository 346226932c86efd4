"""Seconds that a Python target itself takes for CASES generated cases, without attnfuzz around it: JSON.

Inputs are made before the clock starts and nothing is judged; what a campaign through the worker takes beyond that is
attnfuzz's overhead. Usage: PYTHONPATH=build/release/python own_time.py PACKAGE:NAME CASES
"""
import json
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "targets" / "python"))

import worker  # noqa: E402
from attnfuzz import _core  # noqa: E402
from attnfuzz_worker import Declined  # noqa: E402

name, cases = sys.argv[1], int(sys.argv[2])
target, rejection_reason = worker.find(name)
if target is None:
    sys.exit(f"{name}: {rejection_reason}")
if hasattr(target, "load"):
    target.load()
claims = json.dumps(target.capabilities)
seconds = 0.0
for index in range(cases):
    text = _core.generate(claims, 1, index)
    case, tensors = json.loads(text), _core.inputs(text)
    start = time.perf_counter()
    try:
        target.run(case, tensors)
    except Declined:
        pass
    seconds += time.perf_counter() - start
print(json.dumps({"cases": cases, "own_seconds": seconds}))
