#!/usr/bin/env bash
# Format of all C++ files and, with --tidy, clang-tidy on the sources (which can't read GCC's precompiled headers).
set -euo pipefail
cd "$(dirname "$0")/.."
git ls-files '*.h' '*.cpp' '*.c' '*.cu' | xargs -r clang-format --dry-run -Werror
if [ "${1:-}" = --tidy ]; then
  cmake --preset release -B build/tidy -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON > /dev/null
  git ls-files 'oracle/*.cpp' 'targets/*.cpp' 'fuzz/*.cpp' 'reports/*.cpp' 'tools/*.cpp' |
    grep -v '_test\.cpp$' | xargs -r -P "$(nproc)" -n 4 clang-tidy -p build/tidy --quiet
fi
echo "lint: clean"
