#!/usr/bin/env bash
# Makes the pinned environments of the released packages and prints the table of documented bugs:
# case x target x version x verdict x signature x cause. Options: targets/python/upstream.py.
#   tools/upstream.sh --markdown docs/upstream.md --json docs/upstream.json     all
#   tools/upstream.sh --short        the newest release of each package and one with the bug
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -z "${ATTNFUZZ:-}" ]; then
  cmake --preset release > /dev/null
  cmake --build --preset release --target attnfuzz > /dev/null
fi
exec python3 -B targets/python/upstream.py "$@"
