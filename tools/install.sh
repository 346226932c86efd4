#!/usr/bin/env bash
# Installs what attnfuzz needs on a Debian 12 machine: compilers and libraries from Debian, and a
# virtual environment .venv with the Python side. Does nothing where all is there already.
#   tools/install.sh            build tools, libraries, ONNX Runtime
#   tools/install.sh --test     and what the tests need (clang, linters, pytest)
#   tools/install.sh --torch    and PyTorch's CPU build
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(g++ cmake ninja-build git libeigen3-dev librapidcheck-dev libcli11-dev libfmt-dev libspdlog-dev
          nlohmann-json3-dev libsqlite3-dev libpq-dev libdlpack-dev libgtest-dev)
requirements=(targets/python/requirements.txt)
optional=() optional_packages=()  # their tests are skipped where they cannot be had
torch=0
for option in "$@"; do
  case "$option" in
    --test)
      packages+=(clang clang-tidy clang-format lld libclang-rt-14-dev libbenchmark-dev postgresql)
      requirements+=(targets/python/requirements-test.txt)
      optional+=(tools/fleet/requirements.txt tools/requirements-html.txt)
      optional_packages+=(chromium zsh) ;;
    --torch) torch=1 ;;
    *) echo "tools/install.sh: expected --test or --torch, found $option" >&2; exit 2 ;;
  esac
done
command -v python3 > /dev/null && python3 -c 'import venv, ensurepip' 2> /dev/null ||
  packages+=(python3 python3-venv python3-dev)

as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)
installed() {
  dpkg-query -W -f '${db:Status-Status}\n' "$1" 2> /dev/null | grep -qx installed
}
install_packages() {
  echo "Installing from Debian: $*"
  "${as_root[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "$@" > /dev/null
}
missing=()
for package in "${packages[@]}"; do
  installed "$package" || missing+=("$package")
done
((${#missing[@]} == 0)) || install_packages "${missing[@]}"
for package in "${optional_packages[@]}"; do
  installed "$package" || install_packages "$package" ||
    echo "tools/install.sh: $package cannot be installed; its tests will be skipped" >&2
done

[ -x .venv/bin/python ] || python3 -m venv .venv
for file in "${requirements[@]}"; do
  .venv/bin/python -m pip install --quiet --disable-pip-version-check -r "$file"
done
for file in "${optional[@]}"; do
  .venv/bin/python -m pip install --quiet --disable-pip-version-check -r "$file" ||
    echo "tools/install.sh: $file cannot be installed; its tests will be skipped" >&2
done
if ((torch)) && ! .venv/bin/python -c 'import torch' 2> /dev/null; then
  .venv/bin/python -m pip install --quiet --disable-pip-version-check \
    -r targets/python/requirements-torch.txt
fi
