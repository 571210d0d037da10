"""The same job as a Kubernetes manifest and as the body of Run:ai's REST call."""

import shlex
from typing import Any

from fedrlhf.deploy.job import Job
from fedrlhf.errors import ConfigError

_VOLUME, _SHARED_MEMORY = "runs", "shared-memory"
_USER_ERROR, _SIGTERM = 2, 143  # exit codes of `fedrlhf run`


def kubernetes_job(job: Job) -> dict[str, Any]:
    """Return a ``batch/v1`` Job for ``runai workload submit --file``.

    A preempted attempt (exit code 143) does not count as a failure; an error that only the user can
    mend (2) is not tried again.

    Raises:
        ConfigError: A Job cannot express a setting.
    """
    cluster = job.cluster
    if cluster.node_pools:
        raise ConfigError(f"cluster.node_pools={cluster.node_pools}: a Job does not name node "
                          "pools; use --format cli or body, or cluster.node_pools=[]")
    if not cluster.preemptible:
        raise ConfigError("cluster.preemptible=false: a Job takes this from its workload type; use "
                          "--format cli or body")
    metadata: dict[str, Any] = {}
    if job.portion:
        metadata = {"metadata": {"annotations": {"gpu-fraction": f"{job.portion:g}"}}}
    return {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": job.name},
        "spec": {
            "backoffLimit": cluster.backoff_limit,
            "podFailurePolicy": {"rules": [_on_exit("Ignore", _SIGTERM),
                                           _on_exit("FailJob", _USER_ERROR)]},
            "template": {**metadata, "spec": _pod(job)}}}


def training_request(job: Job) -> dict[str, Any]:
    """Return the body of ``POST /api/v1/workloads/trainings`` (TrainingCreationRequest).

    Raises:
        ConfigError: The ids of project and cluster are not set.
    """
    cluster = job.cluster
    for key in ("project_id", "cluster_id"):
        if not getattr(cluster, key):
            raise ConfigError(f"cluster.{key} must be set: the REST body names it by id "
                              f"(`runai {key.split('_')[0]} list --json`)")
    spec: dict[str, Any] = {
        "image": job.image, "args": shlex.join(job.command), "compute": _compute(job),
        "environmentVariables": _request_variables(job),
        "storage": {"pvc": [{"claimName": job.claim, "existingPvc": True, "path": cluster.mount}]},
        "security": _request_user(job),
        "preemptibility": "preemptible" if cluster.preemptible else "non-preemptible",
        "backoffLimit": cluster.backoff_limit}
    optional = {"nodePools": cluster.node_pools, "priorityClass": cluster.priority,
                "terminationGracePeriodSeconds": cluster.termination_grace}
    spec |= {key: value for key, value in optional.items() if value}
    return {"name": job.name, "projectId": cluster.project_id, "clusterId": cluster.cluster_id,
            "spec": spec}


def _on_exit(action: str, code: int) -> dict[str, Any]:
    return {"action": action, "onExitCodes": {"operator": "In", "values": [code]}}


def _pod(job: Job) -> dict[str, Any]:
    cluster = job.cluster
    mounts = [{"name": _VOLUME, "mountPath": cluster.mount}]
    volumes: list[dict[str, Any]] = [
        {"name": _VOLUME, "persistentVolumeClaim": {"claimName": job.claim}}]
    if cluster.large_shm:
        mounts.append({"name": _SHARED_MEMORY, "mountPath": "/dev/shm"})
        volumes.append({"name": _SHARED_MEMORY, "emptyDir": {"medium": "Memory"}})
    resources: dict[str, Any] = {
        "requests": {"cpu": f"{cluster.cpus:g}", "memory": cluster.memory}}
    if cluster.gpus >= 1:
        resources["limits"] = {"nvidia.com/gpu": int(cluster.gpus)}
    pod: dict[str, Any] = {
        "restartPolicy": "Never",  # the Job starts a new pod; podFailurePolicy asks for it
        "containers": [{
            "name": "fedrlhf", "image": job.image, "args": list(job.command),
            "env": _pod_variables(job), "resources": resources, "volumeMounts": mounts,
            "securityContext": {"allowPrivilegeEscalation": False}}],
        "volumes": volumes}
    user = {"runAsUser": cluster.uid, "runAsGroup": cluster.gid,
            "supplementalGroups": cluster.supplemental_groups}
    optional = {"securityContext": {key: value for key, value in user.items()
                                    if value not in (None, [])},
                "priorityClassName": cluster.priority,
                "terminationGracePeriodSeconds": cluster.termination_grace}
    return pod | {key: value for key, value in optional.items() if value}


def _pod_variables(job: Job) -> list[dict[str, Any]]:
    plain = [{"name": name, "value": value} for name, value in job.cluster.environment.items()]
    return plain + [{"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
                    for name, secret, key in job.secrets]


def _request_variables(job: Job) -> list[dict[str, Any]]:
    plain = [{"name": name, "value": value} for name, value in job.cluster.environment.items()]
    return plain + [{"name": name, "secret": {"name": secret, "key": key}}
                    for name, secret, key in job.secrets]


def _compute(job: Job) -> dict[str, Any]:
    cluster = job.cluster
    found: dict[str, Any] = {"cpuCoreRequest": cluster.cpus, "cpuMemoryRequest": cluster.memory,
                             "largeShmRequest": cluster.large_shm}
    if cluster.gpus:
        found["gpuDevicesRequest"] = 1 if job.portion else int(cluster.gpus)
    if job.portion:
        found |= {"gpuRequestType": "portion", "gpuPortionRequest": job.portion}
    return found


def _request_user(job: Job) -> dict[str, Any]:
    cluster = job.cluster
    if cluster.uid is None:
        return {"uidGidSource": "fromTheImage", "allowPrivilegeEscalation": False}
    groups = ",".join(map(str, cluster.supplemental_groups))
    return {"uidGidSource": "custom", "runAsUid": cluster.uid, "runAsGid": cluster.gid,
            **({"supplementalGroups": groups} if groups else {}),
            "allowPrivilegeEscalation": False}
