"""The error texts of public issues: the table in docs/triage.md says what attnfuzz reads."""
import json

import texts_table


def test_the_document_is_up_to_date():
    text, _ = texts_table.table()
    assert texts_table.BEGIN + text + texts_table.END in texts_table.DOCUMENT.read_text()


def test_most_axes_are_right():
    _, counts = texts_table.table()
    assert counts["tuned"] >= 30 and counts["tuned", "helped"] >= 0.9 * counts["tuned"]
    assert counts["held-out"] > 5


def test_each_text_has_its_source():
    for record in json.loads(texts_table.TEXTS.read_text()):
        assert record["source"] and record["about"] and record["text"] and record["set"] in ("tuned", "second", "held-out")
        assert all(record["axes"].values())
