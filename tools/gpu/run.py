"""Runs the steps of steps.py on this machine, in so many minutes, with python3 and what lies beside this file alone.

    run.sh --minutes 8 --out OUT [--only STEP…] [--list]

OUT holds machine.json (what is here), results.jsonl (a line for each part, written as it ends), table.md (the table so
far), current.log (what the running step's parts printed) and details.tar (each step's logs, summaries and reports).
A step's failure is never the next one's. Without a GPU the device's steps say "no GPU here", and Python packages are
tested on the CPU.
Results of an earlier run in OUT are kept aside, in OUT/before-1 and so on; with --only on the same device they stay,
and a row is replaced only by one that tells as much.
Exit: 0 all went through (findings are results), 2 wrong usage, 3 a part did not: it failed, or had no time.
"""
from __future__ import annotations

import argparse
import atexit
import math
import os
import shutil
import signal
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cases
import device
from results import (
    NO_DEVICE,
    OUT_OF_TIME,
    Results,
    of_a_campaign,
    of_a_device,
    of_a_program,
    row_of,
)
from running import Running
from steps import SEED, STARTING, STEPS, Part, Step

HERE = Path(__file__).resolve().parent
BUNDLE = HERE.parent
FINISH = 12.0  # seconds kept for the last files, and for a process that has to be killed; of a short run a tenth
GRACE = 8.0  # seconds from being asked to stop to being killed; of a short run a tenth
LEAST = 3.0  # seconds of a part, on a fast machine: with less it is left out
WORTH = 2.5  # a package's campaign has this many times what an import of PyTorch takes here, or it would only start
IMPORTS = """
import subprocess, sys, time
for name in ("torch", "torch", "triton", "jax", "transformers", "fla.ops"):
    start = time.monotonic()
    subprocess.run([sys.executable, "-c", f"import {name}"], stderr=subprocess.DEVNULL)
    print(time.monotonic() - start, flush=True)
"""  # each in a process of its own: one that crashes is not the others' trouble


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.sh", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--out", type=Path, default=Path("out/gpu"))
    parser.add_argument("--only", nargs="+", metavar="STEP", help="these steps alone",
                        choices=[step.name for step in STEPS])
    parser.add_argument("--list", action="store_true", help="the steps, and nothing else")
    options = parser.parse_args(arguments)
    if not 0 < options.minutes < math.inf:
        parser.error(f"expected --minutes above 0, found {options.minutes:g}")
    try:
        if not options.list:
            options.out.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=options.out).close()
    except OSError as error:
        parser.error(f"--out {options.out}: expected a folder that can be written to: {error.strerror}")
    return options


def say(words: str) -> None:
    """On the terminal, where there is still one."""
    try:
        print(words, flush=True)
    except OSError:
        sys.stdout = open(os.devnull, "w")


class Run:
    def __init__(self, options: argparse.Namespace, started: float):
        self.started, self.seconds = started, 60 * options.minutes
        seconds = self.seconds
        self.only, self.grace = options.only, min(GRACE, seconds / 10)
        self.last = started + seconds - min(FINISH, seconds / 10)  # nothing of a part lives longer
        self.end = self.last - self.grace
        self.least, self.most_least = LEAST, seconds / 8  # seconds of a package's campaign: with less it is left out
        self.imported_at = started + seconds / 4  # at the latest
        self.work = Path(tempfile.mkdtemp(prefix="attnfuzz-gpu-"))
        atexit.register(shutil.rmtree, self.work, ignore_errors=True)
        self.found = device.survey(BUNDLE / "site")
        self.has_gpu = "missing" not in self.found["device"]
        self.results = Results(options.out, self.found, self.only)
        self.jobs = max(1, min(14, (os.cpu_count() or 2) - 2))
        self.environment = os.environ | {
            "ATTNFUZZ_PYTHON": sys.executable, "PYTHONPATH": str(BUNDLE / "site"), "PYTHONUNBUFFERED": "1",
            "ATTNFUZZ_HOME": str(BUNDLE / "share" / "attnfuzz"), "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
            "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1",
            # A worker's memory is its process group's, and there are as many workers as processors.
            "TORCHINDUCTOR_COMPILE_THREADS": "1",
            "JAX_COMPILATION_CACHE_DIR": str(self.work / "jax")}
        cases.write(self.work / "cases")
        self.load = device.Load(self.found["device"]) if self.has_gpu else None
        self.warming = self.warm()

    def warm(self) -> Running:
        """Imports the packages: the first time takes a cold disk half a minute, while our own kernels are run."""
        return Running([sys.executable, "-c", IMPORTS], self.work / "imports.txt", self.environment,
                       seconds=self.end - time.monotonic(), grace=0, last=self.last)

    def await_imports(self) -> None:
        """Before a package's campaign. A machine where imports take long has fewer campaigns, and longer ones."""
        while len(times := self.warming.said().split()) < 2 and time.monotonic() < self.imported_at:
            if self.warming.ended():
                break
            time.sleep(0.05)
        warm = float(times[1]) if len(times) > 1 else self.most_least  # PyTorch's, from a disk that has been read
        self.least = max(LEAST, min(WORTH * warm, self.most_least))

    def command(self, part: Part, seconds: float) -> list[str]:
        filled = {"bin": BUNDLE / "bin", "here": HERE, "python": sys.executable, "jobs": self.jobs,
                  "cases": self.work / "cases", "corpus": BUNDLE / "share" / "attnfuzz" / "corpus"}
        if part.argv:
            return [word.format(**filled) for word in part.argv]
        flags = [word.format(**filled) for word in part.flags]
        if part.timed:
            flags += ["--time", f"{max(1, int(seconds * (1 - STARTING)))}s"]
        return [str(BUNDLE / "bin" / "attnfuzz"), "run", "-t", self.target(part), "--seed", str(SEED),
                "--memory", "24G", "--timeout", f"{part.patience(seconds):.1f}s", "--format", "json,md", "-o", str(self.work / part.name / "out"), *flags]

    def target(self, part: Part) -> str:
        return part.target if self.has_gpu or not part.stand_in else part.stand_in

    def rejection_reason(self, step: Step, part: Part) -> str:
        """Why a part is not run; empty if it is."""
        if not self.has_gpu and not part.stand_in:
            return NO_DEVICE
        return f"not here: no {step.needs}" if step.needs and not shutil.which(step.needs) else ""

    def start(self, part: Part, seconds: float, log) -> Running:
        folder = self.work / part.name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        argv = self.command(part, seconds)
        log.write(f"$ {' '.join(argv)}\n")
        log.flush()
        return Running(argv, folder / "log.txt", self.environment, seconds, self.grace, self.last)

    def row(self, step: Step, part: Part, running: Running) -> dict:
        now, target = time.monotonic(), self.target(part)
        row = row_of(step, part, target, "", now - running.started)
        row |= of_a_program(running) if part.argv else of_a_campaign(running, self.work / part.name / "out", target,
                                                                     part.wrong)
        if self.has_gpu:
            row = of_a_device(row, target)
        if self.load and (busy := self.load.between(running.started, now)) is not None:
            row["gpu_percent"] = round(busy, 1)
            row["gpu_shared"] = step.together  # by all that ran at once
        return row

    def step(self, step: Step, seconds: float, rows: list[dict]) -> None:
        """Adds its rows, each written as its part ends. Parts that run one after another share the step's time."""
        waiting, end = list(step.parts), min(time.monotonic() + seconds, self.end)
        running: list[tuple[Part, Running]] = []

        def came(row: dict) -> None:
            rows.append(row)
            self.results.add(row)

        with (self.results.out / "current.log").open("w", encoding="utf-8") as log:
            try:
                while waiting or running:
                    while waiting and (step.together or not running):
                        part, left = waiting.pop(0), end - time.monotonic()
                        least = self.least if part.of_a_package else LEAST
                        at_most = left if rows else self.end - time.monotonic()  # a step's first part has enough
                        share = left if step.together else max(left / (len(waiting) + 1), min(least, at_most))
                        if why := self.rejection_reason(step, part) or ("" if share >= least else OUT_OF_TIME):
                            came(row_of(step, part, self.target(part), why))
                            continue
                        try:
                            running.append((part, self.start(part, share, log)))
                        except OSError as error:
                            came(row_of(step, part, self.target(part), f"failed: {error}"))
                    for part, process in [each for each in running if each[1].ended()]:
                        running.remove((part, process))
                        log.write(process.said())
                        log.flush()
                        came(self.row(step, part, process))
                    time.sleep(0.05)
            finally:
                self.end_all(step, running, came)  # if this run is being ended

    def end_all(self, step: Step, running: list[tuple[Part, Running]], came: Callable[[dict], None]) -> None:
        for _, process in running:
            process.kill()
        for part, process in running:
            process.end_now()
            try:
                came(self.row(step, part, process))
            except OSError as error:
                say(f"{part.name}: {error}")

    def several(self, steps: list[Step]) -> None:
        for number, step in enumerate(steps):
            began = time.monotonic()
            if self.runs_something(step) and step.parts[0].of_a_package:
                self.await_imports()
            left = self.end - time.monotonic()
            shares = sum(later.share for later in steps[number:] if later is step or self.runs_something(later))
            rows: list[dict] = []
            try:
                self.step(step, left * step.share / shares, rows)
            except Exception as error:  # of ours, or a full disk: the next step is run all the same
                say(f"{step.name}: {type(error).__name__}: {error}")
                had = {row["part"] for row in rows}
                rows += [row_of(step, part, self.target(part), f"failed: {type(error).__name__}") for part in step.parts
                         if part.name not in had]
                for row in rows[len(had):]:
                    self.results.take(row)  # written with the next one
            finally:
                self.keep_details(step)
            say(f"[{number + 1}/{len(steps)}] {step.name}: {step_words(rows)} ({time.monotonic() - began:.0f} s)")

    def keep_details(self, step: Step) -> None:
        try:
            self.results.keep_details(step, self.work)
        except (OSError, tarfile.TarError) as error:
            say(f"details.tar: {error}")
        for part in step.parts:
            shutil.rmtree(self.work / part.name, ignore_errors=True)

    def runs_something(self, step: Step) -> bool:
        return any(not self.rejection_reason(step, part) for part in step.parts)

    def all(self) -> int:
        if self.results.aside:
            say(f"the results of an earlier run are kept in {self.results.aside}")
        say(device.words(self.found))
        steps = [step for step in STEPS if not self.only or step.name in self.only]
        self.several(steps)
        late = {row["part"]: row["seconds"] for row in self.results.new.values() if row["status"] == OUT_OF_TIME}
        again = (some_of(steps, [part for part, seconds in late.items() if not seconds]) +  # never begun: they come first
                 some_of(steps, [part for part, seconds in late.items() if seconds]))
        if again and self.end - time.monotonic() > self.least:
            say("again, in the time that is left:")
            self.several(again)
        say("\n" + (self.results.out / "table.md").read_text(encoding="utf-8"))
        say(f"{time.monotonic() - self.started:.0f} s of {self.seconds:.0f}; send back all of {self.results.out}")
        left = [row for row in self.results.new.values() if row["status"].startswith(("failed", OUT_OF_TIME))]
        if left:
            say(f"not through: --only {' '.join(dict.fromkeys(row['step'] for row in left))} runs them again")
        return 3 if left else 0

    def close(self) -> None:
        if self.load:
            self.load.stop()
        self.warming.kill()


def some_of(steps: list[Step], parts: list[str]) -> list[Step]:
    chosen = [replace(step, parts=[part for part in step.parts if part.name in parts]) for step in steps]
    return [step for step in chosen if step.parts]


def step_words(rows: list[dict]) -> str:
    """A step in one line."""
    said = []
    for status in dict.fromkeys(row["status"] for row in rows):
        same = [row for row in rows if row["status"] == status]
        said.append(status if len(same) == len(rows) else f"{len(same)} {status}")
    cases_run, failures = sum(row.get("cases", 0) for row in rows), sum(row.get("failed", 0) for row in rows)
    words = "; ".join(said)[:160]
    return words + (f"; {cases_run} cases, {failures} failed" if cases_run else "")


def main(arguments: list[str]) -> int:
    started = time.monotonic()
    options = parse(arguments)
    if options.list:
        for step in STEPS:
            print(f"{step.name:14} {step.about}")
        return 0
    sys.stdout.reconfigure(errors="replace")
    ends = [each for each in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
            if signal.getsignal(each) != signal.SIG_IGN]  # nohup's, say
    for each in ends:
        signal.signal(each, end)
    run = Run(options, started)
    try:
        return run.all()
    finally:
        run.close()


def end(number: int, _frame: object) -> None:
    """Ends what runs too; once is enough."""
    for each in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
