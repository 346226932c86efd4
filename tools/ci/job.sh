#!/usr/bin/env bash
# The CI job: `attnfuzz ci` with its options from the environment, as action.yml, gitlab.yml and other
# systems give them. TARGETS (one a line) is needed; BUDGET, BASE, BASELINE, SEED, SHARD, OUT, JOBS and
# ATTNFUZZ (the program) are not. Exits as attnfuzz does: 0 nothing new, 1 new findings, 2, 3.
set -euo pipefail

built=$(dirname "$0")/../../build/release/attnfuzz
program=${ATTNFUZZ:-$(command -v attnfuzz || echo "$built")}
[ -n "${TARGETS:-}" ] || { echo "tools/ci/job.sh: expected targets in TARGETS, one a line" >&2; exit 2; }
words=(--log-level info ci --budget "${BUDGET:-60s}" --seed "${SEED:-1}" --shard "${SHARD:-1/1}" --out "${OUT:-attnfuzz-out}"
       --jobs "${JOBS:-$(nproc)}")
while read -r target; do
  [ -z "$target" ] || words+=(-t "$target")
done <<< "$TARGETS"
[ -z "${BASE:-}" ] || words+=(--base "$BASE")
[ -z "${BASELINE:-}" ] || words+=(--baseline "$BASELINE")
exec "$program" "${words[@]}"
