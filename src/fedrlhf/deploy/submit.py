"""`fedrlhf submit`: show a run as a job of a cluster, and send it if asked to."""

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence

import yaml

from fedrlhf.config import load
from fedrlhf.deploy.job import Job, describe
from fedrlhf.deploy.manifests import kubernetes_job, training_request
from fedrlhf.deploy.runai_cli import follow_up_commands, submit_command
from fedrlhf.deploy.secrets import refuse_in_overrides
from fedrlhf.errors import RunFailed, UserError

FORMATS = ("cli", "job", "body")


def submit(overrides: Sequence[str], form: str, send: bool) -> None:
    """Print the job in one of the `FORMATS`; with `send`, run the command as well.

    Raises:
        UserError: The configuration has to change, or the program `runai` is missing.
        RunFailed: Run:ai refused the job.
    """
    if send and form != "cli":
        raise UserError(f"--yes sends the command of --format cli; --format {form} only prints")
    refuse_in_overrides(overrides)  # before a message could show them
    job = describe(load(overrides), overrides)
    print(render(job, form), end="")
    if send:
        _send(job)
    elif form == "cli":
        print("Nothing was sent; --yes sends it.", file=sys.stderr)


def render(job: Job, form: str) -> str:
    """Return the job as a shell command, as YAML (``job``) or as JSON (``body``)."""
    if form == "job":
        return str(yaml.safe_dump(kubernetes_job(job), sort_keys=False, allow_unicode=True))
    if form == "body":
        return json.dumps(training_request(job), indent=2, ensure_ascii=False) + "\n"
    return _as_shell(submit_command(job)) + "\n"


def _as_shell(words: Sequence[str]) -> str:
    """Quote words for a shell, one flag a line up to the job's own command."""
    end = words.index("--")
    lines: list[list[str]] = [[]]
    for word in words[:end]:
        if word.startswith("--"):
            lines.append([])
        lines[-1].append(word)
    return " \\\n  ".join(map(shlex.join, [*lines, words[end:]]))


def _send(job: Job) -> None:
    program = shutil.which("runai")
    if program is None:
        raise UserError("the program runai is missing: install the cluster's command line (in "
                        "Run:ai's web page under the question mark, or ask who runs the cluster), "
                        "then `runai login`")
    sys.stdout.flush()
    code = subprocess.run([program, *submit_command(job)[1:]], check=False).returncode
    if code:
        raise RunFailed(f"runai refused the job {job.name} with exit code {code}; "
                        "its message is above")
    for words in follow_up_commands(job):
        print(shlex.join(words), file=sys.stderr)
