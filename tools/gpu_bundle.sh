#!/usr/bin/env bash
# Makes DIR, all that a machine with a GPU needs for the GPU run (docs/gpu.md): the program, which needs glibc 2.36 and
# nothing else, for any x86-64-v3 processor; the CUDA plug-in and checks for sm_90 and, as PTX, what comes after it;
# adapters, corpus, the run's scripts, and wheels of small packages under test. nvcc is needed here, a GPU is not.
# Usage: tools/gpu_bundle.sh DIR [--no-wheels]    then there: DIR/run.sh --minutes 8 --out OUT
set -euo pipefail
most_kib=$((40 * 1024))
wheels=1 dir=
for argument in "$@"; do
  case "$argument" in
    --no-wheels) wheels=0 ;;
    -*) echo "tools/gpu_bundle.sh: expected DIR or --no-wheels, found $argument" >&2; exit 2 ;;
    *) dir=$(realpath -m "$argument") ;;
  esac
done
[ -n "$dir" ] || { echo "tools/gpu_bundle.sh: expected a folder to make" >&2; exit 2; }
cd "$(dirname "$0")/.."
if [ -e "$dir" ] && [ ! -e "$dir/run.sh" ] && [ -n "$(ls -A "$dir")" ]; then
  echo "tools/gpu_bundle.sh: $dir: expected a new folder, an empty one, or an earlier bundle" >&2; exit 2
fi

cmake --preset gpu-bundle > /dev/null
cmake --build --preset gpu-bundle
rm -rf "$dir"
for component in program gpu; do
  cmake --install build/gpu-bundle --prefix "$dir" --component "$component" --strip > /dev/null
done
for file in bin/gpu_philox_check lib/attnfuzz/attnfuzz_cuda.so; do
  [ -e "$dir/$file" ] || { echo "tools/gpu_bundle.sh: $file was not built: is nvcc here?" >&2; exit 3; }
done
strip "$dir"/bin/gpu_* "$dir/lib/attnfuzz/attnfuzz_cuda.so"
mkdir -p "$dir/gpu" "$dir/site"
cp tools/gpu/*.py "$dir/gpu/"
cp tools/gpu/run.sh "$dir/run.sh"
if ((wheels)); then
  python=.venv/bin/python
  [ -x "$python" ] || python=python3
  "$python" -m pip install --quiet --disable-pip-version-check --no-deps --no-compile --only-binary :all: \
    --target "$dir/site" -r tools/gpu/wheels.txt
fi

# Nothing but glibc, and none of its newer parts.
newest=2.36
for file in "$dir"/bin/* "$dir/lib/attnfuzz/attnfuzz_cuda.so"; do
  needs=$(objdump -p "$file" | awk '$1 == "NEEDED" { print $2 }')
  others=$(grep -vE '^(libc|libm|libdl|libpthread|librt|ld-linux-x86-64)\.so' <<< "$needs" || true)
  [ -z "$others" ] || { echo "tools/gpu_bundle.sh: $file needs $others" >&2; exit 3; }
  glibc=$(objdump -T "$file" | grep -oE 'GLIBC_2\.[0-9]+' | sort -uV | tail -1)
  [ "$(printf 'GLIBC_%s\n%s\n' "$newest" "$glibc" | sort -V | tail -1)" = "GLIBC_$newest" ] ||
    { echo "tools/gpu_bundle.sh: $file needs $glibc, expected at most GLIBC_$newest" >&2; exit 3; }
done
size=$(du -sk "$dir" | cut -f1)
echo "$dir: $((size / 1024)).$((size % 1024 * 10 / 1024)) MiB"
((size <= most_kib)) || { echo "tools/gpu_bundle.sh: expected at most $((most_kib / 1024)) MiB" >&2; exit 3; }
