"""What a run leaves in OUT: machine.json, results.jsonl, table.md and details.tar, written as parts end. A row says
what came of a part, whatever its program left behind."""
from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

from running import Running
from steps import STEPS, Part, Step
from table import table

OUT_OF_TIME = "out of time"
DONE, NO_GPU, WRONG = 0, 3, 2  # the exit codes of our programs


def row_of(step: Step, part: Part, target: str, status: str, seconds: float = 0.0) -> dict:
    return {"step": step.name, "part": part.name, "target": target, "seconds": round(seconds, 2), "status": status}


def of_a_program(running: Running) -> dict:
    """A row's fields, of a part that is a program of its own."""
    code, last = running.process.returncode, running.last_line()
    if code == DONE:
        return {"said": last, "status": "done"}
    failed = f"failed: {running.ending()}: {last}"[:300]
    status = OUT_OF_TIME if running.stopped else "no GPU here" if code == NO_GPU else failed
    return {"said": last[:300], "status": status}


def of_a_campaign(running: Running, folder: Path, target: str) -> dict:
    """A row's fields, by the summary that attnfuzz wrote."""
    summary, last = folder / "summary.json", running.last_line().removeprefix("attnfuzz: ").removeprefix(f"{target}: ")
    if not summary.exists():
        if running.stopped:
            return {"status": OUT_OF_TIME}
        words = f"not here: {last}" if running.process.returncode == WRONG else f"failed: {running.ending()}: {last}"
        return {"status": words[:300]}
    try:
        return summarised(json.loads(summary.read_text()), running.stopped)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        return {"status": f"failed: its summary can't be read: {type(error).__name__}: {error}"[:300]}


def summarised(summary: dict, stopped: bool) -> dict:
    if summary.get("absent"):
        return {"status": summary["absent"][0]["why"]}
    counts = summary["targets"][0]
    findings = [{name: f[name] for name in ("signature", "failure", "title", "case", "version")} |
                {"causes": [cause["name"] for cause in f["causes"]], "found": f["corpus"] or f"{f['index'] + 1} cases",
                 "minimal": f["shrink"]["minimal"]} for f in summary["findings"]]
    row = {name: counts[name] for name in ("cases", "passed", "failed", "skipped", "worst_ratio")}
    row |= {"case_seconds": counts["seconds"], "findings": findings,
            "dtypes": {word[6:]: n for word, n in counts["features"].items() if word.startswith("dtype:")}}
    return row | {"status": "findings" if findings else "stopped in time" if stopped else "done"}


def without_stores(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if ".sqlite" in Path(member.name).name else member


class Results:
    """The rows so far, in the steps' order; with `only`, those that an earlier run left of the other steps too."""

    def __init__(self, out: Path, found: dict, only: list[str] | None):
        self.out, self.found, self.rows = out, found, []
        out.mkdir(parents=True, exist_ok=True)
        if only:
            self.rows = [row for row in self.earlier() if row["step"] not in only]
        else:
            for name in ("details.tar", "results.jsonl", "table.md"):
                (out / name).unlink(missing_ok=True)
        self.write("machine.json", json.dumps(found) + "\n")

    def earlier(self) -> list[dict]:
        try:
            rows = [json.loads(line) for line in (self.out / "results.jsonl").read_text(encoding="utf-8").splitlines()]
            return [row for row in rows if {"step", "part", "target", "status"} <= row.keys()]
        except (OSError, ValueError, AttributeError):
            return []

    def add(self, row: dict) -> None:
        order = [part.name for step in STEPS for part in step.parts]
        self.rows = [each for each in self.rows if (each["step"], each["part"]) != (row["step"], row["part"])] + [row]
        self.rows.sort(key=lambda each: order.index(each["part"]) if each["part"] in order else len(order))
        self.write("results.jsonl", "".join(json.dumps(each) + "\n" for each in self.rows))
        try:
            text = table(self.found, self.rows)
        except (ValueError, LookupError, TypeError, AttributeError) as error:  # the rows are kept
            text = f"The table could not be made: {type(error).__name__}: {error}\n"
        self.write("table.md", text)

    def write(self, name: str, text: str) -> None:
        """All of it or none: a run may be ended at any time."""
        new = self.out / f".{name}"
        new.write_text(text, encoding="utf-8")
        os.replace(new, self.out / name)

    def keep_details(self, step: Step, work: Path) -> None:
        """A step's logs, summaries and reports go into details.tar."""
        with tarfile.open(self.out / "details.tar", "a") as tar:
            tar.add(self.out / "current.log", f"{step.name}/log.txt")
            for part in step.parts:
                if (work / part.name).exists():
                    tar.add(work / part.name, f"{step.name}/{part.name}", filter=without_stores)
