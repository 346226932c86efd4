#!/usr/bin/env bash
# Campaigns against the newest releases of the packages under test, and the table of what they found.
#   tools/campaigns.sh --out DIR --markdown docs/campaigns.md --json docs/campaigns.json
# What is run for how long, and how each finding was judged: targets/python/campaigns.toml.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -z "${ATTNFUZZ:-}" ]; then
  cmake --preset release > /dev/null
  cmake --build --preset release --target attnfuzz > /dev/null
fi
exec python3 -B targets/python/campaigns.py "$@"
