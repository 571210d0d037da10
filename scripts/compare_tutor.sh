#!/usr/bin/env bash
# The README's comparison: ways to train selectors on the embedded scenario, over seeds.
#
#   bash scripts/compare_tutor.sh               seeds 0 1 2, runs/compare/<experiment>_<seed>
#   SEEDS="0 1" bash scripts/compare_tutor.sh
#
# Only the default goes on to the tutor; the others stop after their selectors are measured. A run
# that is done is not made again.
set -euo pipefail
cd "$(dirname "$0")/.."

fedrlhf="${FEDRLHF:-.venv/bin/fedrlhf}"
seeds="${SEEDS:-0 1 2}"
others="tutor_fedbis tutor_step_matched tutor_paper_step tutor_centralised tutor_local_only"

run() { # folder, overrides
  local folder="runs/compare/$1"
  shift
  "$fedrlhf" run runtime.engine=local "run.dir=$folder" "$@" >"$folder.log" 2>&1 ||
    { cat "$folder.log"; exit 1; }
}

mkdir -p runs/compare
for seed in $seeds; do
  run "tutor_$seed" "run.seed=$seed" "data.seed=$seed"
  for name in $others; do
    run "${name}_$seed" "experiment=$name" "run.seed=$seed" "data.seed=$seed" \
      'run.stages=[partition,select,evaluate]'
  done
done
folders=()
for name in tutor $others; do
  for seed in $seeds; do folders+=("runs/compare/${name}_$seed"); done
done
"$fedrlhf" report "${folders[@]}" --out runs/compare/comparison.html
