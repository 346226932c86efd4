"""Runs the programs that `attnfuzz repro` writes: does one exit with 1 and tell the failure where its case fails, and with 0
where it passes?"""
from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import env
from replay import program

SECONDS = 300  # of one program


def fault(case: Path, target: str, environment: str, found: dict) -> str | None:
    """What the program for this case does that does not go with the verdict and detail that attnfuzz found: "" if it is right,
    None if no program is written that needs the package alone."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "repro.py"
        written = subprocess.run([program(), "repro", case, "-t", f"{target}@{environment}", "-o", file], text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if written.returncode != 0:
            return written.stdout.strip()
        if file.read_text().startswith("#!"):
            return None
        try:
            done = subprocess.run([env.python(environment), file], cwd=folder, text=True, timeout=SECONDS,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        except subprocess.TimeoutExpired:
            return f"does not end in {SECONDS} s"
    right = int(found["verdict"].startswith("fail:"))
    if done.returncode != right:
        return f"exits with {done.returncode}, should with {right}:\n{done.stdout}"
    words = found["detail"].split("\n")[0] if found["verdict"] == "fail:error" else "should be" if right else ""
    return "" if words in done.stdout else f"does not say {words!r}:\n{done.stdout}"
