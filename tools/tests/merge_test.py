"""`attnfuzz merge`: shards give what one run gives, once."""
import shutil

import pytest
from program import attnfuzz, signatures, summary

TARGETS = ["-t", "specimen:llama4-chunked-eager", "-t", "specimen:gqa-tiled-heads"]
SHARDS = 3


def run(out, *words):
    attnfuzz("run", *TARGETS, "--cases", 600, "--seed", 1, "--no-corpus", "-q", "--format", "md", "--out", out,
             *words, expect=1)


def counts(out):
    return {t["target"]: (t["cases"], t["passed"], t["failed"], t["features"]) for t in summary(out)["targets"]}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    dir = tmp_path_factory.mktemp("merge")
    run(dir / "whole")
    for k in range(SHARDS):
        run(dir / f"shard-{k}", "--shard", f"{k + 1}/{SHARDS}")
    return dir


def shards(runs):
    return [runs / f"shard-{k}" for k in range(SHARDS)]


def test_shards_are_the_whole(runs):
    done = attnfuzz("merge", *shards(runs), "--out", runs / "merged", expect=1)
    assert "missing" not in done.stderr
    assert counts(runs / "merged") == counts(runs / "whole")
    assert signatures(runs / "merged") == signatures(runs / "whole")
    assert sum(f["count"] for f in summary(runs / "merged")["findings"]) == \
        sum(f["count"] for f in summary(runs / "whole")["findings"])


def test_merging_again_gives_the_same(runs):
    for _ in range(2):
        attnfuzz("merge", *shards(runs), "--out", runs / "again", expect=1)
    first, again = summary(runs / "merged"), summary(runs / "again")
    assert [f["count"] for f in again["findings"]] == [f["count"] for f in first["findings"]]
    attnfuzz("report", runs / "again", "--format", "json", expect=1)
    assert signatures(runs / "again") == signatures(runs / "merged")


def test_a_shared_store_takes_a_run_once(runs):
    store = runs / "shared.sqlite"
    said = [attnfuzz("merge", *shards(runs), "--out", runs / "stored", "--store", store, expect=1).stdout
            for _ in range(2)]
    assert "added to the store" in said[0] and "has this run already" in said[1]


def test_a_killed_shard_gives_its_findings(runs, tmp_path):
    shutil.copytree(runs / "shard-0", tmp_path / "killed")
    (tmp_path / "killed" / "summary.json").unlink()
    done = attnfuzz("merge", tmp_path / "killed", runs / "shard-1", "--out", tmp_path / "out", expect=1)
    assert "no summary.json" in done.stderr and "2 shards of the campaign are missing" in done.stderr
    assert signatures(tmp_path / "out") >= signatures(runs / "shard-1")


@pytest.mark.parametrize("which, says", [
    (["shard-0", "shard-0"], "expected each shard once"),
    (["shard-0", "whole"], "expected a shard of 3"),
    (["shard-0", "nowhere"], "expected the folder of a run"),
])
def test_what_does_not_belong_together_is_refused(runs, tmp_path, which, says):
    done = attnfuzz("merge", *[runs / w for w in which], "--out", tmp_path / "out", expect=2)
    assert says in done.stderr
