#!/usr/bin/env bash
# Caches: steps per second beside Hypothesis's RuleBasedStateMachine on PyTorch (one core each), and for
# each specimen of a cache bug the cases and steps until it is found (medians over SEEDS seeds), the
# length of the shrunk sequence beside the least possible, and the cause named. Prints both tables;
# --update writes them into docs/caches.md, between its markers.
# Usage: tools/bench/cache_steps.sh [--update] [SEEDS] [MACHINES]
set -euo pipefail
cd "$(dirname "$0")/../.."
update=
[ "${1:-}" != --update ] || { update=--update; shift; }
seeds=${1:-20}
machines=${2:-300}

tools/install.sh --test --torch
.venv/bin/python -m pip install --quiet --disable-pip-version-check hypothesis
build=${BUILD:-build/release}
[ -n "${BUILD:-}" ] || cmake --preset release -DATTNFUZZ_BENCH=ON > /dev/null
cmake --build "$build" --target cache_steps
ours=$(taskset -c 0 "$build/tools/bench/cache_steps" speed 20)
peer=$(taskset -c 0 env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE .venv/bin/python tools/bench/hypothesis_cache.py "$machines")
table=$("$build/tools/bench/cache_steps" table "$seeds")

.venv/bin/python - "$ours" "$peer" "$table" "$seeds" "$update" <<'PY'
import json, pathlib, sys
ours, peer = map(json.loads, sys.argv[1:3])
rate, other = ours["steps_per_second"], peer["steps_per_second"]
text = f"""Printed by `tools/bench/cache_steps.sh {sys.argv[4]}`.

| cached steps, run and judged, one core | steps/s | ratio |
|---|---|---|
| attnfuzz, cpu:dense-cache | {rate} | {rate / other:.1f} |
| Hypothesis RuleBasedStateMachine, PyTorch | {other} | 1 |

Medians over {sys.argv[4]} seeds; `most` is the longest of the shrunk sequences:

{sys.argv[3]}
"""
print(text)
if sys.argv[5]:
    file = pathlib.Path("docs/caches.md")
    head, _, rest = file.read_text().partition("<!-- generated: begin -->\n")
    _, _, tail = rest.partition("<!-- generated: end -->")
    file.write_text(f"{head}<!-- generated: begin -->\n{text}<!-- generated: end -->{tail}")
PY
