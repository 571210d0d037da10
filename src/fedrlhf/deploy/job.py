"""One run as a job of a cluster: its name, its command, and the checks before it is sent."""

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass

from fedrlhf.config import schema, text_override
from fedrlhf.deploy.secrets import refuse_in_environment
from fedrlhf.errors import ConfigError

PRIORITIES = ("very-low", "low", "medium-low", "medium", "medium-high", "high", "very-high")
_LONGEST_NAME = 63  # of a Kubernetes label
_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?([EPTGMk]i?)?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REFERENCE = re.compile(r"[a-z0-9]([-.a-z0-9]*[a-z0-9])?/[-._A-Za-z0-9]+")


@dataclass(frozen=True)
class Job:
    """What every form of submission is rendered from.

    Attributes:
        name: The job's name, lower-case letters, digits and hyphens.
        project: The Run:ai project.
        image: The image; its entrypoint gets `command`.
        claim: The claim of the volume that holds the runs.
        command: ``fedrlhf run …``; the same words continue the run after a preemption.
        cluster: The other settings.
    """

    name: str
    project: str
    image: str
    claim: str
    command: tuple[str, ...]
    cluster: schema.Cluster

    @property
    def portion(self) -> float | None:
        """The portion of one GPU, or nothing where whole devices or none are asked for."""
        return self.cluster.gpus if 0 < self.cluster.gpus < 1 else None

    @property
    def secrets(self) -> list[tuple[str, str, str]]:
        """Each variable with the name of its secret and the key in it."""
        return [(variable, secret, key) for variable, reference in self.cluster.secrets.items()
                for secret, _, key in [reference.partition("/")]]


def describe(config: schema.Config, overrides: Sequence[str]) -> Job:
    """Check the section `cluster` and return the job that runs the configuration.

    Args:
        config: The composed configuration.
        overrides: What it was composed from; those of `cluster` are left out of the command.

    Raises:
        ConfigError: A setting is missing, malformed or not what a cluster takes.
    """
    cluster = config.cluster
    _check_user_and_place(cluster)
    _check_resources(cluster)
    _check_variables(cluster)
    return Job(
        name=_job_name(cluster.job, config.run.name), project=_needed(cluster, "project"),
        image=_needed(cluster, "image"), claim=_needed(cluster, "claim"),
        command=("fedrlhf", "run", *_run_overrides(config, overrides)), cluster=cluster)


def _run_overrides(config: schema.Config, overrides: Sequence[str]) -> list[str]:
    """Return the overrides of the job's own command: the run's folder is on the volume."""
    keys = [re.split("[=@]", word.lstrip("+~"))[0] for word in overrides]
    if "run.dir" in keys:
        raise ConfigError("`fedrlhf submit` sets run.dir itself, to MOUNT/RUNS/NAME on the volume: "
                          "set cluster.mount, cluster.runs or run.name instead")
    kept = [word for word, key in zip(overrides, keys, strict=True)
            if key != "cluster" and not key.startswith("cluster.")]
    folder = posixpath.join(config.cluster.mount, config.cluster.runs, config.run.name)
    return [*kept, text_override("run.dir", folder)]


def _job_name(chosen: str | None, run_name: str) -> str:
    name = chosen or re.sub(r"[^a-z0-9]+", "-", run_name.lower()).strip("-")
    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise ConfigError(f"{name!r} cannot name a job: set cluster.job to at most {_LONGEST_NAME} "
                          "lower-case letters, digits and hyphens that begin with a letter")
    return name


def _needed(cluster: schema.Cluster, key: str) -> str:
    value = getattr(cluster, key)
    if not value:
        raise ConfigError(
            f"cluster.{key} must be set: add cluster.{key}=…, or choose cluster=runai or "
            f"cluster=epfl_rcp and export RUNAI_{key.upper()} (runai/env.example)")
    return str(value)


def _check_user_and_place(cluster: schema.Cluster) -> None:
    if (cluster.uid is None) != (cluster.gid is None):
        raise ConfigError("cluster.uid and cluster.gid belong together: "
                          f"got {cluster.uid} and {cluster.gid}")
    if cluster.supplemental_groups and cluster.uid is None:
        raise ConfigError("cluster.supplemental_groups needs cluster.uid and cluster.gid")
    if not cluster.mount.startswith("/") or "," in cluster.mount:
        raise ConfigError(f"cluster.mount must be an absolute path without commas, "
                          f"got {cluster.mount!r}")
    if posixpath.normpath(cluster.runs).startswith(("/", "..")):
        raise ConfigError("cluster.runs must be a folder below cluster.mount, "
                          f"got {cluster.runs!r}")


def _check_resources(cluster: schema.Cluster) -> None:
    if cluster.gpus >= 1 and cluster.gpus != int(cluster.gpus):
        raise ConfigError("cluster.gpus must be a whole number, or below 1 a portion of one GPU, "
                          f"got {cluster.gpus:g}")
    if not _QUANTITY.fullmatch(cluster.memory):
        raise ConfigError(f"cluster.memory must be a quantity such as 64G, got {cluster.memory!r}")
    if cluster.priority is not None and cluster.priority not in PRIORITIES:
        raise ConfigError(f"cluster.priority must be one of {', '.join(PRIORITIES)}, "
                          f"got {cluster.priority!r}")


def _check_variables(cluster: schema.Cluster) -> None:
    """Check names and references; a malformed reference may be a secret, so it is not shown."""
    refuse_in_environment(cluster.environment)
    for name in [*cluster.environment, *cluster.secrets]:
        if not _VARIABLE.fullmatch(name):
            raise ConfigError(f"{name!r} cannot name an environment variable")
    for name, reference in cluster.secrets.items():
        if not _REFERENCE.fullmatch(reference):
            raise ConfigError(f"cluster.secrets.{name} must have the form SECRET-NAME/KEY: "
                              "the name of a Kubernetes secret and a key in it")
        if name in cluster.environment:
            raise ConfigError(f"{name} stands in cluster.environment and in cluster.secrets")
