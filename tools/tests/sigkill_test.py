"""The short form of tools/reliability/sigkill.py."""
import sys

import program

sys.path.insert(0, str(program.ROOT / "tools" / "reliability"))
import sigkill


def test_what_was_announced_is_in_the_store():
    assert sigkill.main(["--kills", "5", "--longest", "3", "--program", str(program.PROGRAM)]) == 0


def test_an_announcement_counts_when_its_line_is_whole():
    text = "  report: a/findings/error-1/report.md\n\n  report: a/findings/error-2/repor"
    assert sigkill.announced(text) == {"error-1"}
