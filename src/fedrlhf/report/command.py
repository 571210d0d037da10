"""The commands that repeat, continue or complete a run."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fedrlhf.config.schema import MAIN_JOB, STAGES
from fedrlhf.report.artifacts import Artifacts
from fedrlhf.report.words import listed

_PLACE, _STAGES = "run.dir", "run.stages"


@dataclass(frozen=True)
class Missing:
    """Why a part of the page is empty, and the command that fills it."""

    sentence: str
    command: str


def reproduce(artifacts: Artifacts) -> str:
    """Return the command that makes the same run again, quoted for a shell."""
    return _command(portable_overrides(artifacts))


def portable_overrides(artifacts: Artifacts) -> list[str]:
    """Return the overrides of a run without the place that the program appended itself.

    `fedrlhf.run` appends the absolute run.dir, whatever the user wrote. Where the user wrote one,
    there are two and the last goes; where the only one ends as the default does, it goes as well.
    """
    given = artifacts.manifest.get("overrides")
    words = [str(word) for word in given] if isinstance(given, list) else []
    places = [word for word in words if _key(word) == _PLACE]
    if not places:
        return words
    default = Path("runs") / str(artifacts.setting("run.name") or "")
    if len(places) > 1 or Path(places[0].partition("=")[2].strip('"')).parts[-2:] == default.parts:
        last = len(words) - 1 - words[::-1].index(places[-1])
        return words[:last] + words[last + 1:]
    return words


def missing(artifacts: Artifacts) -> list[Missing]:
    """Say which stages a run lacks and how to get them."""
    wanted = _wanted(artifacts)
    unfinished = [stage for stage in wanted if not artifacts.done(stage)]
    found = []
    if unfinished:
        found.append(Missing(f"Not finished: {listed(unfinished)}. The same command continues "
                             "the run:", reproduce(artifacts)))
    left_out = [stage for stage in _job(artifacts)
                if stage not in wanted and not artifacts.done(stage)]
    if left_out:
        found.append(Missing(f"Left out of this run (run.stages): {listed(left_out)}. Where the "
                             "data have what they need, this adds them:",
                             _completing(artifacts, left_out)))
    return found


def _completing(artifacts: Artifacts, left_out: Sequence[str]) -> str:
    """Return the command for the stages that were left out.

    A finished evaluation without the aligned tutor has other inputs than one with it, so it has
    to be made again.
    """
    kept = [word for word in portable_overrides(artifacts) if _key(word) != _STAGES]
    again = ["run.redo_changed=true"] if "align" in left_out and artifacts.done("evaluate") else []
    return _command([*kept, f"{_STAGES}=[{','.join(_job(artifacts))}]", *again])


def _wanted(artifacts: Artifacts) -> list[str]:
    stages = artifacts.setting(_STAGES)
    return [str(stage) for stage in stages] if isinstance(stages, list) else list(MAIN_JOB)


def _job(artifacts: Artifacts) -> tuple[str, ...]:
    """Return the stages of a whole job of this kind, with sft where the run has it."""
    whole: Sequence[str] = MAIN_JOB
    if artifacts.federated == "rlhf":
        whole = ("partition", "rlhf", "evaluate")
    elif artifacts.in_context:  # the server has no person's answers, so it cannot label
        whole = ("partition", "select", "evaluate")
    tuned = "sft" in _wanted(artifacts)
    return tuple(stage for stage in STAGES if stage in whole or stage == "sft" and tuned)


def _key(word: str) -> str:
    return word.partition("=")[0].lstrip("+~")


def _command(overrides: Sequence[str]) -> str:
    return shlex.join(["fedrlhf", "run", *overrides])
