#!/usr/bin/env bash
# Installs the command attnfuzz for a CI job by pip: the wheel that is named, or this checkout, which is compiled then.
#   tools/ci/install.sh [WHEEL]
set -euo pipefail
wheel=${1:-}
if [ -z "$wheel" ]; then
  wheel=$(cd "$(dirname "$0")/../.." && pwd)
  if command -v apt-get > /dev/null; then
    as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo)
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" apt-get install -y -qq --no-install-recommends g++ cmake ninja-build libeigen3-dev librapidcheck-dev \
      libcli11-dev libfmt-dev libspdlog-dev nlohmann-json3-dev libsqlite3-dev libdlpack-dev python3-dev > /dev/null
  fi
fi
python3 -m pip install --quiet --disable-pip-version-check "$wheel"
attnfuzz --version
