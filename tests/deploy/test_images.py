"""Dockerfile, compose.yaml and scripts: linted, and their commands are those of the programs.

No container engine is needed or used: what a build or a start would show is not tested here.
"""

import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from fedrlhf.config import load

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: Mapping[str, Any] = COMPOSE["services"]
SCRIPTS = sorted([*ROOT.glob("scripts/*.sh"), *ROOT.glob("runai/*.sh"), ROOT / ".ci" / "run"])
PROGRAMS = Path(sys.executable).parent


def run(*words: str) -> None:
    found = subprocess.run([PROGRAMS / words[0], *words[1:]], capture_output=True, text=True,
                           cwd=ROOT, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


@cache
def flags(program: str) -> set[str]:
    """Return the flags that a program's help names."""
    found = subprocess.run([PROGRAMS / program, "--help"], capture_output=True, text=True,
                           check=True)
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", found.stdout))


def test_the_dockerfile_passes_hadolint() -> None:
    """Among others: exec form, no secrets in ARG and ENV, pipefail, a pinned base."""
    run("hadolint", "Dockerfile")


def test_compose_has_the_form_of_the_specification() -> None:
    """The schema of the compose specification that check-jsonschema ships."""
    run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts(script: Path) -> None:
    """The shell parses each script and shellcheck finds nothing."""
    subprocess.run(["bash", "-n", script], check=True)
    run("shellcheck", str(script))


@pytest.mark.parametrize("name", SERVICES)
def test_commands_have_the_programs_flags(name: str) -> None:
    """Each flag of a service stands in the help of the installed program."""
    program, *words = SERVICES[name]["command"]
    used = {word.partition("=")[0] for word in words}
    assert all(word.startswith("--") for word in words)
    assert used <= flags(program), used - flags(program)


@pytest.mark.parametrize("name", SERVICES)
def test_services_find_each_other(name: str) -> None:
    """An address names a service of a shared network and its port; a secret is one it is given."""
    service = SERVICES[name]
    for word in service["command"]:
        flag, _, value = word.partition("=")
        if flag in ("--superlink", "--runtime-api-address"):
            other, port = value.split(":")
            assert f"--port={port}" in SERVICES[other]["command"]
            assert set(service["networks"]) & set(SERVICES[other]["networks"])
            assert other in service["depends_on"]
        if value.startswith("/run/secrets/"):
            assert value.removeprefix("/run/secrets/") in service["secrets"]
    assert set(service["secrets"]) <= set(COMPOSE["secrets"])


def test_a_shard_is_in_one_container() -> None:
    """Two sites: each executor has a folder of its own, read-only, and no network with another."""
    clients = {name: service for name, service in SERVICES.items() if name.startswith("client-app")}
    mounted = [volume for service in SERVICES.values() for volume in service.get("volumes", [])
               if volume.startswith("./")]
    assert len(clients) == len(mounted) == len(set(mounted)) == 2
    assert all(volume.endswith(":/data:ro") for volume in mounted)
    for name, service in clients.items():
        sharing = [other for other, found in SERVICES.items()
                   if set(found["networks"]) & set(service["networks"])]
        assert sorted(sharing) == sorted([name, name.replace("client-app", "supernode")])


def test_the_documented_run_composes() -> None:
    """The command of docs/cluster.md is a configuration, for as many clients as there are sites."""
    page = (ROOT / "docs" / "cluster.md").read_text("utf-8")
    command = re.search(r"^(fedrlhf run runtime.engine=deployment.*?[^\\])$", page,
                        re.MULTILINE | re.DOTALL)
    assert command is not None
    config = load(shlex.split(command[1].replace("\\\n", " "))[2:])
    sites = [name for name in SERVICES if name.startswith("supernode")]
    assert len(config.runtime.clients) == len(sites)
    assert f"[superlink.{config.runtime.superlink}]" in page
    mounted = [volume.partition(":")[2] for volume in SERVICES["server-app"]["volumes"]]
    assert str(Path(config.run.dir).parent) in mounted


def test_nothing_is_insecure() -> None:
    """TLS everywhere, SuperNodes show a key, executors a secret, and nobody is root."""
    assert "--insecure" not in (ROOT / "compose.yaml").read_text()
    assert "--enable-supernode-auth" in SERVICES["superlink"]["command"]
    for service in SERVICES.values():
        assert service["cap_drop"] == ["ALL"]
        assert "--superexec-auth-secret-file=/run/secrets/superexec" in service["command"]
    assert re.search(r"^USER \$\{UID\}:\$\{GID\}$", DOCKERFILE, re.MULTILINE)


def test_the_image_copies_what_is_there_and_not_ignored() -> None:
    """Each COPY from the folder names files that exist and that .dockerignore lets through."""
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copied = [word for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)
              for word in shlex.split(line)[:-1] if not word.startswith("--")]
    assert {"src", "conf", "constraints.txt", "runai/entrypoint.sh"} <= set(copied)
    for name in copied:
        assert (ROOT / name).exists()
        assert f"!{name}" in ignored
    assert sorted(f"!{name}" for name in copied) == sorted(
        line for line in ignored if line.startswith("!"))


def test_the_image_installs_what_the_package_needs() -> None:
    """The one-liner of the Dockerfile lists pyproject's dependencies; torch has a pin to build."""
    program = re.search(r'python -c "(import tomllib.*?)" \\', DOCKERFILE, re.DOTALL)
    assert program is not None
    found = subprocess.run([sys.executable, "-c", program[1].replace("\\\n", "")], cwd=ROOT,
                           capture_output=True, text=True, check=True).stdout.splitlines()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert found == project["dependencies"]
    assert re.search(r"^torch==\S+$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    version, = set(re.findall(r"FROM python:([\d.]+)-slim", DOCKERFILE))
    assert project["requires-python"] == f">={version}"
