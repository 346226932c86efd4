#!/usr/bin/env bash
# The bug zoo: every mutant hunted by attnfuzz (within CASES, default 10,000), by Hypothesis with
# assert_close (within PEER_CASES, default as many) and by a fixed grid in the manner of
# flash-attention's tests, in one run. Prints the tables of docs/zoo.md; --update writes them there.
# Usage: tools/bench/zoo.sh [--update] [CASES] [PEER_CASES] [SEED]
set -euo pipefail
cd "$(dirname "$0")/../.."
update=
[ "${1:-}" != --update ] || { update=--update; shift; }
cases=${1:-10000}
peer_cases=${2:-$cases}
seed=${3:-1}

cmake --preset release -DATTNFUZZ_BENCH=ON > /dev/null
cmake --build --preset release --target attnfuzz zoo_bench zoo_peer
[ -x .venv/bin/python ] || tools/install.sh --test
.venv/bin/python -c 'import hypothesis' 2> /dev/null ||
  .venv/bin/python -m pip install --quiet --disable-pip-version-check hypothesis
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
bench=build/release/tools/bench/zoo

build/release/attnfuzz targets --json > "$out/targets.json"
"$bench/zoo_bench" attnfuzz "$cases" "$seed" > "$out/attnfuzz.jsonl"
"$bench/zoo_bench" grid > "$out/grid.jsonl"
.venv/bin/python tools/bench/zoo/zoo_hypothesis.py "$bench/zoo_peer.so" "$out/targets.json" "$peer_cases" \
  > "$out/hypothesis.jsonl"
.venv/bin/python tools/bench/zoo/zoo_table.py $update "$out" "$cases" "$peer_cases" "$seed"
