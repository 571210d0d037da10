#!/usr/bin/env bash
# The main job on a fresh machine: environment, installation, run. Needs Python 3.11 and a package index.
#
#   bash scripts/quickstart.sh
#
# The run goes to runs/quickstart; the same command again continues it.
set -euo pipefail
cd "$(dirname "$0")/.."

python="${PYTHON:-python3.11}"
command -v "$python" >/dev/null || python=python3
[ -d .venv ] || "$python" -m venv .venv
# torch first and on its own: without its pin another package could pull a larger build of it.
.venv/bin/python -m pip install --quiet --disable-pip-version-check \
  "$(grep '^torch==' constraints.txt)"
.venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .

exec .venv/bin/fedrlhf run run.name=quickstart "$@"
