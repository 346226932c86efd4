#!/usr/bin/env bash
# The HTML report in a real Chromium (Debian's), with axe-core: needs build/release, and makes
# build/html-test (a virtual environment with playwright, which brings no browser of its own).
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v chromium > /dev/null; then
  as_root=()
  [ "$(id -u)" = 0 ] || as_root=(sudo)
  "${as_root[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends chromium > /dev/null
fi
[ -x build/html-test/bin/python ] || python3 -m venv build/html-test
build/html-test/bin/python -m pip install --quiet --disable-pip-version-check -r tools/requirements-html.txt
build/html-test/bin/python -B -m pytest -q -p no:cacheprovider tools/html_test.py
