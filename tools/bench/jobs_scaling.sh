#!/usr/bin/env bash
# Cases per second with one process and with as many as there are cores (or JOBS), best of three each, and
# the ratio. The findings are the same whatever the number: fuzz/campaign_test.cpp.
#   tools/bench/jobs_scaling.sh [TARGET] [SECONDS]
set -euo pipefail
cd "$(dirname "$0")/../.."
target=${1:-cpu:tiled} seconds=${2:-20} jobs=${JOBS:-$(nproc)}

rate() {
  local best=0 now
  for _ in 1 2 3; do
    now=$(build/release/attnfuzz run -t "$target" --time "${seconds}s" --seed 1 --no-corpus --jobs "$1" \
            --format md --out out/jobs-scaling | sed -n 's/.*(\([0-9]*\) cases\/s).*/\1/p')
    ((now > best)) && best=$now
  done
  echo "$best"
}
one=$(rate 1) many=$(rate "$jobs")
echo "$target: $one cases/s with 1 process, $many with $jobs: $(echo "scale=2; $many / $one" | bc) times as many" \
     "(load average $(cut -d' ' -f1 /proc/loadavg) on $(nproc) cores)"
