#!/usr/bin/env bash
# Runs each benchmark of this folder twice in a row with small arguments, and prints how each ended: that they run, not what
# they measure. They build what they need: from a fresh clone an hour on two cores, with clang's build for the last one.
# Exit 1 if one failed; what it printed is in out/bench. Usage: tools/bench/all.sh [NAME…]     NAME: a file of this folder
set -uo pipefail
cd "$(dirname "$0")/../.."
# Each line: the file of this folder, and its arguments.
runs="\
throughput.sh 400
cache_steps.sh 2 20
jobs_scaling.sh cpu:tiled 3
sharpness.sh 200
false_alarms.sh 500
zoo.sh 50 50
reach.sh 100
triage_table.sh
triage_fit.sh
triage_found.py reports/triage/testdata/texts.json
wild_table.py --adapters targets/wild --expect targets/wild/expect.json --only axolotl --cases 50
criteria.py 20
opinfo_samples.py
record_overhead.py --tokens 8 --repeats 1
coverage_vs_random.py --time 2 --targets specimen:gqa-tiled-heads"

tools/install.sh --test --torch > /dev/null || exit 1
.venv/bin/python -m pip install --quiet --disable-pip-version-check hypothesis expecttest || exit 1
cmake --preset release -DATTNFUZZ_BENCH=ON > /dev/null && cmake --build --preset release > /dev/null || exit 1
mkdir -p out/bench
export PYTHONPATH=$PWD/build/release/python
failed=0
while read -r -a run; do
  name=${run[0]}
  [ $# -eq 0 ] || [[ " $* " == *" $name "* ]] || continue
  [ "$name" != coverage_vs_random.py ] || { cmake --preset fuzz -DATTNFUZZ_TESTS=OFF && cmake --build --preset fuzz \
    --target attnfuzz attnfuzz_target_fuzzer; } > out/bench/fuzz-build.log 2>&1
  for turn in first second; do
    command=(tools/bench/"$name" "${run[@]:1}")
    [[ $name != *.py ]] || command=(.venv/bin/python "${command[@]}")
    SECONDS=0
    "${command[@]}" < /dev/null > "out/bench/$name.$turn.log" 2>&1 && ended=done || { ended="exit $?"; failed=1; }
    printf '%-24s %-7s %-8s %s s\n' "$name" "$turn" "$ended" "$SECONDS"
  done
done <<< "$runs"
exit $failed
