#!/usr/bin/env bash
# The README's comparison: ways to train selectors on the embedded scenario, over seeds.
#
#   bash scripts/compare_tutor.sh               seeds 0,1,2, runs/compare/<experiment>/seed_<n>
#   SEEDS=0,1 bash scripts/compare_tutor.sh
#
# Only the default goes on to the tutor; the others stop after their selectors are measured. A run
# that is done is not made again.
set -euo pipefail
cd "$(dirname "$0")/.."

fedrlhf="${FEDRLHF:-.venv/bin/fedrlhf}"
seeds="${SEEDS:-0,1,2}"
others="tutor_fedbis tutor_step_matched tutor_paper_step tutor_centralised tutor_local_only"

replicate() { # folder, overrides
  local folder="runs/compare/$1"
  shift
  mkdir -p "$folder"
  "$fedrlhf" replicate --seeds "$seeds" runtime.engine=local "run.dir=$folder" "$@" \
    >"$folder.log" 2>&1 || { cat "$folder.log"; exit 1; }
}

replicate tutor
for name in $others; do
  replicate "$name" "experiment=$name" 'run.stages=[partition,select,evaluate]'
done
"$fedrlhf" report runs/compare/*/seed_* --out runs/compare/comparison.html
