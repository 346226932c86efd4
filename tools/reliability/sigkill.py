#!/usr/bin/env python3
"""Kills attnfuzz at random moments, and holds its store against what it had printed.

    tools/reliability/sigkill.py [--kills 200] [--program build/release/attnfuzz] [--jobs 2]

Every finding whose report had been announced must be in the store, which must open, and its folder
must be whole. Prints a line at the end; exit 1 where something was lost."""
import argparse
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TARGETS = ["specimen:llama4-chunked-eager", "specimen:gla-cache-offset", "specimen:sdpa-causal-top-left",
           "specimen:softcap-after-mask", "specimen:gqa-tiled-heads"]


def announced(text):
    """The folders of the findings that were printed to the end of their line."""
    return set(re.findall(r"^  report: .*/findings/([^/\n]+)/report\.md\n", text, re.MULTILINE))


def run_and_kill(program, out, seed, jobs, seconds):
    words = [program, "run", "--cases", "4000", "--seed", str(seed), "--no-corpus", "--jobs", str(jobs),
             "--out", str(out)]
    for target in TARGETS:
        words += ["-t", target]
    with open(out.parent / "printed", "w+") as printed:
        process = subprocess.Popen(words, stdout=printed, stderr=subprocess.DEVNULL)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        printed.seek(0)
        return printed.read(), process.returncode


def stored(program, out):
    """What a report made from the store alone knows."""
    done = subprocess.run([program, "report", str(out), "--format", "json"], capture_output=True, text=True)
    if done.returncode not in (0, 1):
        return None, done.stderr
    return {f["signature"] for f in json.loads((out / "summary.json").read_text())["findings"]}, ""


def lost_in(program, out, text):
    """Why the folder is not as it must be; empty if it is."""
    wanted = announced(text)
    if not (out / "findings.sqlite").exists():
        return "no store" if wanted else ""
    known, error = stored(program, out)
    if known is None:  # killed before it had its tables
        return f"the store does not open: {error.strip()}" if wanted else ""
    if not wanted <= known:
        return f"not in the store: {sorted(wanted - known)}"
    for signature in wanted:
        json.loads((out / "findings" / signature / "case.json").read_text())
    return ""


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--program", default="build/release/attnfuzz")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--longest", type=float, default=1.5, help="seconds before a kill")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    program = os.path.abspath(options.program)
    moments = random.Random(options.seed)
    lost, killed, findings = [], 0, 0
    start = time.time()
    while killed < options.kills:
        dir = pathlib.Path(tempfile.mkdtemp(prefix="attnfuzz-kill-"))
        text, code = run_and_kill(program, dir / "out", killed, options.jobs,
                                  moments.uniform(0.02, options.longest))
        if code == -signal.SIGKILL:
            killed += 1
            findings += len(announced(text))
            if why := lost_in(program, dir / "out", text):
                lost.append(why)
                print(why, file=sys.stderr)
        shutil.rmtree(dir)
    print(f"{killed} kills in {time.time() - start:.0f} s, {findings} findings announced before them, "
          f"{len(lost)} runs that lost one")
    return 1 if lost or findings == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
