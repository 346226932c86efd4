#!/usr/bin/env bash
# Makes DIR, all that a machine with a GPU needs for the GPU run (docs/gpu.md): the program, which needs glibc 2.36 and
# nothing else, for any x86-64-v3 processor; the CUDA plug-in and checks for sm_90 and, as PTX, what comes after it;
# adapters, corpus, the run's scripts, and wheels of small packages under test. nvcc is needed here, a GPU is not.
# Usage: tools/gpu_bundle.sh DIR [--no-wheels]    then there: DIR/run.sh --minutes 8 --out OUT
set -euo pipefail
most_kib=$((40 * 1024))
mark=.attnfuzz-gpu-bundle  # a file of this name tells a bundle from any other folder
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
if [ -e "$dir" ] && { [ ! -d "$dir" ] || { [ ! -f "$dir/$mark" ] && [ -n "$(ls -A "$dir")" ]; }; }; then
  echo "tools/gpu_bundle.sh: $dir: expected a new folder, an empty one, or an earlier bundle (with $mark in it)" >&2
  exit 2
fi

cmake --preset gpu-bundle > /dev/null
cmake --build --preset gpu-bundle
mkdir -p "$(dirname "$dir")"
made=$(mktemp -d "$dir.XXXXXX")  # DIR is a whole bundle or none
trap 'rm -rf "$made"' EXIT
for component in program gpu; do
  cmake --install build/gpu-bundle --prefix "$made" --component "$component" --strip > /dev/null
done
for file in bin/gpu_philox_check lib/attnfuzz/attnfuzz_cuda.so; do
  [ -e "$made/$file" ] || { echo "tools/gpu_bundle.sh: $file was not built: is nvcc here?" >&2; exit 3; }
done
strip "$made"/bin/gpu_* "$made/lib/attnfuzz/attnfuzz_cuda.so"
mkdir -p "$made/gpu" "$made/site"
cp tools/gpu/*.py "$made/gpu/"
cp tools/gpu/run.sh "$made/run.sh"
touch "$made/$mark"
if ((wheels)); then
  python=.venv/bin/python
  [ -x "$python" ] || python=python3
  "$python" -m pip install --quiet --disable-pip-version-check --no-deps --no-compile --only-binary :all: \
    --target "$made/site" -r tools/gpu/wheels.txt
fi

# Nothing but glibc, and none of its newer parts.
newest=2.36
for file in "$made"/bin/* "$made"/lib/attnfuzz/*; do
  needs=$(objdump -p "$file" | awk '$1 == "NEEDED" { print $2 }')
  others=$(grep -vE '^(libc|libm|libdl|libpthread|librt|ld-linux-x86-64)\.so' <<< "$needs" || true)
  [ -z "$others" ] || { echo "tools/gpu_bundle.sh: $file needs $others" >&2; exit 3; }
  glibc=$(objdump -T "$file" | grep -oE 'GLIBC_2\.[0-9]+' | sort -uV | tail -1)
  [ "$(printf 'GLIBC_%s\n%s\n' "$newest" "$glibc" | sort -V | tail -1)" = "GLIBC_$newest" ] ||
    { echo "tools/gpu_bundle.sh: $file needs $glibc, expected at most GLIBC_$newest" >&2; exit 3; }
done
chmod 755 "$made"
size=$(du -sk "$made" | cut -f1)
words="$dir: $((size / 1024)).$((size % 1024 * 10 / 1024)) MiB"
((size <= most_kib)) || { echo "tools/gpu_bundle.sh: $words, expected at most $((most_kib / 1024)) MiB" >&2; exit 3; }
rm -rf "$dir"
mv "$made" "$dir"
echo "$words"
