"""The fleet's drivers: a campaign in shards, on a cluster, with nodes that die."""
import os
import subprocess
import sys
import time

import pytest
from program import PROGRAM, ROOT, attnfuzz, signatures, summary

WORDS = ["-t", "specimen:llama4-chunked-eager", "--cases", "600", "--seed", "1", "--no-corpus"]
SHARDS = 4


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("fleet") / "whole"
    attnfuzz("run", *WORDS, "-q", "--format", "md", "--out", out, expect=1)
    return out


def expect_the_whole(merged, whole):
    assert signatures(merged) == signatures(whole)
    for key in ("cases", "passed", "failed", "features"):
        assert [t[key] for t in summary(merged)["targets"]] == [t[key] for t in summary(whole)["targets"]]
    assert sum(f["count"] for f in summary(merged)["findings"]) == \
        sum(f["count"] for f in summary(whole)["findings"])


def slurm_task(out, k):
    environment = {**os.environ, "OUT": str(out), "ATTNFUZZ": str(PROGRAM), "SLURM_ARRAY_TASK_ID": str(k),
                   "SLURM_ARRAY_TASK_COUNT": str(SHARDS)}
    return subprocess.Popen([ROOT / "tools" / "fleet" / "slurm_campaign.sh", *WORDS], env=environment,
                            stdout=subprocess.PIPE, text=True, start_new_session=True)


def test_a_slurm_array_with_a_task_that_is_killed(whole, tmp_path):
    dying = slurm_task(tmp_path, 2)
    deadline = time.time() + 60
    while not (tmp_path / "shard-0002.part").exists() and time.time() < deadline:
        time.sleep(0.005)
    os.killpg(dying.pid, 9)
    dying.wait()
    assert not (tmp_path / "shard-0002").exists()
    for k in (1, 2, 3, 4, 4):  # 2 is queued again; 4 is started twice
        assert slurm_task(tmp_path, k).wait(timeout=300) == 0
    attnfuzz("merge", *sorted(tmp_path.glob("shard-*")), "--out", tmp_path / "merged", expect=1)
    expect_the_whole(tmp_path / "merged", whole)


SBATCH = """#!/usr/bin/env bash
# What sbatch does with the words that slurm_campaign.sh's head uses, one task after the other.
while [ $# -gt 0 ]; do
  case $1 in
    --parsable) ;;
    --array=*) range=${1#--array=} ;;
    --dependency=afterok:7) ;;
    --wrap) exec bash -c "$2" ;;
    -*) echo "sbatch: unrecognized option '$1'" >&2; exit 1 ;;
    *) break ;;
  esac
  shift
done
cp "$1" "$SPOOL/slurm_script"  # Slurm runs a copy
shift
for k in $(seq "${range%-*}" "${range#*-}"); do
  SLURM_ARRAY_TASK_ID=$k SLURM_ARRAY_TASK_MAX=${range#*-} SLURM_ARRAY_TASK_COUNT=${range#*-} \\
    bash "$SPOOL/slurm_script" "$@" > /dev/null || exit
done
echo 7
"""


def test_the_words_of_the_slurm_scripts_head(whole, tmp_path):
    script = ROOT / "tools" / "fleet" / "slurm_campaign.sh"
    lines = [line[4:] for line in script.read_text().splitlines() if line.startswith("#   ")]
    assert len(lines) == 3
    words = "\n".join(["set -eo pipefail", *lines])
    for documented, here in (("/shared/attnfuzz/build/release/attnfuzz", str(PROGRAM)), ("/shared/campaign", str(tmp_path)),
                             ("--array=1-64", f"--array=1-{SHARDS}"),
                             ("-t ./my_attention.so --cases 1000000", " ".join(WORDS))):
        assert documented in words
        words = words.replace(documented, here)
    fake = tmp_path / "bin" / "sbatch"
    fake.parent.mkdir()
    fake.write_text(SBATCH)
    fake.chmod(0o755)
    done = subprocess.run(["bash", "-c", words], cwd=ROOT, capture_output=True, text=True,
                          env={**os.environ, "PATH": f"{fake.parent}:{os.environ['PATH']}", "SPOOL": str(tmp_path / "bin")})
    assert done.returncode == 1, done.stderr  # the merge's: findings
    expect_the_whole(tmp_path / "merged", whole)


def test_a_slurm_task_that_fails_leaves_no_shard(tmp_path):
    environment = {**os.environ, "OUT": str(tmp_path / "bad"), "ATTNFUZZ": str(PROGRAM),
                   "SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_COUNT": "1"}
    done = subprocess.run([ROOT / "tools" / "fleet" / "slurm_campaign.sh", "-t", "no:such"], env=environment,
                          capture_output=True, text=True)
    assert done.returncode == 2 and not (tmp_path / "bad" / "shard-0001").exists()


INTERRUPTED = """#!/bin/sh
while [ "$1" != --out ]; do shift; done
mkdir -p "$2"
echo '{"interrupted": true}' > "$2/summary.json"
"""


def test_an_interrupted_shard_is_none(tmp_path, monkeypatch):
    program = tmp_path / "attnfuzz"
    program.write_text(INTERRUPTED)
    program.chmod(0o755)
    environment = {**os.environ, "OUT": str(tmp_path / "out"), "ATTNFUZZ": str(program), "SLURM_ARRAY_TASK_ID": "1",
                   "SLURM_ARRAY_TASK_COUNT": "1"}
    done = subprocess.run([ROOT / "tools" / "fleet" / "slurm_campaign.sh"], env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and "shard 1 was interrupted" in done.stderr
    assert not (tmp_path / "out" / "shard-0001").exists()
    pytest.importorskip("ray", reason="Ray is not installed: tools/fleet/requirements.txt")
    monkeypatch.syspath_prepend(ROOT / "tools" / "fleet")
    import ray_campaign

    with pytest.raises(RuntimeError, match="shard 1: interrupted"):
        ray_campaign.run_shard(str(program), [], 1, 1)


def start_cluster():
    """A head without processors and two nodes with one each."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        return made, [made.add_node(num_cpus=1) for _ in range(2)]
    except Exception:
        made.shutdown()
        raise


@pytest.fixture(scope="module")
def cluster():
    """Ray gives each node half a minute to start, a fixed limit that a busy machine may need longer than: three tries."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: tools/fleet/requirements.txt")
    errors = []
    for _ in range(3):
        try:
            made, nodes = start_cluster()
            break
        except Exception as error:
            errors.append(str(error))
    else:
        pytest.skip(f"Ray's nodes did not start on this machine: {errors}")
    try:
        ray.init(address=made.address, log_to_driver=False)
        yield made, nodes
    finally:
        ray.shutdown()
        made.shutdown()


def test_a_ray_cluster_that_loses_a_node(cluster, whole, tmp_path, monkeypatch):
    sys.path.insert(0, str(ROOT / "tools" / "fleet"))
    import ray_campaign
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(ray_campaign)  # as of a program that is started; nodes can't import it

    made, nodes = cluster
    came = []

    def unpack_and_lose_a_node(packed, folder, unpack=ray_campaign.unpack):
        unpack(packed, folder)
        came.append(folder)
        if len(came) == 1:
            made.remove_node(nodes[0], allow_graceful=False)

    monkeypatch.setattr(ray_campaign, "unpack", unpack_and_lose_a_node)
    assert ray_campaign.main(["--shards", str(SHARDS), "--out", str(tmp_path), "--program", str(PROGRAM), "--",
                              *WORDS]) == 1
    assert len(came) == SHARDS
    expect_the_whole(tmp_path / "merged", whole)
    assert ray_campaign.main(["--shards", str(SHARDS), "--out", str(tmp_path), "--program", str(PROGRAM), "--",
                              *WORDS]) == 1
    assert len(came) == SHARDS  # the second driver found them all
    expect_the_whole(tmp_path / "merged", whole)
