#!/usr/bin/env bash
# All tests: format, then the release build and the one with AddressSanitizer and UBSan, each with
# its test totals, and a short run of the case reader's fuzzer. PyTorch's tests join where its CPU build
# can be had (or with ATTNFUZZ_TORCH=1), and so does the short table of documented bugs in released packages.
set -euo pipefail
cd "$(dirname "$0")/.."

tools/install.sh --test
cpu_torch() {
  .venv/bin/python -m pip install --quiet --dry-run --report - --no-deps \
    -r targets/python/requirements-torch.txt 2> /dev/null | grep -q '"version": "[0-9.]*+cpu"'
}
torch=no
if [ "${ATTNFUZZ_TORCH:-}" = 1 ] || { [ "${ATTNFUZZ_TORCH:-}" != 0 ] && cpu_torch; }; then
  tools/install.sh --test --torch
  torch=yes
fi

echo "== Format"
tools/lint.sh
echo "== Building: the fuzzer of the case reader (clang), for tools.fuzz; tools/fuzz.sh builds and runs all"
# Not optimised, which halves the time of building it: its run here is short.
cmake --preset fuzz -DATTNFUZZ_TESTS=OFF -DCMAKE_CXX_FLAGS_RELWITHDEBINFO="-O0 -gline-tables-only -DNDEBUG" > /dev/null
cmake --build --preset fuzz --target attnfuzz_case_fuzzer
for preset in asan release; do
  echo "== Building: $preset"
  bench=OFF
  [ "$preset" != release ] || bench=ON  # they are not run, but they build
  cmake --preset "$preset" -DATTNFUZZ_BENCH=$bench > /dev/null
  cmake --build --preset "$preset"
  echo "== Testing: $preset"
  ctest --preset "$preset" -j "$(nproc)"
done

echo "== Documented bugs in released packages: newest releases, and one with each bug; the repros of all of them"
if [ "$torch" = yes ]; then
  ATTNFUZZ=$PWD/build/release/attnfuzz tools/upstream.sh --short --repros | grep -E '\(expected|not as expected|repro'
  build/release/reports/reports_tests --gtest_brief=1 --gtest_filter='ScriptTest.EveryPackageHasAShortProgramOfItsOwn'
else
  echo "skipped: no CPU build of PyTorch here (ATTNFUZZ_TORCH=1 takes any)"
fi
