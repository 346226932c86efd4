#!/usr/bin/env bash
# All tests: format, then the release build and the one with AddressSanitizer and UBSan, each with
# its test totals. PyTorch's tests join where its CPU build can be had (or with ATTNFUZZ_TORCH=1).
set -euo pipefail
cd "$(dirname "$0")/.."

tools/install.sh --test
cpu_torch() {
  .venv/bin/python -m pip install --quiet --dry-run --report - --no-deps \
    -r targets/python/requirements-torch.txt 2> /dev/null | grep -q '"version": "[0-9.]*+cpu"'
}
if [ "${ATTNFUZZ_TORCH:-}" = 1 ] || { [ "${ATTNFUZZ_TORCH:-}" != 0 ] && cpu_torch; }; then
  tools/install.sh --test --torch
fi

echo "== Format"
tools/lint.sh
for preset in asan release; do
  echo "== Building: $preset"
  cmake --preset "$preset" > /dev/null
  cmake --build --preset "$preset"
  echo "== Testing: $preset"
  ctest --preset "$preset" -j "$(nproc)"
done
