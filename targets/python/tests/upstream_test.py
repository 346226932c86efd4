"""Environments, bisection and the table of documented bugs, without running a package."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import bisect_releases  # noqa: E402
import env  # noqa: E402
import repros  # noqa: E402
import upstream  # noqa: E402

RELEASES = ["1.0.0", "1.0.1", "1.1.0", "1.2.0", "1.9.0", "1.10.0", "1.10.1", "2.0.0"]


def asked(fixed: str, broken: tuple = ()):
    """Releases from `fixed` on pass, those before fail; `broken` ones can't be installed."""
    def ask(version: str) -> dict:
        if version in broken:
            return {"verdict": "not run", "detail": "no wheel"}
        passes = bisect_releases.number(version) >= bisect_releases.number(fixed)
        return {"verdict": "pass" if passes else "fail:error", "detail": ""}
    return ask


@pytest.mark.parametrize("fixed", RELEASES[1:])
def test_bisection_finds_the_release_that_fixed_it(fixed):
    good, bad, seen = bisect_releases.search(RELEASES, "2.0.0", "1.0.0", asked(fixed))
    assert (good, bad) == (fixed, RELEASES[RELEASES.index(fixed) - 1])
    assert len(seen) <= 5  # two ends and log2 of the six between


def test_bisection_finds_the_release_that_broke_it():
    ask = asked("1.9.0")
    turned = {"pass": "fail:mismatch", "fail:error": "pass"}
    good, bad, _ = bisect_releases.search(RELEASES, "1.0.0", "2.0.0",
                                          lambda version: {"verdict": turned[ask(version)["verdict"]], "detail": ""})
    assert (good, bad) == ("1.2.0", "1.9.0")


def test_bisection_steps_over_what_cannot_be_asked():
    good, bad, _ = bisect_releases.search(RELEASES, "2.0.0", "1.0.0", asked("1.9.0", ("1.2.0", "1.9.0")))
    assert (good, bad) == ("1.10.0", "1.1.0")


@pytest.mark.parametrize("good, bad, word", [("1.0.0", "1.1.0", "1.0.0 was to pass"), ("2.0.0", "1.10.0", "1.10.0 was to fail")])
def test_bisection_refuses_ends_that_are_not_what_they_should_be(good, bad, word):
    with pytest.raises(ValueError, match=word):
        bisect_releases.search(RELEASES, good, bad, asked("1.9.0"))


def test_bisection_asks_for_a_case_before_it_installs_anything(capsys):
    with pytest.raises(SystemExit) as exit_code:
        bisect_releases.main(["nowhere.json", "-t", "p:t", "--package", "p", "--good", "2.0", "--bad", "1.0"])
    assert exit_code.value.code == 2 and "nowhere.json: expected a case file" in capsys.readouterr().err


def test_a_release_outside_the_table_takes_its_pins_from_the_nearest_older_one():
    data = {"env": {"mine-1.0": {"base": "b", "packages": ["mine==1.0", "other==1"]},
                    "mine-2.0": {"base": "b", "packages": ["mine==2.0", "other==2"]}}}
    assert bisect_releases.environment(data, "mine", "1.5") == "mine-1.5"
    assert data["env"]["mine-1.5"] == {"base": "b", "packages": ["mine==1.5", "other==1"]}
    with pytest.raises(LookupError):
        bisect_releases.environment(data, "yours", "1.0")


def test_the_corpus_names_environments_that_the_table_has():
    data = env.table()
    rows = upstream.expectations(data, only="", short=False)
    assert {row["environment"] for row in rows} <= {*data["env"], *data["base"]}
    assert set(data["short"]) <= {row["environment"] for row in rows}
    assert {row["case"] for row in data["unavailable"]} <= {row["case"] for row in rows}
    assert all(data["env"][name]["base"] in data["base"] for name in data["env"])


def test_an_environment_counts_as_missing_when_its_pins_change(tmp_path, monkeypatch):
    monkeypatch.setattr(env, "ROOT", tmp_path)
    data = {"base": {"b": {"packages": ["torch==1"]}}, "env": {"e": {"base": "b", "packages": ["mine==1"]}}}
    (tmp_path / "e" / "bin").mkdir(parents=True)
    (tmp_path / "e" / "bin" / "python").touch()
    assert not env.installed(data, "e")
    (tmp_path / "e" / "stamp").write_text(env.stamp(data, "e"))
    assert env.installed(data, "e")
    data["base"]["b"]["packages"] = ["torch==2"]
    assert not env.installed(data, "e")


@pytest.mark.parametrize("text, verdict, fault", [
    ("raise SystemExit('out is 1, should be 2')", "fail:mismatch", None),
    ("raise ValueError('sizes 2 and 3')", "fail:error", None),
    ("print('right')", "pass", None),
    ("print('right')", "fail:mismatch", "exits with 0, should with 1:\nright\n"),
    ("raise SystemExit('out is 1, should be 2')", "pass", "exits with 1, should with 0:\nout is 1, should be 2\n"),
    ("raise SystemExit('no such argument')", "fail:mismatch", "does not say 'should be':\nno such argument\n"),
    ("raise SystemExit('no such argument')", "fail:error", "does not say 'ValueError: sizes 2 and 3':\nno such argument\n")])
def test_a_repro_is_held_against_its_verdict(tmp_path, monkeypatch, text, verdict, fault):
    """With a program in attnfuzz's place that writes this text."""
    emitter = tmp_path / "attnfuzz"
    emitter.write_text(f"#!{sys.executable}\nimport sys\nopen(sys.argv[-1], 'w').write({text!r})\n")
    emitter.chmod(0o755)
    monkeypatch.setenv("ATTNFUZZ", str(emitter))
    monkeypatch.setattr(env, "python", lambda name: Path(sys.executable))
    found = {"verdict": verdict, "detail": "ValueError: sizes 2 and 3\n\nmore"}
    assert repros.fault(tmp_path / "c.case.json", "p:t", "p-1", found) == (fault or "")


def test_the_table_marks_what_is_not_as_expected_and_what_was_not_run():
    common = {"case": "s/c.case.json", "target": "p:t", "version": "1", "signature": "", "cause": "", "causes": [], "detail": ""}
    rows = [common | {"environment": "p-0", "verdict": "fail:error", "expected": "fail:error kv-heads", "as_expected": True},
            common | {"environment": "p-1", "verdict": "fail:error", "expected": "fail:error kv-heads", "as_expected": False,
                      "found": "fail:error mask-axis"},
            common | {"environment": "p-2", "verdict": "not installed", "expected": "pass"},
            common | {"environment": "p-3", "verdict": "needs GPU"}]
    assert [upstream.differs(row) for row in rows] == [False, True, False, False]
    text = upstream.markdown(rows)
    assert "| s/c | p:t | p-0 | 1 | fail:error |" in text
    assert "| s/c | p:t | p-1 | 1 | fail:error mask-axis (expected fail:error kv-heads) |" in text
    assert "p-2: not installed" in text and "p-3: needs GPU" in text
