"""What a run has shown, in one sentence that does not say more than its intervals allow."""

from collections.abc import Mapping

from fedrlhf.report.artifacts import Artifacts
from fedrlhf.report.rewards import reward_curve
from fedrlhf.report.rounds import strategy_name
from fedrlhf.report.words import bounds, interval, percent, signed

Results = Mapping[str, float]
NOTHING = "no difference shown"
_TRAINED_BY = {"sft": "supervised fine-tuning", "align": "DPO", "rlhf": "the federated rounds"}


def verdict(artifacts: Artifacts) -> str:
    """Return the run's result in one sentence."""
    clauses = [clause for clause in (
        _rewards(artifacts), _selectors(artifacts), _predicted(artifacts.results),
        _ratings(artifacts.results), _tutor(artifacts)) if clause]
    if clauses:
        sentence = "; ".join(clauses)
        return f"{sentence[0].upper()}{sentence[1:]}."
    done = [stage for stage in artifacts.stages if artifacts.done(stage)]
    reached = f"the last finished stage is {done[-1]}" if done else "no stage is finished"
    return f"Nothing is measured yet: {reached}."


def shows_difference(results: Results, name: str, none: float) -> bool:
    """Say whether a result's interval excludes the value that stands for no difference."""
    found = bounds(results, name)
    return found is not None and not found[0] <= none <= found[1]


def selector_count(artifacts: Artifacts) -> int:
    """Return how many selectors were trained, 1 where nothing says so."""
    named = [name for name in artifacts.results
             if name.removeprefix("selector.agreement_").isdigit()]
    return max(len(named), len(set(artifacts.grouping.values())), 1)


def scores(artifacts: Artifacts) -> bool:
    """Say whether the judges are scalar reward models."""
    return str(artifacts.setting("objective._target_")).endswith(".Reward")


def judge_phrase(artifacts: Artifacts) -> str:
    """Name who judges: the tutor itself, the vote, the one selector, or everybody's own."""
    alone = strategy_name(artifacts) == "LocalOnly"
    if artifacts.federated == "rlhf":
        return "each client's own tutor" if alone else "the tutor's own preference"
    if alone:
        return "each client's own selector"
    return "the selectors' vote" if selector_count(artifacts) > 1 else "the selector"


def _rewards(artifacts: Artifacts) -> str:
    """Say what the clients' own rewards became where a policy was trained on them."""
    results, name = artifacts.results, "policy.reward_gain"
    if name not in results or not reward_curve(artifacts):
        return ""
    clause = (f"with lambda = {artifacts.setting('reward.weight')} the clients' rewards "
              f"{'rose' if results[name] >= 0 else 'fell'} by {signed(results[name])}"
              f"{interval(results, name, signed)} on held-out prompts")
    return clause if shows_difference(results, name, 0.0) else f"{clause}: {NOTHING}"


def _selectors(artifacts: Artifacts) -> str:
    results = artifacts.results
    part = "policy" if artifacts.federated == "rlhf" else "selector"
    name = f"{part}.agreement"
    if name not in results:
        return ""
    clause = (f"{judge_phrase(artifacts)} agrees with {percent(results[name])}"
              f"{interval(results, name, percent)} of the held-out preferences")
    oracle = results.get(f"{name}_oracle")
    if oracle:
        clause += f", {percent(results[name] / oracle)} of what the oracle reaches"
    return clause + _doubt(results, name)


def _predicted(results: Results) -> str:
    """Say how far the predicted shares are above equal ones, of unseen groups where there are."""
    whose = "unseen" if "alignment.unseen_gain" in results else "train"
    name = f"alignment.{whose}_gain"
    if name not in results:
        return ""
    groups = "unseen groups" if whose == "unseen" else "the groups that trained"
    if not shows_difference(results, name, 0.0):
        return f"the shares of {groups} are not shown to be predicted better than by equal shares"
    return (f"the shares of {groups} are predicted {'better' if results[name] > 0 else 'worse'} "
            f"than by equal shares ({_thousandths(results[name])}"
            f"{interval(results, name, _thousandths)} of the alignment score)")


def _ratings(results: Results) -> str:
    name = "ratings.gain"
    if name not in results:
        return ""
    if not shows_difference(results, name, 0.0):
        return ("on held-out ratings the score is not shown to add anything to each person's own "
                "share of good ones")
    return (f"with the score, held-out ratings are predicted "
            f"{'better' if results[name] > 0 else 'worse'} than by each person's own share of good "
            f"ones ({_thousandths(results[name])}{interval(results, name, _thousandths)} nats)")


def _thousandths(value: float) -> str:
    return signed(value, 3)


def _doubt(results: Results, name: str) -> str:
    """Say where agreement is not shown to be better than a coin or than the length rule."""
    found = bounds(results, name)
    length = results.get(f"{name}_length_rule")
    if found and found[0] <= 0.5 <= found[1]:
        return " (no better than a coin, as far as the interval shows)"
    if found and length is not None and found[0] <= length:
        return f" (not shown to beat the rule “the longer one wins”, {percent(length)})"
    return ""


def _tutor(artifacts: Artifacts) -> str:
    results = artifacts.results
    if "policy.utility_gain" in results:
        return _utility(results, _TRAINED_BY[artifacts.policy_stage or "align"])
    if "policy.proxy_win_rate" not in results:
        return ""
    name = "policy.proxy_win_rate"
    clause = (f"after DPO the selectors prefer the tutor's answer to its earlier one in "
              f"{percent(results[name])}{interval(results, name, percent)} of comparisons")
    if not shows_difference(results, name, 0.5):
        return f"{clause}: {NOTHING}"
    return f"{clause} (they also made its training labels, so this is no independent proof)"


def _utility(results: Results, trained_by: str) -> str:
    name, gain = "policy.utility_gain", results["policy.utility_gain"]
    clause = (f"after {trained_by} the tutor's true utility {'rose' if gain >= 0 else 'fell'} by "
              f"{signed(gain)}{interval(results, name, signed)}")
    return clause if shows_difference(results, name, 0.0) else f"{clause}: {NOTHING}"
