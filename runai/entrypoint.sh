#!/usr/bin/env bash
# The image's entrypoint: prepare the user's environment, then become the program.
#
# `exec` leaves no shell between the container and Python, so that SIGTERM reaches it.
set -euo pipefail

umask "${FEDRLHF_UMASK:-022}"

# A cluster may run the image under a user that the image does not know.
if [ ! -w "${HOME:-/}" ]; then
  HOME="$(mktemp -d)"
  export HOME
fi
USER="${USER:-$(id -un 2>/dev/null || echo fedrlhf)}"
export USER
export LOGNAME="${LOGNAME:-$USER}"

exec "$@"
