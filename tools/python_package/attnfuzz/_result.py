"""What check() gives back: findings, and what was asked and what was not."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from attnfuzz import _core
from attnfuzz._case import Case
from attnfuzz._target import Target

FORMATS = ("md", "json", "html", "junit", "sarif")


class Finding:
    """A failure, shrunk to the smallest case that still fails the same way, with its likely cause.

    `str(finding)` is what `attnfuzz run` prints; in a notebook it shows itself as HTML.
    """

    def __init__(self, item: _core.Item) -> None:
        self._item = item
        self.signature: str = item.signature
        """What makes two failures the same one, short: "mismatch-3f2a91c07b1e"."""
        self.kind: str = item.kind
        """mismatch, nan, shape, error, crash, timeout, memory, nondeterminism or ignored."""
        self.title: str = item.title
        """One line: the target, what happened, and on which case."""
        self.detail: str = item.detail
        """One line: what was wrong, with numbers."""
        self.error: str = item.error
        """The text of the exception; empty if there was none."""
        self.case: Case = Case(item.case)
        """The smallest case that fails the same way."""
        self.original: Case = Case(item.original)
        """The case that failed first, before shrinking."""
        self.causes: list[tuple[str, str]] = item.causes
        """(name, words) of each cause that fits, the likeliest first. `attnfuzz causes` lists the names."""
        self.history: list[str] = item.history
        """The reductions that the shrinker made, in order."""
        self.count: int = item.count
        """How many cases of the campaign failed like this."""

    def markdown(self) -> str:
        """The report for a maintainer, as Markdown: what `write` puts into report.md."""
        return self._item.markdown()

    def _repr_html_(self) -> str:
        from attnfuzz._html import finding

        return finding(self)

    def __str__(self) -> str:
        return self._item.terminal(False).rstrip()

    def __repr__(self) -> str:
        return f"<attnfuzz.Finding {self.title}>"


class Result:
    """What `check` found.

    It is true if cases were run to the end and nothing was found, so `assert attnfuzz.check(fn)` is a test. `print`
    shows each finding, how fn was run, and what was not asked; in a notebook it shows itself as HTML.
    """

    def __init__(self, target: Target, claims: dict[str, Any]) -> None:
        self._campaign, self._claims = target.campaign, claims
        self.target: str = target.name
        """The name that the function goes by: "python:module:function"."""
        self.findings: list[Finding] = [Finding(item) for item in self._campaign.items]
        """The different failures, in the order in which they were found."""
        stats = self._campaign.stats
        self.cases: int = stats.cases
        """How many cases were run: passed + failed + declined."""
        self.passed: int = stats.passed
        """How many cases gave the right answer."""
        self.failed: int = stats.failed
        """How many cases failed; several of them can be one finding."""
        self.declined: int = stats.skipped
        """For how many cases fn raised `Declined`."""
        self.seconds: float = stats.seconds
        """How long the campaign took."""
        self.interrupted: bool = stats.interrupted
        """Whether Ctrl-C ended it."""
        self.covered: dict[str, int] = stats.features
        """How many cases used each feature."""
        self.reach: dict[str, str] = stats.reach
        """The boundaries that the claims set, each with why no case reached it; empty where one did."""
        self._reach_lines: list[str] = stats.reach_lines
        self.arrays: str = target.arrays
        """The package whose arrays the function got; empty for an adapter."""
        self.notes: list[tuple[str, str]] = notes(target)
        """What is worth knowing beside the counts: (what, words)."""
        if doubts := claims.get("left_out"):
            self.notes.append(("left out", f"{'; '.join(doubts)}: `attnfuzz probe` saw wrong answers there without an "
                                           "error, so the claims leave it out"))

    def suggest(self, claims: str) -> None:
        """Tells of claims with which trial calls of the function are right, where without them cases failed."""
        if claims:
            self.notes.insert(0, ("perhaps", f"trial calls are right with {claims}; claim it if the function is "
                                             "documented so"))

    @property
    def capabilities(self) -> dict[str, Any]:
        """What was demanded of fn, as a dict that `check(capabilities=…)` takes again."""
        return json.loads(self._campaign.capabilities)  # type: ignore[no-any-return]

    @property
    def verdict(self) -> str:
        """`"passed"`, `"failed"`, or why it is neither: `"interrupted"`, `"nothing was tested"`."""
        if self.findings or self.failed:
            return "failed"
        if self.interrupted:
            return "interrupted"
        return "passed" if self.passed else "nothing was tested"

    def write(self, folder: str | os.PathLike[str], formats: tuple[str, ...] = FORMATS) -> None:
        """Writes the reports, and a folder for each finding with its report, its case and a program that shows it.

        Args:
            folder: made if it is not there. Findings of an earlier run in it are moved to `findings.before`.
            formats: some of `"md"`, `"json"`, `"html"`, `"junit"`, `"sarif"`.

        Raises:
            InputError: a format has another name, or a file cannot be written.
            OSError: findings of an earlier run cannot be moved.
        """
        set_earlier_aside(Path(folder) / "findings")
        self._campaign.write(os.fspath(folder), list(formats))
        for finding in self.findings:
            script = Path(folder) / "findings" / finding.signature / "repro.py"
            script.write_text(script.read_text().replace("CLAIMS = {}", f"CLAIMS = {self._claims!r}", 1))

    def raise_on_findings(self) -> None:
        """Ends a test, unless the verdict is "passed".

        Raises:
            AssertionError: the verdict is another; the text is the result in words.
        """
        if not self:
            raise AssertionError(str(self))

    def __bool__(self) -> bool:
        return self.verdict == "passed"

    @property
    def counts(self) -> str:
        """One line: how many cases, and what became of them."""
        count = len(self.findings)
        counts = f"{self.cases} cases in {self.seconds:.1f} s: {self.passed} passed, {self.failed} failed"
        if self.declined:
            counts += f", {self.declined} declined"
        total = f"{self.target}: {counts}; {count} finding{'' if count == 1 else 's'}"
        return total if self.verdict in ("passed", "failed") else f"{total}; not a pass: {self.verdict}"

    def __str__(self) -> str:
        told = [f"  {what:<10}{words}" for what, words in self.notes]
        told += [f"  {'reach' if k == 0 else '':<10}{line}" for k, line in enumerate(self._reach_lines)]
        return "\n\n".join([*map(str, self.findings), "\n".join([self.counts, *told])])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from attnfuzz._html import result

        return result(self)


def set_earlier_aside(findings: Path) -> None:
    """Moves the findings of an earlier run, as `attnfuzz run` does, so that none stands beside those of this one."""
    if findings.is_dir() and any(findings.iterdir()):
        aside = findings.with_name("findings.before")
        shutil.rmtree(aside, ignore_errors=True)
        findings.rename(aside)


def notes(target: Target) -> list[tuple[str, str]]:
    """How the function was run, what it was asked, and what it was not."""
    told = []
    if target.arrays:
        told.append(("arrays", f"{target.arrays}: {target.arrays_why}"))
    told.append(("ran", target.place))
    capabilities = json.loads(target.campaign.capabilities)
    told.append(("sizes", sizes_in_words(capabilities["sizes"])))
    if target.unused:
        told.append(("defaults", f"{', '.join(target.unused)}: they keep their defaults"))
    if target.hidden:
        told.append(("keywords", "its signature does not name all of its keywords; keywords=[…] says which it takes"))
    if missing := not_asked(capabilities):
        told.append(("not asked", "; ".join(missing)))
    return told


def sizes_in_words(sizes: dict[str, list[int]]) -> str:
    """"q_len 1…48, head_dim 8…64 by 8, batch 2"."""
    def words(name: str, size: list[int]) -> str:
        least, most, *multiple = size
        if least == most:
            return f"{name} {least}"
        return f"{name} {least}…{most}" + (f" by {multiple[0]}" if multiple and multiple[0] > 1 else "")

    return ", ".join(words(name, size) for name, size in sizes.items() if size[1] > 0)


def not_asked(capabilities: dict[str, Any]) -> list[str]:
    """What most attention functions do and this one was not tested for, and how to ask for it."""
    features = set(capabilities["features"])
    if any(word.startswith(("cache:", "kind:")) and word != "kind:softmax" for word in features):
        return []
    missing = []
    several = capabilities["sizes"].get("q_len", [1, 1])[1] > 1  # one query, the last, sees all keys
    if several and "rule:causal" not in features:
        missing.append("causal masks (no parameter says them)")
    elif several and not any(word.startswith("align:") for word in features):
        missing.append("causal where q_len ≠ kv_len (align='top_left' or 'bottom_right')")
    if not {"gqa", "mqa"} & features:
        missing.append("fewer KV heads than heads (features=['gqa', 'mqa'])")
    if features.isdisjoint(("dtype:f16", "dtype:bf16")):
        missing.append("half precision (dtype=['f16', 'bf16'])")
    if "dq" not in features:
        missing.append("gradients (gradients=True)")
    return missing
