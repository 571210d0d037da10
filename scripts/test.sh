#!/usr/bin/env bash
# Install what the tests need and run them.
#
#   bash scripts/test.sh            all tests, as CI runs them
#   bash scripts/test.sh -m "not slow"
set -euo pipefail
cd "$(dirname "$0")/.."

python="${PYTHON:-python3.11}"
command -v "$python" >/dev/null || python=python3
[ -d .venv ] || "$python" -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check \
  "$(grep '^torch==' constraints.txt)"
.venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'

export HF_HUB_OFFLINE=1
.venv/bin/ruff check src tests scripts
.venv/bin/lint-imports
exec .venv/bin/python -m pytest "$@"
