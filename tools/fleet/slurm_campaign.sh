#!/usr/bin/env bash
# One shard of a campaign for each task of a Slurm array; OUT is a folder that all nodes see.
#
#   export OUT=/shared/campaign ATTNFUZZ=/shared/attnfuzz/build/release/attnfuzz
#   job=$(sbatch --parsable --array=1-64 tools/fleet/slurm_campaign.sh -t ./my_attention.so --cases 1000000)
#   sbatch --dependency=afterok:$job --wrap "$ATTNFUZZ merge $OUT/shard-* --out $OUT/merged"
#
# A task whose node dies is queued again, begins its shard anew and gives the same; a shard that is
# there is not run again. Tasks sent again by number (--array=5,7) need that of all: export SHARDS=64.
#SBATCH --job-name=attnfuzz
#SBATCH --cpus-per-task=1
#SBATCH --requeue
set -euo pipefail

: "${OUT:?expected OUT, a folder that all nodes see}" "${SLURM_ARRAY_TASK_ID:?start it with sbatch --array=1-N}"
shards=${SHARDS:-${SLURM_ARRAY_TASK_MAX:-$SLURM_ARRAY_TASK_COUNT}}
folder=$OUT/shard-$(printf %04d "$SLURM_ARRAY_TASK_ID")
[ ! -d "$folder" ] || { echo "shard $SLURM_ARRAY_TASK_ID is there"; exit 0; }

rm -rf "$folder.part"
code=0
"${ATTNFUZZ:-build/release/attnfuzz}" run "$@" --shard "$SLURM_ARRAY_TASK_ID/$shards" --out "$folder.part" \
  --format md --quiet || code=$?
[ "$code" -le 1 ] || exit "$code"  # 1: findings, which the merge tells of
if grep -q '"interrupted": true' "$folder.part/summary.json"; then
  echo "shard $SLURM_ARRAY_TASK_ID was interrupted" >&2
  exit 1
fi
mv "$folder.part" "$folder"
