#!/usr/bin/env python3
"""One campaign over a Ray cluster: a task for each shard, then `attnfuzz merge`.

    tools/fleet/ray_campaign.py --shards 64 --out DIR [--address auto] [--store postgresql://…] \\
        -- -t ./my_attention.so --cases 1000000 --seed 1

What stands behind -- is handed to `attnfuzz run`. Every node needs the same attnfuzz (--program). A
shard works in a folder of its node and comes back whole; one whose node dies is run again on another,
and gives the same, so nothing is lost and nothing counted twice. Shards that are in DIR already are not
run again: start the driver again where it was cut off. Exit code: attnfuzz merge's."""
import argparse
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile

import ray


def run_shard(program, words, shard, shards):
    """The --out folder of a shard, as a tar; what `attnfuzz run` printed where it failed itself."""
    with tempfile.TemporaryDirectory(prefix="attnfuzz-shard-") as dir:
        done = subprocess.run([program, "run", *words, "--shard", f"{shard}/{shards}", "--out", f"{dir}/out",
                               "--format", "md", "--quiet"], capture_output=True, text=True)
        if done.returncode not in (0, 1):
            raise RuntimeError(f"shard {shard}: exit {done.returncode}: {done.stderr[-2000:]}")
        if json.loads(pathlib.Path(dir, "out", "summary.json").read_text())["interrupted"]:
            raise RuntimeError(f"shard {shard}: interrupted; start the driver again for what is left")
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as tar:
            tar.add(f"{dir}/out", arcname=".")
        return packed.getvalue()


def unpack(packed, folder):
    """Whole or not at all."""
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        tar.extractall(part, filter="data")
    part.rename(folder)


def campaign(program, words, shards, out):
    """Runs the shards that are not there yet on the cluster that Ray is connected to."""
    out.mkdir(parents=True, exist_ok=True)
    folders = {shard: out / f"shard-{shard:04}" for shard in range(1, shards + 1)}
    task = ray.remote(num_cpus=1, max_retries=-1)(run_shard)
    waiting = {task.remote(program, words, shard, shards): shard
               for shard, folder in folders.items() if not folder.exists()}
    while waiting:
        for done in ray.wait(list(waiting), timeout=10)[0]:
            shard = waiting.pop(done)
            unpack(ray.get(done), folders[shard])
            print(f"shard {shard} of {shards} is done, {len(waiting)} to go", flush=True)
    return list(folders.values())


def merge(program, folders, out, store):
    words = [program, "merge", *map(str, folders), "--out", str(out / "merged")]
    return subprocess.run(words + (["--store", store] if store else [])).returncode


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shards", type=int, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--address", default="auto", help="of the cluster; local: one on this machine")
    parser.add_argument("--program", default="build/release/attnfuzz", help="attnfuzz, the same on every node")
    parser.add_argument("--store", default="", help="add the merged findings to this store, once")
    parser.add_argument("words", nargs="+", help="for attnfuzz run, behind --")
    options = parser.parse_args(arguments)
    program = os.path.abspath(options.program)
    if not ray.is_initialized():
        ray.init(address=None if options.address == "local" else options.address, log_to_driver=False)
    folders = campaign(program, options.words, options.shards, options.out)
    return merge(program, folders, options.out, options.store)


if __name__ == "__main__":
    sys.exit(main())
