"""Results and findings as notebooks show them."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from attnfuzz._result import Finding, Result

STYLE = "margin:.3em 0;padding:.4em .8em;border-left:4px solid"


def _row(name: str, value: str) -> str:
    return f"<tr><th style='text-align:left;vertical-align:top'>{escape(name)}</th>" \
           f"<td style='text-align:left'>{escape(value)}</td></tr>"


def finding(found: Finding) -> str:
    """What is wrong, the likely cause, the case and its mask; the whole report folded."""
    rows = [("happened", found.detail)]
    if found.error:
        rows.append(("error", found.error))
    if found.causes:
        rows.append(("cause", found.causes[0][1]))
    rows.append(("case", str(found.case)))
    try:
        mask = f"<pre style='line-height:1.1'>{escape(found.case.mask_drawing())}</pre>"
    except ValueError:
        mask = ""
    return (f"<div style='{STYLE} #c0392b'><b>{escape(found.title)}</b><table>"
            f"{''.join(_row(*row) for row in rows)}</table>"
            f"<details><summary>mask, and the whole report</summary>{mask}"
            f"<pre>{escape(found.markdown())}</pre></details>"
            "</div>")


def result(of: Result) -> str:
    """The counts, what was asked, and each finding."""
    colour = {"passed": "#27ae60", "failed": "#c0392b"}.get(of.verdict, "#d68910")
    rows = "".join(_row(what, words) for what, words in of.notes)
    return (f"<div style='{STYLE} {colour}'><b>{escape(of.counts)}</b><table>{rows}</table></div>"
            + "".join(map(finding, of.findings)))
