#!/usr/bin/env bash
# Fits the weights of triage's reader to the public texts and says how well they read texts that they were not fitted to;
# --update writes reports/triage/weights.cpp. Usage: tools/bench/triage_fit.sh [--update]
set -euo pipefail
cd "$(dirname "$0")/../.."
cmake --preset release -DATTNFUZZ_BENCH=ON > /dev/null
cmake --build --preset release --target triage_ways
.venv/bin/python tools/bench/triage_fit.py "$@"
