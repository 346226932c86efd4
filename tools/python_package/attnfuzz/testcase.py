"""For unittest: a TestCase that checks attention functions.

    class MyTests(attnfuzz.testcase.AttentionTestCase):
        def test_mine(self):
            self.assertAttention(my_attention, head_dim=(8, 64, 8))
"""

from __future__ import annotations

import unittest
from collections.abc import Callable
from typing import Any

from attnfuzz._check import check
from attnfuzz._result import Result


class AttentionTestCase(unittest.TestCase):
    """A `unittest.TestCase` with a method that fuzzes an attention function."""

    def assertAttention(self, fn: Callable[..., Any], **arguments: Any) -> Result:
        """Fails unless the function passes `attnfuzz.check`. Each finding is a failed subtest.

        Args:
            fn: the attention function, or an adapter.
            **arguments: what `check` takes.

        Returns:
            The result, for further assertions.

        Raises:
            InputError: as for `check`.
        """
        result = check(fn, **{"progress": False, **arguments})
        for finding in result.findings:
            with self.subTest(finding=finding.signature):
                self.fail(str(finding))
        if result.verdict != "failed" and not result:
            self.fail(str(result))
        return result
