#!/usr/bin/env bash
# Make .venv with the project and the pinned versions of everything it needs.
#
#   bash scripts/install.sh            to run it
#   bash scripts/install.sh '[test]'   to test it
set -euo pipefail
cd "$(dirname "$0")/.."

python="${PYTHON:-python3.11}"
command -v "$python" >/dev/null || python=python3
[ -d .venv ] || "$python" -m venv .venv
# torch first and on its own: without its pin another package could pull a larger build of it.
.venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
  "$(grep '^torch==' constraints.txt)"
.venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
  --editable ".${1:-}"
