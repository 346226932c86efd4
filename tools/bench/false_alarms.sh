#!/usr/bin/env bash
# Runs right targets and counts what fails: each failure is a false alarm (or a bug of ours, or, of
# the packages, a real one). Of cases: CASES (default 100,000) for caches of the rarer kinds and
# attention with a state, two fifths for the other built-in targets, a fifth for PyTorch and ONNX
# Runtime, a fiftieth for each specimen's mended form. Prints a table with the largest
# |error| / bound seen; --update writes it to docs/numerics.md. Exit 1 if anything failed.
# Usage: tools/bench/false_alarms.sh [--update] [CASES] [SEED] [TARGET…]
set -euo pipefail
cd "$(dirname "$0")/../.."
update=
[ "${1:-}" != --update ] || { update=--update; shift; }
cases=${1:-100000}
seed=${2:-1}
targets=("${@:3}")
jobs=${JOBS:-$(nproc)}
[ -x build/release/attnfuzz ] || { cmake --preset release > /dev/null && cmake --build --preset release --target attnfuzz; }
if [ ${#targets[@]} -eq 0 ]; then
  mapfile -t targets < <(build/release/attnfuzz targets | awk '$1 ~ /^(cpu|fixed):/ {print $1}')
  targets+=(torch:sdpa-math torch:sdpa-flash onnxruntime:Attention onnxruntime:MultiHeadAttention)
fi
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

share() {  # of CASES, for a target
  case $1 in
    cpu:hybrid-cache | cpu:sink-window-cache | cpu:quantised-cache | cpu:cross-cache | cpu:linear-*) echo "$cases" ;;
    cpu:*) echo $((cases * 2 / 5)) ;;
    fixed:*) echo $((cases / 50)) ;;
    *) echo $((cases / 5)) ;;
  esac
}

for target in "${targets[@]}"; do
  build/release/attnfuzz run -t "$target" --cases "$(share "$target")" --seed "$seed" --jobs "$jobs" --no-corpus \
    --quiet --max-shrink-tries 0 --out "$out/$target" 1>&2 || [ $? = 1 ] || echo "$target: not run" >&2
done
python3 tools/bench/false_alarms_table.py $update "$out" "$cases" "$seed" "${@:3}"
