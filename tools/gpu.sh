#!/usr/bin/env bash
# The CUDA targets, with a GPU and without (docs/gpu.md).
#   tools/gpu.sh [--minutes M] [--out OUT] [--only STEP…]   makes the bundle and runs it here; nvcc and a GPU are needed
#   tools/gpu.sh --update OUT                    what a run left in OUT, here or elsewhere, goes into docs/gpu.md and corpus/gpu
#   tools/gpu.sh --host [--cases N] [--update]   campaigns of the emulation and its mutants, which need no GPU; --update puts
#                                                their tables into docs/gpu.md
set -euo pipefail
from=$PWD  # whose relative paths the caller's are
cd "$(dirname "$0")/.."
host='' update='' cases=100000 minutes=8 out='' only=()
while [ $# -gt 0 ]; do
  case "$1" in
    --host) host=1; shift ;;
    --update) update=--update; shift; if [ $# -gt 0 ] && [ "${1#--}" = "$1" ]; then out=$1; shift; fi ;;
    --cases | --minutes | --out) [ $# -gt 1 ] || { echo "tools/gpu.sh: expected a value after $1" >&2; exit 2; }
      declare "${1#--}=$2"; shift 2 ;;
    --only) only=(--only); shift
      while [ $# -gt 0 ] && [ "${1#--}" = "$1" ]; do only+=("$1"); shift; done
      [ ${#only[@]} -gt 1 ] || { echo "tools/gpu.sh: expected a step after --only" >&2; exit 2; } ;;
    *) echo "tools/gpu.sh: expected --minutes M, --out OUT, --only STEP…, --update OUT or --host, found $1" >&2; exit 2 ;;
  esac
done

case $out in '' | /*) ;; *) out=$from/$out ;; esac
if [ -z "$host" ]; then
  if [ -n "$update" ]; then
    [ -n "$out" ] || { echo "tools/gpu.sh: expected the folder that a run left, after --update" >&2; exit 2; }
    exec python3 -B tools/gpu/table.py --update "$out"
  fi
  tools/gpu_bundle.sh build/gpu
  exec build/gpu/run.sh --minutes "$minutes" --out "${out:-out/gpu}" "${only[@]}"
fi

attnfuzz=build/release/attnfuzz out=${out:-out/gpu-host}
cmake --preset release > /dev/null
cmake --build --preset release --target attnfuzz
rm -rf "$out"
mapfile -t mutants < <($attnfuzz targets --all | grep -o '^mutant:cuda-[a-z0-9-]*')
# campaign FOLDER TARGET ARGUMENTS…: findings are what the table is to show, not a reason to stop.
campaign() {
  local folder=$1 target=$2
  shift 2
  $attnfuzz run -t "$target" --seed 1 --no-corpus --format json --out "$out/$folder/${target#*:}" "$@" || [ $? -eq 1 ]
}
for target in flash flash-graph oracle paged-decode; do campaign host "cuda-emu:$target" --cases "$cases"; done
for mutant in "${mutants[@]}"; do campaign host-mutants "$mutant" --cases 10000 --stop-after 1; done
exec python3 -B tools/gpu/host_table.py $update "$out"
