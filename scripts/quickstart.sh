#!/usr/bin/env bash
# The main job on a fresh machine: environment, installation, run. Needs Python 3.11 and a package
# index.
#
#   bash scripts/quickstart.sh
#
# The run goes to runs/quickstart; the same command again continues it.
set -euo pipefail
cd "$(dirname "$0")/.."

bash scripts/install.sh
exec .venv/bin/fedrlhf run run.name=quickstart "$@"
