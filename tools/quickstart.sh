#!/usr/bin/env bash
# From a fresh Debian 12 machine to a first finding: installs, builds, fuzzes a rebuilt real bug and
# ONNX Runtime, and prints where the reports are. Add --torch to test PyTorch's attention too.
set -euo pipefail
cd "$(dirname "$0")/.."

echo "== Installing"
tools/install.sh "$@"
echo "== Building (a few minutes the first time)"
cmake --preset release > /dev/null
cmake --build --preset release --target attnfuzz

targets=(-t onnxruntime:Attention)
[[ " $* " != *" --torch "* ]] || targets+=(-t torch:sdpa-math)
# Exit code 1 says that something was found: here that is the point.
found() { "$@" || [ $? = 1 ]; }

echo
echo "== A documented bug: Llama 4's chunked attention, as Transformers 4.51.0 had it"
found build/release/attnfuzz run -t specimen:llama4-chunked-eager --seed 1 --no-corpus \
  --out out/quickstart
echo
echo "== ONNX Runtime on this machine, for twenty seconds"
found build/release/attnfuzz run "${targets[@]}" --seed 1 --time 20s --out out/quickstart-packages

echo
echo "The finding's report: out/quickstart/index.html, and as Markdown:"
ls -1 out/quickstart/findings/*/report.md
