# syntax=docker/dockerfile:1
# One image for every part of a run: `fedrlhf run` on a cluster, SuperLink, SuperNodes, executors.
#
#   docker build --tag fedrlhf:0.1.0 --build-arg UID="$(id -u)" --build-arg GID="$(id -g)" .
#
# TORCH_INDEX: the index of the torch build that you want (CUDA of your driver, or CPU); empty: the
# default index of pip. constraints.txt pins torch's version, the index decides its build.

FROM python:3.11-slim AS build

ARG TORCH_INDEX=""
ENV PIP_DISABLE_PIP_VERSION_CHECK=1
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /source

# What changes rarely comes first: an edit of the source does not install torch again.
COPY constraints.txt pyproject.toml ./
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv /venv \
 && /venv/bin/pip install --constraint constraints.txt ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} \
    "$(grep '^torch==' constraints.txt)"
RUN --mount=type=cache,target=/root/.cache/pip \
    python -c "import tomllib; \
print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
    > requirements.txt \
 && /venv/bin/pip install --constraint constraints.txt --requirement requirements.txt

COPY README.md LICENSE ./
COPY conf conf
COPY src src
RUN --mount=type=cache,target=/root/.cache/pip \
    /venv/bin/pip install --no-deps .


FROM python:3.11-slim

# Shared storage often lets only its owner write: build with your own ids, or run with them.
ARG UID=1000
ARG GID=1000
RUN groupadd --gid "$GID" fedrlhf \
 && useradd --uid "$UID" --gid "$GID" --no-log-init --create-home fedrlhf \
 && install --directory --owner "$UID" --group "$GID" /work /runs /state /models /memory

COPY --from=build /venv /venv
COPY --chmod=0755 runai/entrypoint.sh /usr/local/bin/entrypoint.sh

# No secrets here: they come from the cluster or from compose at run time. (The rule that is ignored
# takes TOKENIZERS for a token.)
# hadolint ignore=DL3064
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    FLWR_TELEMETRY_ENABLED=0 \
    FLWR_DISABLE_UPDATE_CHECK=1 \
    FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION=1 \
    RAY_USAGE_STATS_ENABLED=0 \
    TOKENIZERS_PARALLELISM=false

USER ${UID}:${GID}
WORKDIR /work
HEALTHCHECK NONE
ENTRYPOINT ["/usr/local/bin/entrypoint.sh"]
CMD ["fedrlhf", "--help"]
