"""The pytest plug-in: functions marked with @attnfuzz.attention_test are collected as campaigns.

`test_x.py::test_mine::campaign` makes up cases; each finding is a failed test of its own, such as
`test_x.py::test_mine::error-71cc9c50bc41`. Findings are remembered in pytest's cache: the next time they are collected
as tests, run before the campaign (so --last-failed works), and forgotten once they pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import MethodType
from typing import TYPE_CHECKING, Any, cast

import pytest

from attnfuzz._decorator import MARK, Settings

if TYPE_CHECKING:
    from attnfuzz._result import Finding


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("attnfuzz", "attention tests (attnfuzz)")
    group.addoption("--attnfuzz-cases", type=int, default=200, metavar="N", help="cases of each attention test [200]")
    group.addoption("--attnfuzz-seed", type=int, default=0, metavar="S", help="the same seed gives the same cases [0]")


def pytest_pycollect_makeitem(collector: pytest.Collector, name: str, obj: object) -> AttentionTest | None:
    fn: Any = getattr(obj, "__func__", obj)  # of a static method
    if not isinstance(getattr(fn, MARK, None), Settings):
        return None
    if isinstance(collector, pytest.Class) and fn is obj:
        fn = MethodType(cast("Callable[..., Any]", obj), collector.obj())
    return AttentionTest.from_parent(collector, name=name, fn=fn)


class AttentionTest(pytest.Collector):
    """A marked function: its remembered findings, then a campaign."""

    def __init__(self, *, fn: Callable[..., Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.fn = fn
        self.settings: Settings = getattr(fn, MARK)

    @property
    def memory(self) -> Path | None:
        """Where this test's findings are remembered; None with -p no:cacheprovider."""
        cache = getattr(self.config, "cache", None)
        if cache is None:
            return None
        return Path(cache.mkdir("attnfuzz")) / "".join(c if c.isalnum() else "_" for c in self.nodeid)

    def collect(self) -> Iterator[pytest.Item]:
        memory = self.memory
        for file in sorted(memory.glob("*.case.json")) if memory else []:
            yield FindingItem.from_parent(self, name=file.name.removesuffix(".case.json"), file=file)
        yield CampaignItem.from_parent(self, name="campaign")

    def remember(self, finding: Finding) -> None:
        if (memory := self.memory) is not None:
            memory.mkdir(parents=True, exist_ok=True)
            finding.case.save(memory / f"{finding.signature}.case.json")


class _Item(pytest.Item):
    parent: AttentionTest

    def reportinfo(self) -> tuple[Path, int | None, str]:
        code = getattr(self.parent.fn, "__code__", None)
        return self.path, code.co_firstlineno - 1 if code else None, f"{self.parent.name}::{self.name}"

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        from attnfuzz import InputError

        if isinstance(excinfo.value, (FindingFailure, InputError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)


class FindingFailure(AssertionError):
    """A remembered finding that fails still, or a campaign that tested nothing."""


class FindingItem(_Item):
    """A remembered finding: passes once its case is right."""

    def __init__(self, *, file: Path, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.file = file

    def runtest(self) -> None:
        from attnfuzz import InputError, replay

        settings = self.parent.settings
        try:
            finding = replay(self.parent.fn, self.file, **settings.how, **settings.claims)
        except InputError as e:
            pytest.skip(str(e))
        if finding is not None:
            raise FindingFailure(text_of(finding))
        self.file.unlink()


class CampaignItem(_Item):
    """Makes up cases; reports each new finding as a test of its own."""

    def runtest(self) -> None:
        from attnfuzz import check

        settings, known = self.parent.settings, {item.name for item in self.session.items if item.parent is self.parent}

        def found(finding: Finding) -> None:
            self.parent.remember(finding)
            if finding.signature not in known:
                self.report_failed(finding)

        option = self.config.getoption
        result = check(
            self.parent.fn,
            cases=option("--attnfuzz-cases") if settings.cases is None else settings.cases,
            seed=option("--attnfuzz-seed") if settings.seed is None else settings.seed,
            progress=False,
            on_finding=found,
            **settings.how,
            **settings.claims,
        )
        self.user_properties.append(("attnfuzz_cases", str(result.cases)))
        self.add_report_section("call", "attnfuzz", str(result))
        if result.verdict not in ("passed", "failed"):  # the findings are tests of their own
            raise FindingFailure(str(result))

    def report_failed(self, finding: Finding) -> None:
        nodeid = f"{self.parent.nodeid}::{finding.signature}"
        path, line, name = self.reportinfo()
        for when in ("setup", "call", "teardown"):
            report = pytest.TestReport(
                nodeid=nodeid,
                location=(self.location[0], line, name.replace("campaign", finding.signature)),
                keywords={},
                outcome="failed" if when == "call" else "passed",
                longrepr=text_of(finding) if when == "call" else None,
                when=when,
            )
            self.ihook.pytest_runtest_logreport(report=report)


def text_of(finding: Finding) -> str:
    return f"{finding}\n\nThe case:\n{finding.case.json}"
