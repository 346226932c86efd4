#!/usr/bin/env bash
# The soak test: 30 minutes at full speed under AddressSanitizer and UBSan, with resident memory plotted
# (soak/soak.svg). Another time: tools/soak.sh --time 2h. What it found: docs/reliability.md.
set -euo pipefail
cd "$(dirname "$0")/.."
cmake --preset asan > /dev/null
cmake --build build/asan --target attnfuzz
exec python3 -B tools/reliability/soak.py --program build/asan/attnfuzz --out soak "$@"
