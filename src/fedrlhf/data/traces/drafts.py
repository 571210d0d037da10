"""What one user's answers could teach: drafts of pairs and ratings, by priority.

1. An A/B vote is a pair. 2. An edit is a pair: the student's text over the answer. 3. So is the
answer as corrected in the follow-up. 4. A regenerated answer that was accepted is a weak pair.
5. Two answers to the same prompt and task, at the same level of knowledge, whose rewards are
further apart than a gap are a pair. 6. What is left is a rating without an opponent, which is never
invented. A draft never prefers an answer that violates a constraint.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from fedrlhf.data.traces.channels import Judged, Reward
from fedrlhf.data.traces.constraints import violations_in
from fedrlhf.data.traces.events import Event
from fedrlhf.data.traces.histories import ACCIDENT, FORMAT_EDIT, TOPIC_EDIT
from fedrlhf.data.turns import prompt_key

Kind = Literal["ab", "edit", "correction", "regenerate", "contexts", "rating", "violation"]
KINDS: tuple[Kind, ...] = ("ab", "edit", "correction", "regenerate", "contexts", "rating",
                           "violation")
COMPARISONS: tuple[Kind, ...] = ("ab", "edit", "correction", "regenerate")  # the student's own
SMOOTHING = 0.2  # of an accepted regenerate: one in five is taken to be the other way round

# Fates of answers that teach nothing.
GAMING = "final hint reached by gaming"
WITHHELD = "would prefer a violation"
NO_TRACE = "no trace"
SET_ASIDE = "traces set aside"
UNDECIDED = "no side taken"


@dataclass(frozen=True)
class Draft:
    """A pair or a rating that is not weighed yet.

    Attributes:
        kind: Where it comes from.
        places: The answers it is made of, as places in the user's history.
        first: The chosen or the rated text.
        second: The rejected text; None: a rating.
        value: P(good) of a rating; for a pair P(the chosen one is better).
        tie: Whether an A/B vote saw no difference.
        chosen_first: Whether the chosen answer was shown first; None: unknown.
    """

    kind: Kind
    places: tuple[int, ...]
    first: str
    second: str | None
    value: float
    tie: bool = False
    chosen_first: bool | None = None

    @property
    def certainty(self) -> float:
        """|2 P - 1|; a tie, which nobody trains on, keeps its weight."""
        return 1.0 if self.tie else abs(2.0 * self.value - 1.0)


def drafts_of(judged: Sequence[Judged], reward: Reward,
              gap: float) -> tuple[list[Draft], dict[int, str]]:
    """Return the drafts of one user and the fates of the answers that are in none.

    Args:
        judged: The user's answers.
        reward: Weighs the channels.
        gap: Rewards must be further apart than this to make a pair; a rating must be further than
            half of it from 1/2.
    """
    drafts: list[Draft] = []
    fates: dict[int, str] = {}
    open_places: list[int] = []
    for place, one in enumerate(judged):
        if one.reading.gamed:
            fates[place] = GAMING
        elif direct := next(_direct(one, place, reward), None):
            drafts.append(direct)
        elif _says_something(one, reward):
            open_places.append(place)
        else:
            fates[place] = _silent_fate(one, reward)
    rewards = {place: reward.of(judged[place]) for place in open_places}
    paired = list(_context_pairs(judged, rewards, gap))
    used = {place for draft in paired for place in draft.places}
    for place in open_places:
        if place not in used:
            made = _rating(judged[place], place, rewards[place], gap)
            if isinstance(made, Draft):
                drafts.append(made)
            else:
                fates[place] = made
    return drafts + paired, fates


def _says_something(one: Judged, reward: Reward) -> bool:
    penalised = bool(one.reading.violations) and reward.penalty > 0
    return penalised or any(one.heard(channel) for channel in reward.channels)


def _silent_fate(one: Judged, reward: Reward) -> str:
    if any(_comparisons(one, reward)):
        return WITHHELD
    if one.reading.evidence or one.reading.violations:
        return UNDECIDED
    return SET_ASIDE if one.reading.ignored else NO_TRACE


def _direct(one: Judged, place: int, reward: Reward) -> Iterator[Draft]:
    """Yield what the student's own comparisons give and no constraint forbids."""
    event = one.reading.event
    for kind, chosen, rejected, value in _comparisons(one, reward):
        own = chosen == event.answer
        wrong = one.reading.violations if own else violations_in(event, chosen)
        tie = kind == "ab" and event.ab == "tie"
        if tie or not wrong:
            yield Draft(kind, (place,), chosen, rejected, value, tie, _chosen_first(event, kind))


def _comparisons(one: Judged, reward: Reward) -> Iterator[tuple[Kind, str, str, float]]:
    """Yield kind, chosen, rejected and P(chosen is better) of two different texts, best first."""
    if "satisfaction" in reward.channels:
        for kind, chosen, rejected, value in _logged(one.reading.event, one.reading.ignored):
            if chosen != rejected:
                yield kind, chosen, rejected, value


def _logged(event: Event, ignored: Sequence[str]) -> Iterator[tuple[Kind, str, str, float]]:
    if event.ab is not None and event.alternative is not None:
        both = (event.answer, event.alternative.answer)
        first_is_chosen = event.ab == "chosen" or (
            event.ab == "tie" and event.alternative.side == "second")
        yield "ab", *(both if first_is_chosen else both[::-1]), 1.0
    if event.edit is not None and not {FORMAT_EDIT, TOPIC_EDIT} & set(ignored):
        yield "edit", event.edit, event.answer, 1.0
    if event.followup is not None and event.followup.correction is not None:
        yield "correction", event.followup.correction, event.answer, 1.0
    again = event.regenerate
    if again is not None and again.accepted_answer is not None and ACCIDENT not in ignored:
        yield "regenerate", again.accepted_answer, event.answer, 1.0 - SMOOTHING


def _chosen_first(event: Event, kind: Kind) -> bool | None:
    if kind != "ab" or event.alternative is None:
        return None
    if event.ab == "tie":
        return True  # of a tie, the pair's chosen is what was shown first
    return (event.alternative.side == "first") == (event.ab == "other")


def _context_pairs(judged: Sequence[Judged], rewards: dict[int, float],
                   gap: float) -> Iterator[Draft]:
    """Yield pairs of answers in equivalent contexts, the best with the worst, each answer once."""
    groups: dict[tuple[str | None, str, str], list[int]] = defaultdict(list)
    for place in rewards:
        event = judged[place].reading.event
        groups[event.task, prompt_key(event.context), judged[place].reading.bucket].append(place)
    for group in groups.values():
        ordered = sorted(group, key=lambda place: (-rewards[place], place))
        best, worst = 0, len(ordered) - 1
        while best < worst:
            one, two = ordered[best], ordered[worst]
            better, worse = (judged[place].reading.event.answer for place in (one, two))
            distance = rewards[one] - rewards[two]
            if distance <= gap:
                break
            if judged[one].reading.violations:
                best += 1
            elif better == worse:
                worst -= 1
            else:
                yield Draft("contexts", (one, two), better, worse,
                            min(1.0, 0.5 + distance / 2.0))
                best, worst = best + 1, worst - 1


def _rating(one: Judged, place: int, reward: float, gap: float) -> Draft | str:
    """Return the answer's rating, or why it has none."""
    value = min(max(reward, 0.0), 1.0)
    if abs(value - 0.5) <= gap / 2.0:
        return UNDECIDED
    if one.reading.violations and value > 0.5:
        return WITHHELD
    kind: Kind = "rating" if one.reading.evidence else "violation"
    return Draft(kind, (place,), one.reading.event.answer, None, value)
