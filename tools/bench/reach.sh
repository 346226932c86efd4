#!/usr/bin/env bash
# How far campaigns reach: prints the table of docs/reach.md, from campaigns of CASES (default 10,000) on one core, one
# for each row; --update writes it there (docs/data/reach.json).
#   tools/bench/reach.sh [--update] [CASES] [SEED]
set -euo pipefail
cd "$(dirname "$0")/../.."
update=
[ "${1:-}" != --update ] || { update=1; shift; }
cases=${1:-10000} seed=${2:-1}

cmake --preset release -DATTNFUZZ_BENCH=ON > /dev/null
cmake --build --preset release --target reach_table
table=$(mktemp)
trap 'rm -f "$table"' EXIT
build/release/tools/bench/reach_table "$cases" "$seed" | tee "$table"
[ -n "$update" ] || exit 0
python3 tools/docs/tables.py reach "Goals reached after so many cases" "tools/bench/reach.sh $cases $seed" < "$table"
