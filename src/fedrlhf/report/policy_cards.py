"""The card of a run's final policy, by the stage that made it."""

from dataclasses import replace

from fedrlhf.report.artifacts import Artifacts, numbers
from fedrlhf.report.card import Content, result_facts, run_name, write_card
from fedrlhf.report.verdict import judge_phrase
from fedrlhf.report.words import number, plain

_MEASURED = {"policy.utility_gain": "utility_gain", "policy.win_rate": "win_rate"}
_FEDERATED = {  # what clients do with their preferences, by the class of their objective
    "Dpo": "by direct preference optimisation of their own preferences",
    "Kto": "by Kahneman-Tversky optimisation on single answers, each good or bad by itself",
    "Sft": "by supervised fine-tuning on the answers that they preferred"}


def policy_card(artifacts: Artifacts, place: str | None = None, merged: bool = False) -> str:
    """Return the card of the run's final policy.

    Args:
        artifacts: The run; one of its stages has made a policy.
        place: The folder or repository to load it from; None: the run's own folder.
        merged: Whether the adapter is part of the base model's weights there.
    """
    stage = artifacts.policy_stage or "align"
    content = {"align": _aligned, "rlhf": _federated, "sft": _tuned}[stage](
        artifacts, "language model" if merged else "LoRA adapter",
        place or f"{stage}/policy")
    return write_card(artifacts, "tutor", replace(
        content, tags=[*([] if merged else ["lora"]), *content.tags], merged=merged))


def _aligned(artifacts: Artifacts, kind: str, place: str) -> Content:
    """Describe the tutor after DPO on pairs that the selectors labelled."""
    return Content(
        title=f"{run_name(artifacts)}: aligned tutor", tags=["dpo", "trl"], place=place,
        summary=f"A {kind} aligned by direct preference optimisation with pairs that "
                f"{judge_phrase(artifacts)} labelled.",
        training=[*_imitation(artifacts, "supervised fine-tuning before"),
                  ("labelled pairs", _count(artifacts.labels, "pairs")),
                  ("DPO steps", _count(artifacts.alignment, "steps")),
                  ("beta", plain(artifacts.setting("align.beta"), 20)),
                  ("learning rate", plain(artifacts.setting("align.learning_rate"), 20))],
        results=result_facts(artifacts.results, ("policy.", "label.accuracy")),
        measured=_MEASURED | {"policy.proxy_win_rate": "win_rate"},
        aim="the opinion of the selectors")


def _federated(artifacts: Artifacts, kind: str, place: str) -> Content:
    """Describe the tutor that its clients trained."""
    objective = str(artifacts.setting("objective._target_")).rpartition(".")[2]
    beta = artifacts.setting("objective.beta")
    return Content(
        title=f"{run_name(artifacts)}: federated tutor", tags=["rlhf"], place=place,
        summary=f"A {kind} that clients trained, round by round, "
                f"{_FEDERATED.get(objective, 'on their own preferences')}.",
        training=[*_imitation(artifacts, "supervised fine-tuning before"),
                  ("objective at the clients", plain(objective, 40)),
                  *([("beta", plain(beta, 20))] if beta is not None else []),
                  ("learning rate", plain(artifacts.setting("objective.learning_rate"), 20))],
        results=result_facts(artifacts.results, ("policy.", "ratings.")),
        measured=_MEASURED | {"policy.agreement": "accuracy"}, aim="what its clients preferred")


def _tuned(artifacts: Artifacts, kind: str, place: str) -> Content:
    """Describe the tutor after supervised fine-tuning alone, which no client took part in."""
    return Content(
        title=f"{run_name(artifacts)}: fine-tuned tutor", tags=["sft", "trl"], place=place,
        summary=f"A {kind} fine-tuned on demonstrations that the server held. No client took part.",
        training=[*_imitation(artifacts, "supervised fine-tuning"),
                  ("learning rate", plain(artifacts.setting("sft.learning_rate"), 20)),
                  ("seed", plain(artifacts.setting("run.seed"), 20))],
        results=result_facts(artifacts.results, ("policy.",)), measured=_MEASURED,
        aim="imitating its demonstrations", federated=False)


def _imitation(artifacts: Artifacts, name: str) -> list[tuple[str, str]]:
    known = artifacts.imitation
    return [(name, f"demonstrations: {_count(known, 'demonstrations')}, "
             f"steps: {_count(known, 'steps')}")] if numbers(known) else []


def _count(summary: object, key: str) -> str:
    known = numbers(summary).get(key)
    return "unknown" if known is None else number(known)
