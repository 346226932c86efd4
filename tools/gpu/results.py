"""What a run leaves in OUT: machine.json, results.jsonl, table.md and details.tar, written as parts end. A row says
what came of a part, whatever its program left behind."""
from __future__ import annotations

import itertools
import json
import os
import re
import tarfile
from pathlib import Path

from running import Running
from steps import STEPS, Part, Step
from table import table

FILES = ("machine.json", "results.jsonl", "table.md", "details.tar", "current.log")
OUT_OF_TIME = "out of time"
NO_DEVICE = "no GPU here"  # how our programs and targets begin to say so
CUT = "stopped in time"
NOT_SHRUNK = "failures, none of them shrunk in time"
NO_ANSWER = "; the case at hand gave no answer"
NO_SUMMARY = "; it wrote no summary"
NOT_FOUND = "not found"  # a target that is wrong on purpose
SO_FAR = re.compile(r": \d+%, (\d+) cases, .*, (\d+) failed, (\d+) declined,")  # a line of attnfuzz's progress
DONE, NO_GPU, WRONG = 0, 3, 2  # the exit codes of our programs


def row_of(step: Step, part: Part, target: str, status: str, seconds: float = 0.0) -> dict:
    row = {"step": step.name, "part": part.name, "target": target, "seconds": round(seconds, 2), "status": status}
    return row | {name: value for name in ("compiles", "note") if (value := getattr(part, name))}


def of_a_program(running: Running) -> dict:
    """A row's fields, of a part that is a program of its own."""
    code, last = running.process.returncode, running.last_line()
    if code == DONE:
        return {"said": last, "status": "done"}
    failed = f"failed: {running.ending()}: {last}"[:300]
    if code == NO_GPU:
        failed = last[:300] if last.startswith(NO_DEVICE) else NO_DEVICE
    status = OUT_OF_TIME if running.stopped else failed
    return {"said": last[:300], "status": status}


def of_a_campaign(running: Running, folder: Path, target: str, wrong: bool = False) -> dict:
    """A row's fields, by the summary that attnfuzz wrote; without one, by what it had written before. `wrong`: the target
    is so on purpose."""
    summary, last = folder / "summary.json", running.last_line().removeprefix("attnfuzz: ").removeprefix(f"{target}: ")
    if not summary.exists():
        left = left_behind(running, folder)
        if running.stopped:
            return left | {"status": f"findings{NO_SUMMARY}" if "findings" in left else OUT_OF_TIME}
        words = f"not here: {last}" if running.process.returncode == WRONG else f"failed: {running.ending()}: {last}"
        return left | {"status": words[:300]}
    try:
        row = summarised(json.loads(summary.read_text()), running.stopped)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        return left_behind(running, folder) | {
            "status": f"failed: its summary can't be read: {type(error).__name__}: {error}"[:300]}
    if wrong and "cases" in row:
        row["status"] = "found" if row["failed"] else f"{NOT_FOUND} in {row['cases']} cases"
    if running.asked > 1:  # what it waited for was given up
        row["status"] += NO_ANSWER
    return row


def of_a_device(row: dict, target: str) -> dict:
    """A row of what has run where the driver has a device: that it can't be used, or that our own targets are missing, is a
    failure."""
    if row["status"].startswith(NO_DEVICE) or (row.get("absent") and target.startswith("cuda:")):
        return row | {"status": f"failed: {row['status']}"[:300]}
    return row


def left_behind(running: Running, folder: Path) -> dict:
    """What a campaign without a summary had written: each finding's folder, and how far it was."""
    findings = []
    for case in sorted(folder.glob("findings/*/case.json")):
        report = case.with_name("report.md")
        try:
            title = report.read_text(errors="replace").partition("\n")[0].lstrip("# ") if report.exists() else ""
            findings.append({"signature": case.parent.name, "failure": case.parent.name.rpartition("-")[0], "title": title,
                             "case": json.loads(case.read_text()), "version": "", "causes": [], "found": "?",
                             "minimal": False})
        except (OSError, ValueError):
            continue
    row = {"findings": findings} if findings else {}
    if lines := SO_FAR.findall(running.said()):
        cases, failed, skipped = map(int, lines[-1])
        row |= {"cases": cases, "passed": cases - failed - skipped, "failed": failed, "skipped": skipped,
                "worst_ratio": None, "case_seconds": running.seconds(), "dtypes": {}}
    return row


def summarised(summary: dict, stopped: bool) -> dict:
    if summary.get("absent"):
        return {"status": summary["absent"][0]["why"], "absent": True}
    counts = summary["targets"][0]
    findings = [{name: f[name] for name in ("signature", "failure", "title", "case", "version")} |
                {"causes": [cause["name"] for cause in f["causes"]], "found": f["corpus"] or f"{f['index'] + 1} cases",
                 "minimal": f["shrink"]["minimal"]} for f in summary["findings"]]
    row = {name: counts[name] for name in ("cases", "passed", "failed", "skipped", "worst_ratio")}
    row |= {"case_seconds": counts["seconds"], "findings": findings,
            "dtypes": {word[6:]: n for word, n in counts["features"].items() if word.startswith("dtype:")}}
    if row["failed"] and not findings:  # they waited to be shrunk when time was up
        return row | {"status": NOT_SHRUNK}
    return row | {"status": "findings" if findings else CUT if stopped else "done"}


def without_stores(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if ".sqlite" in Path(member.name).name else member


def keep_aside(out: Path) -> Path | None:
    """An earlier run's results, moved into a folder of their own; None: there are none."""
    there = [out / name for name in FILES if (out / name).exists()]
    if not there:
        return None
    aside = next(each for number in itertools.count(1) if not (each := out / f"before-{number}").exists())
    aside.mkdir()
    for file in there:
        file.rename(aside / file.name)
    return aside


def worth(row: dict) -> tuple:
    """What a row tells, to be compared with another of the same part: one of a part that had no time tells nothing, one
    that was cut short less than one that went through."""
    status, cases = row["status"], row.get("cases", 0)
    if not (cases or row.get("findings") or status == "done"):
        return (0, bool(row.get("seconds"))) if status == OUT_OF_TIME else (1, 0)
    if status.startswith(("failed", OUT_OF_TIME)) or status.endswith((CUT, NOT_SHRUNK, NO_ANSWER, NO_SUMMARY)):
        return 2, cases
    return 3, 0


def better(old: dict | None, new: dict) -> dict:
    """The newer row of a part, but where it tells less."""
    return new if old is None or worth(new) >= worth(old) else old


def name_of(found: dict) -> str:
    """The device's, empty without one."""
    return found["device"].get("name", "")


class Results:
    """The rows so far, in the steps' order; with `only`, those that an earlier run on this device left too, each until a
    new one tells as much. Without it, or of another device, the results of an earlier run are kept aside."""

    def __init__(self, out: Path, found: dict, only: list[str] | None):
        self.out, self.found = out, found
        self.new: dict[str, dict] = {}  # the best row of each part in this run
        self.aside = None if only and self.of_this_device() else keep_aside(out)
        self.old = {row["part"]: row for row in self.earlier()}
        self.write("machine.json", json.dumps(found) + "\n")

    def of_this_device(self) -> bool:
        """Whether an earlier run's rows may stand beside ours."""
        try:
            return name_of(json.loads((self.out / "machine.json").read_text(encoding="utf-8"))) == name_of(self.found)
        except FileNotFoundError:
            return not (self.out / "results.jsonl").exists()
        except (ValueError, LookupError, TypeError, AttributeError, OSError):
            return False

    def earlier(self) -> list[dict]:
        try:
            lines = (self.out / "results.jsonl").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return []
        rows = []
        for line in lines:
            try:
                row = json.loads(line)
                worth(row)
                rows += [row] * ({"step", "part", "target", "status"} <= row.keys())
            except (ValueError, LookupError, TypeError, AttributeError):
                continue  # of a machine that went away
        return rows

    @property
    def rows(self) -> list[dict]:
        """In the steps' order. An earlier row that tells more than the new one says what came of the new one."""
        order = [part.name for step in STEPS for part in step.parts]
        rows = dict(self.old)
        for part, new in self.new.items():
            old = rows.get(part)
            rows[part] = new if old is None or better(old, new) is new else old | {"again": new["status"]}
        return sorted(rows.values(), key=lambda row: order.index(row["part"]) if row["part"] in order else len(order))

    def take(self, row: dict) -> None:
        self.new[row["part"]] = better(self.new.get(row["part"]), row)

    def add(self, row: dict) -> None:
        self.take(row)
        rows = self.rows
        self.write("results.jsonl", "".join(json.dumps(each) + "\n" for each in rows))
        try:
            text = table(self.found, rows)
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
                    whole = (work / part.name / "out" / "summary.json").exists()  # it has all that the store has
                    tar.add(work / part.name, f"{step.name}/{part.name}", filter=without_stores if whole else None)
