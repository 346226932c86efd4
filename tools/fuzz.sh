#!/usr/bin/env bash
# The libFuzzer harnesses, for a nightly job: builds them (preset fuzz: clang, ASan, UBSan; a quarter of an hour from
# nothing on two cores), runs their tests, and then each for a while on the shipped cases; that of a target's answers
# for ATTNFUZZ_OUTCOMES of them (default 200000), whatever the time, on all cores.
#   tools/fuzz.sh [SECONDS for each, default 60] [TARGET…]     default targets: the built-in kernels and caches
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
[[ $seconds =~ ^[0-9]+$ ]] || { echo "$0: expected SECONDS, not $seconds" >&2; exit 2; }
shift || true
targets=("$@")
((${#targets[@]})) || targets=(cpu:naive cpu:tiled cpu:split-kv cpu:dense-cache cpu:paged-cache cpu:ring-cache)

cmake --preset fuzz -DATTNFUZZ_TESTS=OFF > /dev/null
cmake --build --preset fuzz --target attnfuzz_case_fuzzer attnfuzz_report_fuzzer attnfuzz_target_fuzzer \
  attnfuzz_outcome_fuzzer attnfuzz
python=python3
[ ! -x .venv/bin/python ] || python=.venv/bin/python
ATTNFUZZ_BINARY_DIR=$PWD/build/fuzz "$python" -B -m pytest -q -p no:cacheprovider tools/tests/fuzz_test.py

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/case" "$work/report" out/fuzz
find corpus -name '*.case.json' -exec cp -t "$work/case" {} +
mkdir "$work/none"
build/fuzz/attnfuzz ci -t specimen:gqa-tiled-heads -t specimen:beam-reorder-skipped --budget 6s --base "$work/none" \
  --baseline "$work/known.json" --update-baseline -q --out "$work/run"
"$python" - "$work" <<'SEEDS'  # the report harness's first byte chooses a reader: items, baselines, summaries
import pathlib, sqlite3, sys
work = pathlib.Path(sys.argv[1])
items = [row[0].encode() for row in sqlite3.connect(work / "run/findings.sqlite").execute("SELECT item FROM finding")]
for reader, texts in enumerate((items, [(work / "known.json").read_bytes()], [(work / "run/summary.json").read_bytes()])):
    for k, text in enumerate(texts):
        (work / "report" / f"{reader}-{k}").write_bytes(bytes([reader]) + text)
SEEDS
fuzz() {  # NAME HARNESS SEEDS: libFuzzer keeps what crashes in out/fuzz
  echo "== $1, $seconds s"
  mkdir -p "$work/new-$1"
  build/fuzz/attnfuzz_"$2"_fuzzer -max_total_time="$seconds" -max_len=65536 -timeout=60 -detect_leaks=0 \
    -print_final_stats=1 -artifact_prefix="out/fuzz/$1-" "$work/new-$1" "$3" 2> "$work/log" ||
    { tail -40 "$work/log"; echo "$1: failed; the input is in out/fuzz" >&2; exit 1; }
  grep -E '^(stat::number_of_executed_units|stat::average_exec)|^#.* (DONE)' "$work/log"
}
fuzz_outcomes() {  # random claims, cases and answers through judging, shrinking, diagnosis and every writer
  local all=$1 cores each failed=0 core processes=()
  cores=$(nproc)
  each=$(((all + cores - 1) / cores))
  echo "== outcome, $((each * cores)) answers on $cores cores"
  for ((core = 1; core <= cores; ++core)); do
    mkdir -p "$work/outcome-$core"
    "$python" - "$core" "$work/outcome-$core" <<'SEEDS'
import pathlib, random, sys
draw = random.Random(int(sys.argv[1]))
for k in range(50):
    (pathlib.Path(sys.argv[2]) / f"seed-{k}").write_bytes(draw.randbytes(draw.randrange(200, 2048)))
SEEDS
    build/fuzz/attnfuzz_outcome_fuzzer -runs="$each" -seed="$core" -max_len=2048 -len_control=0 -timeout=120 \
      -detect_leaks=0 -print_final_stats=1 -artifact_prefix="out/fuzz/outcome-" "$work/outcome-$core" \
      2> "$work/log-outcome-$core" &
    processes+=($!)
  done
  for ((core = 1; core <= cores; ++core)); do
    wait "${processes[core - 1]}" || { tail -40 "$work/log-outcome-$core"; failed=1; }
    grep -E '^(stat::number_of_executed_units|stat::average_exec)' "$work/log-outcome-$core" || true
  done
  ((failed == 0)) || { echo "outcome: failed; the input is in out/fuzz" >&2; exit 1; }
}
fuzz case case "$work/case"
fuzz report report "$work/report"
fuzz_outcomes "${ATTNFUZZ_OUTCOMES:-200000}"
for target in "${targets[@]}"; do
  ATTNFUZZ_TARGET=$target fuzz "${target//[:\/]/_}" target "$work/case"
done
