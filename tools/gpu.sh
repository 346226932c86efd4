#!/usr/bin/env bash
# All that there is to run for the CUDA targets, in one command. On any machine: campaigns of the
# emulated targets, and the mutants. Where there is a GPU too: Philox's bits, campaigns and mutants on
# the device, compute-sanitizer where it is installed, the oracle's GFLOP/s against PyTorch's float64
# math, and the adapters for the GPU that Python has here. Without one it says so and exits 0.
# --update writes the tables of what was run to docs/gpu.md.
# Usage: tools/gpu.sh [--update] [--cases N] [--out DIR]
set -euo pipefail
cd "$(dirname "$0")/.."
update= cases=100000 out=out/gpu
while [ $# -gt 0 ]; do
  case "$1" in
    --update) update=--update; shift ;;
    --cases) cases=$2; shift 2 ;;
    --out) out=$2; shift 2 ;;
    *) echo "tools/gpu.sh: expected --update, --cases N or --out DIR, found $1" >&2; exit 2 ;;
  esac
done

attnfuzz=build/release/attnfuzz
cmake --preset release > /dev/null
cmake --build --preset release --target attnfuzz
cmake --build --preset release --target attnfuzz_cuda gpu_philox_check gpu_oracle_gflops ||
  echo "no nvcc: the emulation alone is run"
rm -rf "$out"
mkdir -p "$out"
targets=(flash flash-graph oracle paged-decode)
mapfile -t mutants < <($attnfuzz targets --all | grep -o '^mutant:cuda-[a-z0-9-]*' | cut -d: -f2)

# campaign PLACE TARGET ARGUMENTS…: findings are what the table is to show, not a reason to stop.
campaign() {
  local place=$1 target=$2
  shift 2
  $attnfuzz run -t "$target" --seed 1 --no-corpus --format json --out "$out/$place/${target#*:}" "$@" ||
    [ $? -eq 1 ]
}

echo "== The emulation: campaigns of $cases cases"
for target in "${targets[@]}"; do campaign host "cuda-emu:$target" --cases "$cases"; done
echo "== The emulation: mutants"
for mutant in "${mutants[@]}"; do campaign host-mutants "mutant:$mutant" --cases 10000 --stop-after 1; done

why=$($attnfuzz targets | sed -n 's/^cuda:flash .*not available: //p')
if [ -n "$why" ]; then
  echo "== $why: nothing was run on a device"
  exec python3 tools/gpu/table.py $update "$out"
fi

echo "== Philox on the device"
build/release/gpu_philox_check | tee "$out/philox.txt"
echo "== The device: campaigns of $cases cases"
for target in "${targets[@]}"; do campaign device "cuda:$target" --cases "$cases"; done
echo "== The device: mutants"
for mutant in "${mutants[@]}"; do campaign device-mutants "cuda:$mutant" --cases 10000 --stop-after 1; done
if command -v compute-sanitizer > /dev/null; then
  for tool in memcheck racecheck initcheck; do
    echo "== compute-sanitizer: $tool"
    for target in flash paged-decode; do
      campaign "sanitizer-$tool" "cuda:$target" --cases 500 --sanitize "$tool" --timeout 120s
    done
  done
else
  echo "== no compute-sanitizer here"
fi
echo "== The oracle on the device and PyTorch's float64 math, GFLOP/s"
lengths=(1024 2048 4096)
build/release/gpu_oracle_gflops "${lengths[@]}" | tee "$out/oracle.json"
python=${ATTNFUZZ_PYTHON:-.venv/bin/python}
if "$python" -c 'import torch; assert torch.cuda.is_available()' 2> /dev/null; then
  "$python" tools/gpu/torch_math_gflops.py "${lengths[@]}" | tee "$out/torch.json"
  mapfile -t adapters < <($attnfuzz targets | grep -v 'not available' | grep -oE '^[a-z0-9-]+:[A-Za-z0-9-]+' |
    grep -E 'cuda|gpu|triton|flashinfer' | grep -vE '^(cuda|cuda-emu):')
  for adapter in "${adapters[@]}"; do campaign adapters "$adapter" --cases $((cases / 20)); done
fi
exec python3 tools/gpu/table.py $update "$out"
