#!/usr/bin/env bash
# Runs N cases (default 100,000) through every correct built-in target, by dtype as each claims, and
# prints a table of failures (each one is a false alarm, or a bug of ours) with the largest
# |error| / bound seen. Exit 1 if there is any. Nightly: tools/bench/false_alarms.sh [N] [SEED]
set -euo pipefail
cd "$(dirname "$0")/../.."
cases=${1:-100000}
seed=${2:-1}
[ -x build/release/attnfuzz ] || { cmake --preset release > /dev/null && cmake --build --preset release --target attnfuzz; }
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

alarms=0
echo "| target | cases | failed | declined | largest error/bound | cases/s |"
echo "|---|---|---|---|---|---|"
for target in $(build/release/attnfuzz targets | awk '$1 ~ /^(cpu|fixed):/ {print $1}'); do
  build/release/attnfuzz run -t "$target" --cases "$cases" --seed "$seed" --jobs "$(nproc)" --no-corpus \
    --quiet --max-shrink-tries 0 --out "$out/$target" || { [ $? = 1 ] && alarms=1; }
  python3 - "$out/$target/summary.json" "$target" <<'PY'
import json, sys
t = json.load(open(sys.argv[1]))["targets"][0]
print(f"| {sys.argv[2]} | {t['cases']} | {t['failed']} | {t['skipped']} | {t['worst_ratio']:.3f} "
      f"| {t['cases'] / t['seconds']:.0f} |")
PY
done
exit $alarms
