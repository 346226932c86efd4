"""Verdicts of one case on one target in one environment, through `attnfuzz replay --json`."""
from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

TIMEOUT = "120s"  # of one case: compiling kernels, or Triton's interpreter


def program() -> str:
    """The attnfuzz to run: $ATTNFUZZ (set by `attnfuzz bisect`), else the checkout's release build."""
    return os.environ.get("ATTNFUZZ") or str(Path(__file__).resolve().parents[2] / "build" / "release" / "attnfuzz")


def verdict(case: Path, target: str) -> dict:
    """{"verdict": "pass" | "fail:KIND" | "skip" | "not run", "version", "signature", "causes", "detail"}, and where the case
    ran "found" (as a case file's "expect" would say it) and, if the file expects something of the target, "as_expected"."""
    done = subprocess.run([program(), "replay", case, "-t", target, "--json", "--timeout", TIMEOUT], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    found = {"version": "", "signature": "", "causes": []}
    if not done.stdout.strip():
        return found | {"verdict": "not run", "detail": done.stderr.strip()}
    return found | json.loads(done.stdout.splitlines()[-1])
