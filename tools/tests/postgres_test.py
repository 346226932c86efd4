"""The findings store in PostgreSQL, on a real server."""
import concurrent.futures
import json
import subprocess

import postgres_server
import pytest
from program import attnfuzz, signatures, summary

pytestmark = pytest.mark.skipif(bool(postgres_server.rejection_reason()), reason=postgres_server.rejection_reason())
TARGET = "specimen:llama4-chunked-eager"


@pytest.fixture(scope="module")
def url():
    with postgres_server.server() as address:
        yield address


def query(url, sql):
    done = subprocess.run(["psql", url, "-At", "-c", sql], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.split()


def run(out, *words):
    return attnfuzz("run", "-t", TARGET, "--cases", 400, "--seed", 1, "--no-corpus", "-q", "--format", "md",
                    "--out", out, *words)


def test_several_machines_write_to_one_store(url, tmp_path):
    with concurrent.futures.ThreadPoolExecutor() as pool:
        done = list(pool.map(lambda k: run(tmp_path / str(k), "--shard", f"{k + 1}/4", "--store", url), range(4)))
    assert all(d.returncode in (0, 1) for d in done), done
    found = set().union(*(signatures(tmp_path / str(k)) for k in range(4)))
    assert found and query(url, "SELECT signature FROM finding ORDER BY 1") == sorted(s for _, s in found)
    failed = sum(t["failed"] for k in range(4) for t in summary(tmp_path / str(k))["targets"])
    assert query(url, "SELECT sum(count) FROM finding") == [str(failed)]


def test_a_merged_run_is_added_once(url, tmp_path):
    query(url, "DELETE FROM finding")
    for k in range(2):
        run(tmp_path / str(k), "--shard", f"{k + 1}/2")
    dirs = [tmp_path / "0", tmp_path / "1"]
    said = [attnfuzz("merge", *dirs, "--out", tmp_path / "m", "--store", url, expect=1).stdout for _ in range(3)]
    assert ["added to the store" in text for text in said] == [True, False, False]
    total = sum(f["count"] for f in summary(tmp_path / "m")["findings"])
    assert query(url, "SELECT sum(count) FROM finding") == [str(total)]


def test_the_schema_is_that_of_sqlite(url, tmp_path):
    run(tmp_path / "out")
    sqlite3 = pytest.importorskip("sqlite3")
    file = sqlite3.connect(tmp_path / "out" / "findings.sqlite")
    for table in ("finding", "run"):
        there = [row[1] for row in file.execute(f"PRAGMA table_info({table})")]
        here = query(url, "SELECT column_name FROM information_schema.columns "
                          f"WHERE table_name = '{table}' ORDER BY ordinal_position")
        assert there == here
    item = json.loads(file.execute("SELECT item FROM finding LIMIT 1").fetchone()[0])
    assert item["target"] == TARGET


def test_a_server_that_is_not_there_is_bad_input(tmp_path):
    done = run(tmp_path / "out", "--store", "postgresql://somebody:secret@127.0.0.1:1/none")
    assert done.returncode == 2
    assert "expected a database that can be reached" in done.stderr and "secret" not in done.stderr


def test_another_version_of_the_store_is_refused(url, tmp_path):
    query(url, "UPDATE attnfuzz_store SET version = 99")
    try:
        done = run(tmp_path / "out", "--store", url)
        assert done.returncode == 2 and "this one has version 99" in done.stderr
    finally:
        query(url, "UPDATE attnfuzz_store SET version = 2")
