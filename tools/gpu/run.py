"""Runs the steps of steps.py on this machine, in so many minutes, with python3 and what lies beside this file alone.

    run.sh --minutes 8 --out OUT [--only STEP…] [--list]

OUT holds results.jsonl (a line for each part, written as it ends), table.md (the table so far), current.log (what the running step
prints) and details.tar (each step's log, summaries and findings). A step's failure is never the next one's. Without a GPU the
device's steps say "no GPU here", and Python packages are tested on the CPU.
Exit: 0 all went through (findings are results), 2 wrong usage, 3 a step did not.
"""
from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import cases
import device
from steps import SEED, STEPS, Part, Step
from table import table

HERE = Path(__file__).resolve().parent
BUNDLE = HERE.parent
RESERVE = 12.0  # seconds kept for the end, and for a part that has to be killed; of a short run a tenth
GRACE = 8.0  # seconds from being asked to stop to being killed; of a short run a tenth
LEAST = 3.0  # seconds of a step: with less it is left out
STARTING = 0.25  # the part of a campaign's time that is for imports and the last case
OUT_OF_TIME = "out of time"
IMPORTS = """
import importlib
for name in ("torch", "triton", "jax", "transformers", "fla.ops"):
    try:
        importlib.import_module(name)
    except Exception:
        pass
"""


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--out", type=Path, default=Path("out/gpu"))
    parser.add_argument("--only", nargs="+", metavar="STEP", help="these steps alone", choices=[step.name for step in STEPS])
    parser.add_argument("--list", action="store_true", help="the steps, and nothing else")
    options = parser.parse_args(arguments)
    if options.minutes <= 0:
        parser.error(f"expected --minutes above 0, found {options.minutes:g}")
    return options


class Running:
    """A part's process."""

    def __init__(self, run: Run, part: Part, log, seconds: float):
        self.part, self.dir = part, run.work / part.name
        self.started, self.stopped = time.monotonic(), False
        self.deadline, self.grace = self.started + seconds, run.grace
        self.argv = run.command(part, self.dir, seconds)
        log.write(f"$ {' '.join(map(str, self.argv))}\n")
        log.flush()
        self.said = run.work / f"{part.name}.log"
        with self.said.open("wb") as said:
            self.process = subprocess.Popen(self.argv, stdout=said, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                            env=run.environment, start_new_session=True)

    def ended(self) -> bool:
        """Whether it is over; asks it to stop when its time is up, and then makes it."""
        if self.process.poll() is not None:
            return True
        late = time.monotonic() - self.deadline
        if late > 0 and not self.stopped:
            self.stopped = True
            self.process.send_signal(signal.SIGINT)  # attnfuzz ends the case at hand and writes its reports
        if late > self.grace:
            self.kill()
        return self.process.poll() is not None

    def kill(self) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


class Run:
    def __init__(self, options: argparse.Namespace):
        self.options, self.started = options, time.monotonic()
        self.end = self.started + 60 * options.minutes - min(RESERVE, 6 * options.minutes)
        self.grace = min(GRACE, 6 * options.minutes)
        self.out, self.work = options.out, Path(tempfile.mkdtemp(prefix="attnfuzz-gpu-"))
        self.out.mkdir(parents=True, exist_ok=True)
        self.rows = [row for row in self.earlier() if options.only and row["step"] not in options.only]
        for name in ("details.tar", "results.jsonl") if not options.only else ():
            (self.out / name).unlink(missing_ok=True)
        self.found = device.survey()
        self.has_gpu = "missing" not in self.found["device"]
        self.jobs = max(1, min(14, (os.cpu_count() or 2) - 2))
        self.environment = os.environ | {
            "ATTNFUZZ_PYTHON": sys.executable, "PYTHONPATH": str(BUNDLE / "site"), "PYTHONUNBUFFERED": "1",
            "ATTNFUZZ_HOME": str(BUNDLE / "share" / "attnfuzz"), "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
            "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1", "JAX_COMPILATION_CACHE_DIR": str(self.work / "jax")}
        cases.write(self.work / "cases")
        self.load = device.Load() if self.has_gpu else None
        # The first import of these takes a cold disk half a minute: it happens while our own kernels are run.
        self.warming = subprocess.Popen([sys.executable, "-c", IMPORTS], env=self.environment, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)

    def earlier(self) -> list[dict]:
        file = self.out / "results.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def command(self, part: Part, folder: Path, seconds: float) -> list[str]:
        filled = {"bin": BUNDLE / "bin", "here": HERE, "python": sys.executable, "jobs": self.jobs, "cases": self.work / "cases"}
        if part.argv:
            return [word.format(**filled) for word in part.argv]
        flags = [word.format(**filled) for word in part.flags]
        if part.timed:
            flags += ["--time", f"{max(1, int(seconds * (1 - STARTING)))}s"]
        return [str(BUNDLE / "bin" / "attnfuzz"), "run", "-t", self.target(part), "--seed", str(SEED), "--memory", "24G", "--timeout", "90s",
                "--format", "json,md", "-o", str(folder), *flags]

    def target(self, part: Part) -> str:
        return part.target if self.has_gpu or not part.stand_in else part.stand_in

    def why_not(self, step: Step, part: Part) -> str:
        """Why a part is not run; empty if it is."""
        if not self.has_gpu and not part.stand_in:
            return "no GPU here"
        return f"not here: no {step.needs}" if step.needs and not shutil.which(step.needs) else ""

    def result(self, step: Step, running: Running) -> dict:
        part, now = running.part, time.monotonic()
        row = {"step": step.name, "part": part.name, "target": self.target(part), "seconds": round(now - running.started, 2),
               "exit": running.process.returncode, "status": "done"}
        if self.load and (busy := self.load.between(running.started, now)) is not None:
            row["gpu_percent"] = round(busy, 1)
        said = running.said.read_text(errors="replace")
        last = next((line.strip() for line in reversed(said.splitlines()) if line.strip()), "")
        if part.argv:
            row["said"] = last
            row["status"] = "done" if row["exit"] == 0 else "no GPU here" if row["exit"] == 3 else "failed: " + last[:200]
            return row
        summary = running.dir / "summary.json"
        if not summary.exists():
            last = last.removeprefix("attnfuzz: ").removeprefix(f"{row['target']}: ")
            words = OUT_OF_TIME if running.stopped else "not here: " + last if row["exit"] == 2 else "failed: " + last
            return row | {"status": words[:300]}
        return row | self.summarised(json.loads(summary.read_text()), running.stopped)

    def summarised(self, summary: dict, stopped: bool) -> dict:
        if summary.get("absent"):
            return {"status": summary["absent"][0]["why"]}
        counts = summary["targets"][0]
        findings = [{"signature": f["signature"], "failure": f["failure"], "title": f["title"], "case": f["case"],
                     "version": f["version"], "causes": [cause["name"] for cause in f["causes"]],
                     "found": f["corpus"] or f"{f['index'] + 1} cases", "minimal": f["shrink"]["minimal"]} for f in summary["findings"]]
        row = {name: counts[name] for name in ("cases", "passed", "failed", "skipped", "worst_ratio")}
        row |= {"case_seconds": counts["seconds"], "findings": findings,
                "dtypes": {word[6:]: n for word, n in counts["features"].items() if word.startswith("dtype:")}}
        return row | {"status": "findings" if findings else "stopped in time" if stopped else "done"}

    def step(self, step: Step, seconds: float) -> list[dict]:
        """Its rows. Parts that run one after another share the time that the step has left."""
        log_file = self.out / "current.log"
        waiting, rows, end = list(step.parts), [], time.monotonic() + seconds
        with log_file.open("w") as log:
            running: list[Running] = []
            try:
                while waiting or running:
                    while waiting and (step.together or not running):
                        part = waiting.pop(0)
                        if why := self.why_not(step, part):
                            rows.append({"step": step.name, "part": part.name, "target": part.target, "status": why, "seconds": 0.0})
                            continue
                        left = end - time.monotonic()
                        running.append(Running(self, part, log, left if step.together else left / (len(waiting) + 1)))
                    for each in [each for each in running if each.ended()]:
                        running.remove(each)
                        rows.append(self.result(step, each))
                        log.write(each.said.read_text(errors="replace")[-20000:])
                        log.flush()
                    time.sleep(0.05)
            finally:
                for each in running:
                    each.kill()
        return rows

    def keep(self, step: Step, rows: list[dict]) -> None:
        """Writes what came of a step; its folders go into details.tar."""
        new = {(row["step"], row["part"]) for row in rows}
        order = [part.name for each in STEPS for part in each.parts]
        self.rows = [row for row in self.rows if (row["step"], row["part"]) not in new] + rows
        self.rows.sort(key=lambda row: order.index(row["part"]) if row["part"] in order else len(order))
        (self.out / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in self.rows))
        (self.out / "table.md").write_text(table(self.found, self.rows))
        with tarfile.open(self.out / "details.tar", "a") as tar:
            tar.add(self.out / "current.log", f"{step.name}/log.txt")
            for part in step.parts:
                for path in (self.work / part.name, self.work / f"{part.name}.log"):
                    if path.exists():
                        tar.add(path, f"{step.name}/{path.name}", filter=without_stores)
        for part in step.parts:
            shutil.rmtree(self.work / part.name, ignore_errors=True)

    def all(self) -> int:
        print(device.words(self.found), flush=True)
        self.several([step for step in STEPS if not self.options.only or step.name in self.options.only])
        late = {(row["step"], row["part"]) for row in self.rows if row["status"] == OUT_OF_TIME}
        again = [replace(step, parts=[part for part in step.parts if (step.name, part.name) in late]) for step in STEPS]
        if late and self.end - time.monotonic() > LEAST:
            print("again, in the time that is left:", flush=True)
            self.several([step for step in again if step.parts])
        print("\n" + (self.out / "table.md").read_text() if self.rows else "", flush=True)
        return 3 if any(row["status"].startswith("failed") for row in self.rows) else 0

    def several(self, steps: list[Step]) -> None:
        for number, step in enumerate(steps):
            left, shares = self.end - time.monotonic(), sum(later.share for later in steps[number:])
            seconds = left * step.share / shares
            began = time.monotonic()
            if seconds < LEAST and self.runs_something(step):
                rows = [{"step": step.name, "part": part.name, "target": part.target, "status": OUT_OF_TIME, "seconds": 0.0}
                        for part in step.parts]
            else:
                try:
                    rows = self.step(step, seconds)
                except Exception as error:  # of ours: the next step is run all the same
                    rows = [{"step": step.name, "part": step.name, "target": "", "status": f"failed: {type(error).__name__}: {error}",
                             "seconds": 0.0}]
            self.keep(step, rows)
            print(f"[{number + 1}/{len(steps)}] {step.name}: {step_words(rows)} ({time.monotonic() - began:.0f} s)", flush=True)

    def runs_something(self, step: Step) -> bool:
        return any(not self.why_not(step, part) for part in step.parts)

    def close(self) -> None:
        if self.load:
            self.load.stop()
        if self.warming.poll() is None:
            os.killpg(self.warming.pid, signal.SIGKILL)
        self.warming.wait()
        shutil.rmtree(self.work, ignore_errors=True)


def without_stores(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if member.name.endswith(".sqlite") else member


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
    options = parse(arguments)
    if options.list:
        for step in STEPS:
            print(f"{step.name:14} {step.about}")
        return 0
    run = Run(options)
    try:
        return run.all()
    finally:
        run.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
