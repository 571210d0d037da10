#!/usr/bin/env bash
# FedRLHF's knob: personal against shared reward over lambda, federated, local only and centralised.
#
#   bash scripts/sweep_lambda.sh                 runs/lambda: 9 runs, one page comparison.html
#   bash scripts/sweep_lambda.sh run.seed=1      more overrides; run.dir=… for another folder
#
# The same command again goes on where it stopped.
set -euo pipefail
cd "$(dirname "$0")/.."
exec "${FEDRLHF:-fedrlhf}" run -m \
  experiment=tutor_fedrlhf,tutor_fedrlhf_local,tutor_fedrlhf_centralised \
  reward.weight=0,0.5,1 runtime.engine=local run.dir=runs/lambda "$@"
