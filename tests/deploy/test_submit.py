"""`fedrlhf submit`: both command lines, the manifest, the REST body, quoting, refused settings."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fedrlhf.cli import main
from fedrlhf.config import as_dict, load, text_override
from fedrlhf.deploy.job import describe
from fedrlhf.deploy.manifests import training_request
from fedrlhf.deploy.runai_cli import follow_up_commands, submit_command
from fedrlhf.errors import ConfigError

ROOT = Path(__file__).parents[2]
WHO = ("cluster.project=team", "cluster.image=registry.example.org/lab/fedrlhf:0.1.0",
       "cluster.claim=lab-scratch", "cluster.uid=12345", "cluster.gid=678")
FULL = (*WHO, "cluster.supplemental_groups=[11,22]", "cluster.gpus=0.5", "cluster.cpus=4",
        "cluster.memory=32G", "cluster.node_pools=[h100,a100]", "cluster.backoff_limit=3",
        "+cluster.environment.MODE=fast lane", "+cluster.secrets.HF_TOKEN=fedrlhf/hf-token")
OVERRIDES = ("experiment=smoke", "run.name=one", "run.stages=[partition,select]")
COMMAND = ["fedrlhf", "run", *OVERRIDES, "run.dir=/scratch/runs/one"]

# The flags of each reference that a command may contain: a mistyped one is not among them.
V1_FLAGS = {
    "--name", "--project", "--image", "--image-pull-policy", "--gpu", "--cpu", "--memory", "--pvc",
    "--existing-pvc", "--run-as-uid", "--run-as-gid", "--supplemental-groups", "--node-pools",
    "--large-shm", "--host-ipc", "--environment", "--command", "--interactive", "--preemptible",
    "--backoff-limit", "--port", "--annotation", "--extended-resource"}
V2_FLAGS = {
    "--project", "--image", "--image-pull-policy", "--gpu-devices-request", "--gpu-request-type",
    "--gpu-portion-request", "--gpu-memory-request", "--cpu-core-request", "--cpu-memory-request",
    "--large-shm", "--node-pools", "--existing-pvc", "--environment-variable", "--env-secret",
    "--run-as-uid", "--run-as-gid", "--supplemental-groups", "--preemptibility", "--priority",
    "--backoff-limit", "--restart-policy", "--termination-grace-period", "--working-dir",
    "--auto-deletion-time-after-completion", "--template", "--command"}


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the settings of whoever runs the tests out."""
    for name in [name for name in os.environ if name.startswith("RUNAI_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> None:
    """Export what runai/env.example holds."""
    for line in (ROOT / "runai" / "env.example").read_text().splitlines():
        if line and not line.startswith("#"):
            monkeypatch.setenv(*line.split("=", 1))


def words(*overrides: str) -> list[str]:
    return submit_command(describe(load(overrides), overrides))


def test_golden_v2() -> None:
    """Every setting of a job in the words of `runai training standard submit`."""
    assert words("cluster=runai", *OVERRIDES, *FULL, "cluster.priority=low") == [
        "runai", "training", "standard", "submit", "one", "--project", "team",
        "--image", "registry.example.org/lab/fedrlhf:0.1.0", "--gpu-devices-request", "1",
        "--gpu-request-type", "portion", "--gpu-portion-request", "0.5", "--cpu-core-request", "4",
        "--cpu-memory-request", "32G", "--existing-pvc", "claimname=lab-scratch,path=/scratch",
        "--large-shm", "--run-as-uid", "12345", "--run-as-gid", "678",
        "--supplemental-groups", "11,22", "--node-pools", "h100", "--node-pools", "a100",
        "--environment-variable", "HF_HOME=/scratch/hf_cache",
        "--environment-variable", "MODE=fast lane",
        "--env-secret", "HF_TOKEN=fedrlhf,key=hf-token", "--preemptibility", "preemptible",
        "--priority", "low", "--backoff-limit", "3", "--termination-grace-period", "60s",
        "--", *COMMAND]


def test_golden_v1() -> None:
    """The same in the words of `runai submit`."""
    assert words("cluster=epfl_rcp", *OVERRIDES, *FULL) == [
        "runai", "submit", "--name", "one", "--project", "team",
        "--image", "registry.example.org/lab/fedrlhf:0.1.0", "--gpu", "0.5", "--cpu", "4",
        "--memory", "32G", "--existing-pvc", "claimname=lab-scratch,path=/scratch", "--large-shm",
        "--run-as-uid", "12345", "--run-as-gid", "678", "--supplemental-groups", "11,22",
        "--node-pools", "h100,a100", "--environment", "HF_HOME=/scratch/hf_cache",
        "--environment", "FEDRLHF_UMASK=007", "--environment", "MODE=fast lane",
        "--environment", "HF_TOKEN=SECRET:fedrlhf,hf-token", "--backoff-limit", "3",
        "--", *COMMAND]


@pytest.mark.parametrize(("cluster", "flags"), [("runai", V2_FLAGS), ("epfl_rcp", V1_FLAGS)])
def test_flags_are_in_the_reference(cluster: str, flags: set[str]) -> None:
    """No flag that the command line does not know."""
    more = ["cluster.priority=low"] if cluster == "runai" else []
    for gpus in ("0", "0.5", "2"):
        found = words(f"cluster={cluster}", *FULL, *more, f"cluster.gpus={gpus}")
        assert {word for word in found[:found.index("--")] if word.startswith("-")} <= flags


def test_follow_up_commands_name_job_and_project() -> None:
    """Log, state and deletion, in both command lines."""
    for cluster in ("runai", "epfl_rcp"):
        overrides = (f"cluster={cluster}", *WHO, "run.name=My_Run.3")
        for command in follow_up_commands(describe(load(overrides), overrides)):
            assert command[0] == "runai" and {"my-run-3", "--project", "team"} <= set(command)


@pytest.mark.parametrize(("form", "file"), [("job", "job.yaml"), ("body", "training.json")])
@pytest.mark.usefixtures("example")
def test_committed_examples_are_rendered(form: str, file: str,
                                         capsys: pytest.CaptureFixture[str]) -> None:
    """The files of runai/ are what the command prints with the values of env.example."""
    assert main(["submit", "--format", form, "cluster=runai", "experiment=smoke"]) == 0
    assert capsys.readouterr().out == (ROOT / "runai" / file).read_text()


@pytest.mark.parametrize("more", [
    (), ("cluster.gpus=0.5", "cluster.priority=low", "cluster.large_shm=false"),
    ("cluster.gpus=0", "cluster.uid=null", "cluster.gid=null",
     "+cluster.secrets.HF_TOKEN=fedrlhf/hf-token")])
@pytest.mark.usefixtures("example")
def test_kubernetes_accepts_the_job(more: tuple[str, ...], tmp_path: Path,
                                    capsys: pytest.CaptureFixture[str]) -> None:
    """`kubernetes-validate --strict` knows the kind and every field; a typo is refused."""
    assert main(["submit", "--format", "job", "cluster=runai", *more]) == 0
    text = capsys.readouterr().out
    file = tmp_path / "job.yaml"
    for content, accepted in ((text, True), (text.replace("backoffL", "backoffLL"), False)):
        file.write_text(content)
        found = subprocess.run(
            [sys.executable, "-m", "kubernetes_validate", "--strict", str(file)],
            capture_output=True, text=True, check=False)
        assert (found.returncode == 0) == accepted, found.stdout + found.stderr
        assert "WARN" not in found.stdout + found.stderr


@pytest.mark.parametrize("more", [
    (), ("cluster.priority=low", "cluster.node_pools=[h100]", "cluster.supplemental_groups=[1,2]"),
    ("cluster.gpus=0.5", "cluster.uid=null", "cluster.gid=null", "cluster.preemptible=false",
     "+cluster.secrets.HF_TOKEN=fedrlhf/hf-token")])
@pytest.mark.usefixtures("example")
def test_the_rest_client_keeps_every_key(more: tuple[str, ...]) -> None:
    """Run:ai's generated client drops keys that it does not know; it drops none of ours."""
    from runai.models import TrainingCreationRequest

    overrides = ("cluster=runai", *more)
    body = training_request(describe(load(overrides), overrides))
    request = TrainingCreationRequest.from_dict(body)
    assert request is not None
    assert set(_keys(body)) <= set(_keys(request.to_dict()))
    for value in _keys(body):
        assert value in set(_keys(request.to_dict()))
    typo = {**body, "spec": {**body["spec"], "imagee": "x"}}
    dropped = TrainingCreationRequest.from_dict(typo)
    assert dropped is not None and not set(_keys(typo)) <= set(_keys(dropped.to_dict()))


def _keys(node: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Return the dotted keys of all values, with the values."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield from _keys(value, f"{prefix}.{name}")
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from _keys(value, f"{prefix}.{number}")
    else:
        yield prefix, str(getattr(node, "value", node))


NAME = "it's a \"run\" (1)"
HARD = ("experiment=smoke", text_override("run.name", NAME), "selector.letters=[' A',' B']",
        "run.stages=[partition,select]", "tracker.project='two words'",
        "tutor.adapter.targets='q_proj,v_proj'", "+faults.student_000=nan")


@pytest.mark.parametrize("cluster", ["runai", "epfl_rcp"])
def test_overrides_arrive_as_they_were(cluster: str, tmp_path: Path,
                                       monkeypatch: pytest.MonkeyPatch,
                                       capsys: pytest.CaptureFixture[str]) -> None:
    """The printed text through bash, and --yes itself: a `runai` that notes its words gets these.

    The command in them composes the configuration that was submitted, but for run.dir and cluster.
    """
    noted = tmp_path / "words"
    program = tmp_path / "runai"
    program.write_text(f"#!{sys.executable}\nimport json, sys\n"
                       f"open({str(noted)!r}, 'a').write(json.dumps(sys.argv[1:]) + '\\n')\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    overrides = [f"cluster={cluster}", *WHO, *HARD, "cluster.job=hard"]
    assert main(["submit", *overrides, "--yes"]) == 0
    subprocess.run(["bash", "-c", capsys.readouterr().out], check=True)
    sent, typed = (json.loads(line) for line in noted.read_text().splitlines())
    assert sent == typed == words(*overrides)[1:]
    assert shlex.split(shlex.join(sent)) == sent

    program_name, run, *arrived = sent[sent.index("--") + 1:]
    assert (program_name, run) == ("fedrlhf", "run")
    found, wanted = (as_dict(load(given)) for given in (arrived, overrides))
    assert found["run"].pop("dir") == f"/scratch/runs/{NAME}"
    wanted["run"].pop("dir")
    for config in (found, wanted):
        config.pop("cluster")
    assert found == wanted


@pytest.mark.slow
def test_a_run_does_not_depend_on_the_cluster() -> None:
    """No stage's settings name the section, so that neither digest nor result can depend on it."""
    from fedrlhf.stages.pipeline import stages

    assert not [key for deployed in (False, True) for stage in stages(deployed).values()
                for key in stage.settings if key.startswith("cluster")]


KEYS = {"W&B": "0123456789abcdef" * 2 + "01234567", "hub": "hf_" + "aB3" * 11,
        "API": "sk-" + "x1" * 12, "AWS": "AKIA" + "ABCD1234" * 2}


@pytest.mark.parametrize("override", [
    *(f"+cluster.environment.NAME={value}" for value in KEYS.values()),
    *(f"tracker.project={value}" for value in KEYS.values()),
    *(f"+cluster.secrets.NAME={value}" for value in KEYS.values()),
    *(f"+cluster.environment.{name}=plainvalue1"
      for name in ("WANDB_API_KEY", "HF_TOKEN", "MY_SECRET", "DB_PASSWORD", "PASSWORD")),
    "+cluster.environment={HF_TOKEN: plainvalue1}", "+data.api_key=plainvalue1",
    "+cluster.environment.HF_TOKEN=${oc.env:SUBMIT_TEST_VALUE}",
    "+cluster.secrets.HF_TOKEN=plainvalue1"])
def test_secrets_are_refused_and_not_shown(override: str, monkeypatch: pytest.MonkeyPatch,
                                           capsys: pytest.CaptureFixture[str]) -> None:
    """The message says how to refer to a secret; the value is nowhere in the output."""
    monkeypatch.setenv("SUBMIT_TEST_VALUE", "plainvalue1")
    assert main(["submit", "cluster=runai", *WHO, override]) == 2
    text = "".join(capsys.readouterr())
    assert "cluster.secrets." in text
    for value in ("plainvalue1", *KEYS.values()):
        assert value not in text


@pytest.mark.parametrize("override", [
    f"selector.model.revision={KEYS['W&B']}", "+cluster.secrets.HF_TOKEN=fedrlhf/HF_TOKEN",
    "cluster.environment.HF_HOME=/scratch/hf_cache_of_the_whole_laboratory",
    "label.sampling.max_new_tokens=40", "selector.tokens_per_forward=512"])
def test_what_is_no_secret_passes(override: str) -> None:
    """A commit, a reference, a path and counts of tokens."""
    from fedrlhf.deploy.secrets import refuse_in_overrides

    refuse_in_overrides([override])
    assert words("cluster=runai", *WHO, override)[0] == "runai"


@pytest.mark.parametrize(("more", "message"), [
    (["cluster.project=null"], "RUNAI_PROJECT"), (["cluster.image=null"], "cluster.image"),
    (["cluster.claim=null"], "cluster.claim"), (["cluster.gpus=1.5"], "cluster.gpus"),
    (["cluster.memory=lots"], "'lots'"), (["cluster.priority=urgent"], "'urgent'"),
    (["cluster.uid=null"], "cluster.gid"), (["cluster.job=A_b"], "'A_b'"),
    (["run.name=___"], "cluster.job"), (["cluster.mount=scratch"], "'scratch'"),
    (["cluster.runs=../x"], "'../x'"), (["run.dir=/elsewhere"], "run.dir"),
    (["+cluster.environment.a-b=c"], "'a-b'"),
    (["cluster.environment.NEW=c"], "added with a plus: +cluster.environment.NEW"),
    (["+cluster.environment.A=c", "+cluster.secrets.A=b/c"], "A stands"),
    (["cluster.uid=null", "cluster.gid=null", "cluster.supplemental_groups=[1]"],
     "cluster.supplemental_groups"),
])
def test_refused_settings(more: list[str], message: str) -> None:
    """Each refusal names the key or the value."""
    with pytest.raises(ConfigError, match=re.escape(message)):
        words("cluster=runai", *WHO, *more)


@pytest.mark.parametrize("more", ["cluster.preemptible=false", "cluster.priority=low",
                                  "cluster.termination_grace=30"])
def test_v1_refuses_what_it_has_no_flag_for(more: str) -> None:
    """Nothing is left out without a word."""
    with pytest.raises(ConfigError, match=more.split("=")[0]):
        words("cluster=epfl_rcp", *WHO, more)


@pytest.mark.parametrize(("form", "more", "message"), [
    ("job", "cluster.node_pools=[h100]", "node pools"), ("job", "cluster.preemptible=false", "Job"),
    ("body", "cluster.cluster_id=null", "cluster_id"), ("job", "--yes", "--format job only prints"),
])
@pytest.mark.usefixtures("example")
def test_refused_by_a_form(form: str, more: str, message: str,
                           capsys: pytest.CaptureFixture[str]) -> None:
    """What a form cannot express is refused with the way out."""
    assert main(["submit", "--format", form, "cluster=runai", more]) == 2
    assert message in capsys.readouterr().err


def test_without_a_cluster(capsys: pytest.CaptureFixture[str]) -> None:
    """The message names the choices."""
    assert main(["submit", "experiment=smoke"]) == 2
    assert "cluster=epfl_rcp" in capsys.readouterr().err


def test_a_missing_or_failing_runai(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                    capsys: pytest.CaptureFixture[str]) -> None:
    """Without the program: 2 and what to install; if it refuses the job: 1."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["submit", "cluster=runai", *WHO, "--yes"]) == 2
    assert "install the cluster's command line" in capsys.readouterr().err
    (tmp_path / "runai").write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / "runai").chmod(0o755)
    assert main(["submit", "cluster=runai", *WHO, "--yes"]) == 1
    assert "exit code 3" in capsys.readouterr().err


def test_names_of_jobs_and_folders_on_the_volume() -> None:
    """`run.name` names the folder as it is and the job in the letters that are allowed."""
    overrides = ("cluster=runai", *WHO, "run.name=Tutor_FedBis.7", "cluster.runs=me/runs")
    job = describe(load(overrides), overrides)
    assert job.name == "tutor-fedbis-7"
    assert job.command == ("fedrlhf", "run", "run.name=Tutor_FedBis.7",
                           "run.dir=/scratch/me/runs/Tutor_FedBis.7")


def test_the_manifest_is_yaml_of_one_job() -> None:
    """What is committed parses, and its command runs what it should."""
    job = yaml.safe_load((ROOT / "runai" / "job.yaml").read_text())
    container, = job["spec"]["template"]["spec"]["containers"]
    assert container["args"] == [
        "fedrlhf", "run", "experiment=smoke", "run.dir=/scratch/runs/smoke"]
