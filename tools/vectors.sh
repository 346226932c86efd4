#!/usr/bin/env bash
# Holds ONNX's published node test vectors (Attention, FlexAttention, RotaryEmbedding, TensorScatter) against the reference: each that
# a Case can say must be right, and each with one planted error must be wrong. Prints what no Case can say, by name.
#   tools/vectors.sh [DIR]     DIR: where the recordings are written (default: a temporary folder). Exit: 1 if one is judged wrongly
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -z "${ATTNFUZZ:-}" ]; then
  cmake --preset release > /dev/null
  cmake --build --preset release --target attnfuzz > /dev/null
  ATTNFUZZ=build/release/attnfuzz
fi
python="${ATTNFUZZ_PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python3)}"
if [ $# -gt 0 ]; then
  folder="$1"
else
  folder="$(mktemp -d)"
  trap 'rm -rf "$folder"' EXIT
fi
"$python" -B tools/vectors.py make "$folder"
for each in published planted; do
  "$ATTNFUZZ" judge --json "$folder/$each" > "$folder/$each.json" || [ $? -eq 1 ]
done
"$python" -B tools/vectors.py check "$folder"
