#!/usr/bin/env bash
# How sharp the error bound is: the distribution of |error| / bound over CASES generated cases of each
# target (default 20,000; a quarter for Python ones), and the lengths up to which one dropped or
# doubled key shows. Prints the tables of docs/numerics.md; --update writes them and the plot there.
# Usage: tools/bench/sharpness.sh [--update] [CASES] [SEED] [TARGET…]
set -euo pipefail
cd "$(dirname "$0")/../.."
update=
[ "${1:-}" != --update ] || { update=--update; shift; }
cases=${1:-20000}
seed=${2:-1}
targets=("${@:3}")
[ ${#targets[@]} -gt 0 ] || targets=(cpu:naive cpu:tiled cpu:split-kv cpu:fp8 cpu:dense-cache
  cpu:paged-cache cpu:ring-cache cpu:quantised-cache onnxruntime:Attention onnxruntime:MultiHeadAttention torch:sdpa-math torch:sdpa-flash)

cmake --preset release -DATTNFUZZ_BENCH=ON > /dev/null
cmake --build --preset release --target sharpness attnfuzz
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
for target in "${targets[@]}"; do
  count=$cases
  [[ $target == cpu:* ]] || count=$((cases / 4))
  build/release/tools/bench/sharpness target "$target" "$count" "$seed" >> "$out/targets.jsonl" ||
    echo "$target: not available here" >&2
done
build/release/tools/bench/sharpness keys 4 16 64 256 1024 4096 8192 16384 65536 > "$out/keys.jsonl"
python3 tools/bench/sharpness_table.py $update "$out" "$cases" "$seed"
