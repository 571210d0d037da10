"""The commands of Run:ai's two command lines.

v2: `runai training standard submit` (reference of versions 2.24 to 3.0). v1: `runai submit`, which
public scripts of EPFL use. A job's command follows ``--``, without ``--command``: it becomes the
arguments of the image's entrypoint.
"""

from fedrlhf.deploy.job import Job
from fedrlhf.errors import ConfigError


def submit_command(job: Job) -> list[str]:
    """Return the words that submit a job.

    Raises:
        ConfigError: The cluster's command line cannot express a setting.
    """
    before = _v1(job) if job.cluster.cli == "v1" else _v2(job)
    return [*before, "--", *job.command]


def follow_up_commands(job: Job) -> list[list[str]]:
    """Return the commands that show a submitted job's log and state, and that delete it."""
    project = ["--project", job.project]
    if job.cluster.cli == "v1":
        return [["runai", "logs", job.name, *project, "--follow"],
                ["runai", "describe", "job", job.name, *project],
                ["runai", "delete", "job", job.name, *project]]
    return [["runai", "training", "standard", verb, job.name, *project, *more]
            for verb, *more in (["logs", "--follow"], ["describe"], ["delete"])]


def _v2(job: Job) -> list[str]:
    cluster = job.cluster
    words = ["runai", "training", "standard", "submit", job.name,
             "--project", job.project, "--image", job.image]
    if cluster.gpus:
        words += ["--gpu-devices-request", str(1 if job.portion else int(cluster.gpus))]
    if job.portion:
        words += ["--gpu-request-type", "portion", "--gpu-portion-request", f"{job.portion:g}"]
    words += ["--cpu-core-request", f"{cluster.cpus:g}", "--cpu-memory-request", cluster.memory]
    words += _volume_and_user(job)
    for pool in cluster.node_pools:
        words += ["--node-pools", pool]
    for name, value in cluster.environment.items():
        words += ["--environment-variable", f"{name}={value}"]
    for name, secret, key in job.secrets:
        words += ["--env-secret", f"{name}={secret},key={key}"]
    words += ["--preemptibility", "preemptible" if cluster.preemptible else "non-preemptible"]
    if cluster.priority:
        words += ["--priority", cluster.priority]
    words += ["--backoff-limit", str(cluster.backoff_limit)]
    if cluster.termination_grace is not None:
        words += ["--termination-grace-period", f"{cluster.termination_grace}s"]
    return words


def _v1(job: Job) -> list[str]:
    cluster = job.cluster
    for key, fits, neutral in (("preemptible", cluster.preemptible, "true"),
                               ("priority", cluster.priority is None, "null"),
                               ("termination_grace", cluster.termination_grace is None, "null")):
        if not fits:
            raise ConfigError(f"cluster.{key} must be {neutral} with cluster.cli=v1, which has no "
                              f"flag for it, got {getattr(cluster, key)!r}")
    words = ["runai", "submit", "--name", job.name, "--project", job.project, "--image", job.image]
    if cluster.gpus:
        words += ["--gpu", f"{cluster.gpus:g}"]
    words += ["--cpu", f"{cluster.cpus:g}", "--memory", cluster.memory]
    words += _volume_and_user(job)
    if cluster.node_pools:
        words += ["--node-pools", ",".join(cluster.node_pools)]
    for name, value in cluster.environment.items():
        words += ["--environment", f"{name}={value}"]
    for name, secret, key in job.secrets:
        words += ["--environment", f"{name}=SECRET:{secret},{key}"]
    return [*words, "--backoff-limit", str(cluster.backoff_limit)]


def _volume_and_user(job: Job) -> list[str]:
    """Return the flags that both command lines share."""
    cluster = job.cluster
    words = ["--existing-pvc", f"claimname={job.claim},path={cluster.mount}"]
    if cluster.large_shm:
        words.append("--large-shm")
    if cluster.uid is not None:
        words += ["--run-as-uid", str(cluster.uid), "--run-as-gid", str(cluster.gid)]
    if cluster.supplemental_groups:
        words += ["--supplemental-groups", ",".join(map(str, cluster.supplemental_groups))]
    return words
