#!/usr/bin/env bash
# How many of the public error texts `attnfuzz triage` reads right, by set and by framework; --update writes the tables of
# docs/triage.md, --each prints one line for each text that is not kept back.
# Usage: tools/bench/triage_table.sh [--update] [--each] [--only] [FILE…]
set -euo pipefail
cd "$(dirname "$0")/../.."
cmake --preset release > /dev/null
cmake --build --preset release --target attnfuzz
python3 tools/bench/triage_table.py "$@"
