#!/usr/bin/env bash
# Cases per second with one process and with as many as there are cores (or JOBS), best of three each, and
# the ratio. Beside it cases per second of processor time, which other work on the machine disturbs less: what
# that loses with more processes is what they cost each other. The findings are the same whatever the
# number: fuzz/campaign_test.cpp.
#   tools/bench/jobs_scaling.sh [TARGET] [SECONDS]
set -euo pipefail
cd "$(dirname "$0")/../.."
target=${1:-cpu:tiled} seconds=${2:-20} jobs=${JOBS:-$(nproc)}
TIMEFORMAT='%U %S'
[ -x build/release/attnfuzz ] || { cmake --preset release > /dev/null && cmake --build --preset release --target attnfuzz; }

# The best of three runs: cases per second, and per second of processor time.
rates() {
  local best=0 best_cpu=0 printed cases rate user system per_cpu
  for _ in 1 2 3; do
    printed=$({ time build/release/attnfuzz run -t "$target" --time "${seconds}s" --seed 1 --no-corpus --jobs "$1" \
      --format md --out out/jobs-scaling 2> /dev/null; } 2>&1)
    read -r cases rate <<< "$(sed -n 's/.*: \([0-9]*\) cases in .*(\([0-9]*\) cases\/s).*/\1 \2/p' <<< "$printed")"
    read -r user system <<< "$(tail -1 <<< "$printed")"
    per_cpu=$(echo "$cases / ($user + $system)" | bc)
    ((rate > best)) && best=$rate
    ((per_cpu > best_cpu)) && best_cpu=$per_cpu
  done
  echo "$best $best_cpu"
}
read -r one one_cpu <<< "$(rates 1)"
read -r many many_cpu <<< "$(rates "$jobs")"
ratio() { echo "scale=2; $1 / $2" | bc; }
echo "$target: $one cases/s with 1 process, $many with $jobs: $(ratio "$many" "$one") times as many"
echo "per second of processor time: $one_cpu with 1 process, $many_cpu with $jobs: $(ratio "$many_cpu" "$one_cpu") times," \
     "so $(ratio "$jobs * $many_cpu" "$one_cpu") times as many where $jobs cores are free"
echo "(load average $(cut -d' ' -f1 /proc/loadavg) on $(nproc) cores)"
