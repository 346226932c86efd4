#!/bin/sh
# The GPU run, on a machine that has python3: run.sh --minutes 8 --out OUT [--only STEP…]; --help tells more.
here=$(cd "$(dirname "$0")" && pwd) || exit 3
exec python3 -B "$here/gpu/run.py" "$@"
