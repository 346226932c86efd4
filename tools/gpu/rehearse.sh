#!/usr/bin/env bash
# The GPU run without a GPU, in an empty root: Debian's minimal system and python3 (debootstrap), NumPy and PyTorch's CPU build, and
# nothing of what the bundle was built with. Root is needed. ROOT is made where it is not there yet.
# Usage: tools/gpu/rehearse.sh BUNDLE ROOT [--minutes M] [RUN.SH'S ARGUMENTS…]    leaves ROOT/out
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,4s/^# //p' "$0" >&2; exit 2; }
bundle=$(realpath "$1") root=$(realpath -m "$2")
shift 2
here=$(cd "$(dirname "$0")/../.." && pwd)
if [ ! -e "$root/usr/bin/python3" ] || [ -e "$root/debootstrap" ]; then  # it is gone once all is installed
  debootstrap --variant=minbase --include=python3 bookworm "$root" > /dev/null
fi
packages=$root/usr/local/lib/python3.11/dist-packages
if [ ! -d "$packages/torch" ]; then
  "$here/.venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile --target "$packages" \
    --python-version 3.11 --only-binary :all: -r "$here/targets/python/requirements-torch.txt" numpy
fi
rm -rf "$root/bundle" "$root/out"
cp -r "$bundle" "$root/bundle"
# Namespaces of its own: no network, no processes of ours; /proc and /dev as a machine has them.
exec unshare --mount --pid --net --fork sh -c '
  root=$1; shift
  mount -t proc proc "$root/proc"
  mount -t tmpfs tmpfs "$root/tmp"
  for file in null zero random urandom; do [ -e "$root/dev/$file" ] || cp -a "/dev/$file" "$root/dev/"; done
  exec chroot "$root" /usr/bin/env -i PATH=/usr/bin:/bin HOME=/tmp /bundle/run.sh --out /out "$@"' sh "$root" "$@"
