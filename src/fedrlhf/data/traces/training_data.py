"""From events to weighed preferences; every event ends in exactly one fate."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from fedrlhf.data.traces.channels import Judged, Reward, judge
from fedrlhf.data.traces.drafts import COMPARISONS, KINDS, Draft, drafts_of
from fedrlhf.data.traces.em import Model, Prior
from fedrlhf.data.traces.evidence import CHANNELS, Channel
from fedrlhf.data.traces.histories import by_user, read_history
from fedrlhf.data.traces.knowledge import Tracing
from fedrlhf.data.traces.propensity import (
    feedback_probabilities,
    feedback_weights,
    self_normalised,
)
from fedrlhf.data.traces.reading import Logged
from fedrlhf.data.turns import prompt_key
from fedrlhf.errors import ConfigError
from fedrlhf.types import Preference, PreferencePair, Rating

DUPLICATE = "the same as an earlier one"
OVER_CAP = "over the user's cap"


@dataclass(frozen=True)
class Rules:
    """How training data are made.

    Attributes:
        reward: Weighs learning, satisfaction and violations.
        gap: Rewards further apart than this make a pair.
        cap: Most preferences of one user.
        feedback_clip: The largest 1 / P(feedback).
        gaming_seconds: A hint asked for sooner was clicked through to.
        prior: Weight of the starting table in each user's fit; None: the table is not fitted.
        tracing: What to expect of quizzes.
    """

    reward: Reward = field(default_factory=Reward)
    gap: float = 0.1
    cap: int = 500
    feedback_clip: float = 10.0
    gaming_seconds: float = 2.5
    prior: Prior | None = field(default_factory=Prior)
    tracing: Tracing = field(default_factory=Tracing)

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            ConfigError: One is.
        """
        for name, value, low, high in (
                ("gap", self.gap, 0.0, 1.0), ("cap_per_user", self.cap, 1, None),
                ("feedback_clip", self.feedback_clip, 1.0, None),
                ("gaming_seconds", self.gaming_seconds, 0.0, None)):
            if not value >= low or high is not None and not value < high:  # nor NaN
                below = "" if high is None else f" and below {high:g}"
                raise ConfigError(f"data.{name} must be at least {low:g}{below}, got {value}")


@dataclass(frozen=True)
class UserData:
    """What became of one user's events.

    Attributes:
        user: Whose.
        judged: The events with their evidence and P(good), in order.
        models: The user's own fitted tables.
        preferences: What can be trained on (and ties).
        fates: What became of each event, in order.
    """

    user: str
    judged: list[Judged]
    models: dict[Channel, Model]
    preferences: list[Preference]
    fates: list[str]


def training_data(logged: Sequence[Logged], rules: Rules, source: str) -> list[UserData]:
    """Return each user's training data, in order of user; users do not see each other's events.

    Args:
        logged: The events of any users.
        rules: How to make them.
        source: Name of the data set.
    """
    return [_of_user(user, rows, rules, source) for user, rows in by_user(logged).items()]


def fate_counts(users: Sequence[UserData]) -> Counter[str]:
    """Return how many events had each fate; the counts sum to the number of events."""
    return Counter(fate for one in users for fate in one.fates)


def _of_user(user: str, rows: Sequence[Logged], rules: Rules, source: str) -> UserData:
    readings = read_history(rows, rules.tracing, rules.gaming_seconds)
    judged, models = judge(readings, rules.prior)
    drafts, fates = drafts_of(judged, rules.reward, rules.gap)
    weights = _weights(judged, drafts, rules)
    kept, dropped = _kept(judged, drafts, weights, rules.cap)
    for place, draft in enumerate(drafts):
        for event in draft.places:
            fates[event] = dropped.get(place, draft.kind)
    final = self_normalised([weights[place] for place in kept])
    preferences = [_preference(judged, drafts[place], weight, source)
                   for place, weight in zip(kept, final, strict=True)]
    return UserData(user, judged, models, preferences, [fates[place] for place in range(len(rows))])


def _weights(judged: Sequence[Judged], drafts: Sequence[Draft], rules: Rules) -> list[float]:
    """Return certainty times the clipped 1 / P(feedback), a mean over a draft's answers."""
    events = [one.reading.event for one in judged]
    observed = [one.event.ab is not None or bool(one.evidence)
                for one in (each.reading for each in judged)]
    inverse = feedback_weights(feedback_probabilities(events, observed), rules.feedback_clip)
    return [draft.certainty * float(inverse[list(draft.places)].mean()) for draft in drafts]


def _kept(judged: Sequence[Judged], drafts: Sequence[Draft], weights: Sequence[float],
          cap: int) -> tuple[list[int], dict[int, str]]:
    """Return the drafts to keep, by their first answer, and why the others are dropped.

    Two ratings of one answer are the same if both find it good, or both bad.
    """
    dropped: dict[int, str] = {}
    seen: set[tuple[str, str, str | None, bool]] = set()
    order = sorted(range(len(drafts)), key=lambda place: (
        KINDS.index(drafts[place].kind), -weights[place], drafts[place].places))
    kept: list[int] = []
    for place in order:
        draft = drafts[place]
        prompt = judged[draft.places[0]].reading.event.context
        key = (prompt_key(prompt), draft.first, draft.second, draft.value > 0.5)
        if key in seen:
            dropped[place] = DUPLICATE
        elif len(kept) >= cap:
            dropped[place] = OVER_CAP
        else:
            seen.add(key)
            kept.append(place)
    return sorted(kept, key=lambda place: drafts[place].places), dropped


def _preference(judged: Sequence[Judged], draft: Draft, weight: float,
                source: str) -> Preference:
    one = judged[draft.places[0]]
    event = one.reading.event
    columns = _provenance(judged, draft)
    if draft.second is None:
        return Rating(event.context, draft.first, draft.value, event.user, source, weight, columns)
    return PreferencePair(event.context, draft.first, draft.second, event.user, source, weight,
                          draft.tie, draft.chosen_first, columns)


def _provenance(judged: Sequence[Judged], draft: Draft) -> dict[str, Any]:
    """Return where a preference comes from; of two answers, facts of the chosen one come first."""
    every = [judged[place] for place in draft.places]
    event = every[0].reading.event
    columns: dict[str, Any] = {
        "trace": draft.kind, "p": round(draft.value, 6),
        "channels": ["satisfaction"] if draft.kind in COMPARISONS else [
            channel for channel in CHANNELS if any(one.heard(channel) for one in every)],
        "satisfaction": [round(one.satisfaction, 6) for one in every],
        "learning": [round(one.learning, 6) for one in every],
        "rows": [f"{one.reading.logged.file}:{one.reading.logged.line}" for one in every],
        "session": event.session, "turn": event.turn, "policy": event.policy.id}
    optional = {"task": event.task, "skills": list(event.skills),
                "violations": list(every[-1].reading.violations)}
    return columns | {name: value for name, value in optional.items() if value}
