"""Several runs one after another: the jobs of a sweep, the seeds of a replication."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from fedrlhf.config import expand, load, split_overrides, text_override
from fedrlhf.errors import ConfigError, Terminated, UserError
from fedrlhf.files import write_json
from fedrlhf.tracking.run_directory import RunDirectory

JOBS = "jobs.json"
_FAILED, _USER_ERROR = 1, 2
_END_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Job:
    """An ordinary run with a folder of its own.

    Attributes:
        name: The folder's name.
        folder: Where the run is.
        overrides: Its configuration, ``run.dir`` included.
    """

    name: str
    folder: Path
    overrides: tuple[str, ...]

    @property
    def run(self) -> RunDirectory:
        """The run's folder."""
        return RunDirectory(self.folder)


@dataclass(frozen=True)
class Outcome:
    """How a job ended: `code` is the exit code of `fedrlhf run`, `before` that it was done."""

    job: Job
    code: int
    seconds: float
    before: bool = False

    @property
    def words(self) -> str:
        """Say it in words."""
        if self.before:
            return "done before"
        return {0: "done", _FAILED: "failed", _USER_ERROR: "refused"}.get(
            self.code, f"ended with code {self.code}")


def sweep_jobs(overrides: str | Sequence[str]) -> list[Job]:
    """Return the jobs of a sweep; all configurations are composed and checked first.

    The folders lie below the jobs' common ``run.dir``; where an experiment names another one for
    each job, below ``runs/sweep``.

    Raises:
        ConfigError: An override has no or a refused value, or none has several.
    """
    combinations = expand(split_overrides(overrides))
    places = [RunDirectory.at(load(one.overrides).run.dir).path for one in combinations]
    parent = places[0] if len(set(places)) == 1 else RunDirectory.at("runs/sweep").path
    return [_job(one.name, parent, one.overrides) for one in combinations]


def seed_jobs(overrides: str | Sequence[str], seeds: Sequence[int]) -> list[Job]:
    """Return a job for each seed, in ``<run.dir>/seed_<n>``.

    A seed is ``run.seed`` and, where the source draws its data and the overrides do not say
    ``data.seed``, that too: the repetitions then have other clients as well.

    Raises:
        ConfigError: The overrides set ``run.seed`` themselves, or a value is refused.
    """
    words = split_overrides(overrides)
    given = {word.partition("=")[0].lstrip("+") for word in words}
    if "run.seed" in given:
        raise ConfigError("run.seed is what --seeds varies: leave it out")
    config = load(words)
    keys = ["run.seed"]
    if "seed" in config.data and "data.seed" not in given:
        keys.append("data.seed")
    parent = RunDirectory.at(config.run.dir).path
    return [_job(f"seed_{seed}", parent, [*words, *(f"{key}={seed}" for key in keys)])
            for seed in seeds]


def run_jobs(jobs: Sequence[Job]) -> list[Outcome]:
    """Run each job that is not done as a process of its own; one that fails stops no other.

    What became of them is also in ``jobs.json`` beside their folders.
    """
    for job in jobs:
        load(job.overrides)
    outcomes: list[Outcome] = []
    for number, job in enumerate(jobs, 1):
        print(f"job {number} of {len(jobs)}: {job.name}", flush=True)
        outcomes.append(_run_job(job))
        print(f"job {number} of {len(jobs)}: {outcomes[-1].words}", flush=True)
        write_json(job.folder.parent / JOBS, [_record(outcome) for outcome in outcomes])
    return outcomes


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """Return 0 if all jobs are done, 2 if the user can mend what is not, otherwise 1."""
    bad = {outcome.code for outcome in outcomes} - {0}
    return 0 if not bad else _USER_ERROR if bad == {_USER_ERROR} else _FAILED


def parse_seeds(text: str) -> list[int]:
    """Read ``5`` as the seeds 0 to 4 and ``3,5`` (or ``7,``) as these.

    Raises:
        UserError: The text is neither, or names a seed twice.
    """
    try:
        words = [word for word in text.split(",") if word.strip()]
        seeds = [int(word) for word in words] if "," in text else list(range(int(text)))
    except ValueError:
        seeds = []
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise UserError(f"--seeds={text!r}: give how many, such as 5, or different seeds, such as "
                        "0,1,2")
    return seeds


def _job(name: str, parent: Path, overrides: Sequence[str]) -> Job:
    folder = parent / name
    return Job(name, folder, (*overrides, text_override("run.dir", str(folder))))


def _record(outcome: Outcome) -> dict[str, Any]:
    return {"name": outcome.job.name, "outcome": outcome.words, "code": outcome.code,
            "seconds": round(outcome.seconds, 1), "overrides": list(outcome.job.overrides)}


def _run_job(job: Job) -> Outcome:
    from fedrlhf.server_app import is_done

    if job.run.manifest() and is_done(load(job.overrides)):
        return Outcome(job, 0, 0.0, before=True)
    started = time.perf_counter()
    code = _in_own_process([sys.executable, "-m", "fedrlhf.cli", "run", *job.overrides])
    return Outcome(job, code, time.perf_counter() - started)


def _in_own_process(command: Sequence[str]) -> int:
    """Run a command; whatever ends this process ends the command first, in its own orderly way."""
    with _ending_by_exception(), subprocess.Popen(command, process_group=0) as process:
        try:
            return process.wait()
        except BaseException as stop:
            by_keyboard = isinstance(stop, KeyboardInterrupt) and not isinstance(stop, Terminated)
            process.send_signal(signal.SIGINT if by_keyboard else signal.SIGTERM)
            raise


@contextmanager
def _ending_by_exception() -> Iterator[None]:
    """Let a signal that would end this process raise SystemExit, so that its job ends first.

    Other answers to a signal stay: the command line's to SIGTERM, and `nohup`'s to SIGHUP.
    """
    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    deadly = [number for number in _END_SIGNALS if signal.getsignal(number) is signal.SIG_DFL]
    for number in deadly:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in deadly:
            signal.signal(number, signal.SIG_DFL)
