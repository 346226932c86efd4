#!/usr/bin/env bash
# Cases per second of `attnfuzz run` on one core, in process and through the Python worker, beside a
# Hypothesis + PyTorch loop that does the same check, with attnfuzz's overhead (the time not spent in the
# target); and the oracle's GFLOP/s beside PyTorch's float64 math SDPA. Ratios within this one run:
# `tools/bench/throughput.sh [CASES]`.
set -euo pipefail
cd "$(dirname "$0")/../.."
cases=${1:-2000}

tools/install.sh --test --torch
.venv/bin/python -m pip install --quiet --disable-pip-version-check hypothesis
cmake --preset release -DATTNFUZZ_BENCH=ON > /dev/null
cmake --build --preset release --target attnfuzz oracle_gflops
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
fuzz() { # TARGET CASES [FLAG…]: prints the counts of the run, as JSON
  build/release/attnfuzz run -t "$1" --cases "$2" "${@:3}" --seed 1 --no-corpus --quiet --out "$out/$1" \
    --max-shrink-tries 0 || [ $? = 1 ]
  .venv/bin/python -c 'import json, sys
print(json.dumps(json.load(open(sys.argv[1] + "/summary.json"))["targets"][0]))' "$out/$1"
}
# The peer uses a plain environment: no processor overrides for OpenBLAS or MKL.
python=(env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE .venv/bin/python)
build/release/attnfuzz targets --json > "$out/targets.json"

# The shapes that torch:sdpa-math claims, for cpu:naive too.
equal_shapes=$(.venv/bin/python -c 'import json, sys
t = next(t for t in json.load(open(sys.argv[1])) if t["name"] == "torch:sdpa-math")
print(*(f"--limit {a}={r[1]}" for a, r in t["capabilities"]["sizes"].items()))' "$out/targets.json")
in_process=$(taskset -c 0 bash -c "$(declare -f fuzz); out=$out fuzz cpu:naive $((cases * 20)) $equal_shapes")
worker=$(taskset -c 0 bash -c "$(declare -f fuzz); out=$out fuzz torch:sdpa-math $((cases * 5))")
hypothesis=$(taskset -c 0 "${python[@]}" tools/bench/hypothesis_loop.py "$out/targets.json" "$cases")
oracle=$(taskset -c 0 build/release/tools/bench/oracle_gflops 512 1024 2048)
torch=$(taskset -c 0 "${python[@]}" tools/bench/torch_math_gflops.py 512 1024 2048)

.venv/bin/python - "$in_process" "$worker" "$hypothesis" "$oracle" "$torch" <<'PY'
import json, sys
in_process, worker, hypothesis, oracle, torch = map(json.loads, sys.argv[1:6])
peer = hypothesis["cases_per_second"]
print("| one core | cases/s | × Hypothesis | aim | µs a case | of these in the target | overhead | its share |")
print("|---|---|---|---|---|---|---|---|")


def row(name, run, aim):
    rate, inside = run["cases"] / run["seconds"], 1e6 * run["target_seconds"] / run["cases"]
    print(f"| {name} | {rate:.0f} | {rate / peer:.1f} | {aim} | {1e6 / rate:.0f} | {inside:.0f} | "
          f"{1e6 / rate - inside:.0f} | {1 - inside * rate / 1e6:.0%} |")


row("attnfuzz run, in process (cpu:naive)", in_process, 25)
row("attnfuzz run, Python worker (torch:sdpa-math)", worker, 6)
print(f"| Hypothesis + PyTorch loop (math SDPA), {hypothesis['alarms']} false alarms | {peer:.0f} | 1 | | {1e6 / peer:.0f} | | | |")
print()
print("| float64, one thread, 4 heads, d = 128 | oracle GFLOP/s | with error bounds | PyTorch math GFLOP/s | ratio |")
print("|---|---|---|---|---|")
for length, (alone, bounded) in oracle.items():
    print(f"| L = {length} | {alone:.1f} | {bounded:.1f} | {torch[length]:.1f} | {alone / torch[length]:.2f} |")
PY
