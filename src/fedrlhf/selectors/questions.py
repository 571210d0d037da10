"""A person's preferences as questions with options, and the share of each option."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fedrlhf.data.turns import prompt_key
from fedrlhf.errors import DataError
from fedrlhf.types import Preference, PreferencePair, Prompt, Rating

PROBABILITY = "probability"  # a pair's column: P(chosen is better), where the source knows it


@dataclass(frozen=True)
class Question:
    """A prompt and how a person or group divides its preference among the options.

    Attributes:
        person: Whose answer it is.
        prompt: What was asked.
        options: At least two different completions.
        shares: The probability of each, 1 in all.
        key: The prompt's key: the same question has the same one at every client.
    """

    person: str
    prompt: Prompt
    options: tuple[str, ...]
    shares: tuple[float, ...]
    key: str


@dataclass(frozen=True)
class Predicted:
    """A question's shares as they were predicted and as they are; both add up to 1."""

    key: str
    shares: np.ndarray
    truth: np.ndarray


def questions_of(preferences: Sequence[Preference]) -> tuple[list[Question], int]:
    """Return the questions that preferences make, in their order, and how many make none.

    The ratings of one prompt by one person are one question; their values, divided by their sum,
    are the shares. A rating of one half counts like any other, for it is a share. Where a source
    asks the same prompt with several sets of options, the column ``question`` tells these apart.
    A pair is a question with two options and the shares 1 and 0, or its column ``probability``
    and the rest. Left out are the ratings of a prompt with one option or with values that are all
    0, and ties of pairs.

    Raises:
        DataError: A column ``probability`` holds no number from 0 to 1.
    """
    ratings: dict[tuple[str, str, str], list[Rating]] = {}
    places: list[PreferencePair | tuple[str, str, str]] = []
    left_out = 0
    for one in preferences:
        if isinstance(one, Rating):
            name = one.client_id, prompt_key(one.prompt), str(one.columns.get("question", ""))
            if name not in ratings:
                places.append(name)
            ratings.setdefault(name, []).append(one)
        elif one.tie or one.chosen == one.rejected:
            left_out += 1
        else:
            places.append(one)
    found: list[Question] = []
    for place in places:
        question = (_of_pair(place) if isinstance(place, PreferencePair)
                    else _of_ratings(ratings[place], place[1]))
        if question is None:
            left_out += len(ratings[place])  # type: ignore[index]
        else:
            found.append(question)
    return found, left_out


def comparisons_of(preferences: Sequence[Preference], gap: float) -> list[Question]:
    """Return two-option questions, the preferred option first, for what learns from comparisons.

    Of a question with more options, every two whose shares differ by more than ``gap`` make one.
    """
    return [Question(q.person, q.prompt, (q.options[i], q.options[j]), (1.0, 0.0), q.key)
            for q in questions_of(preferences)[0]
            for i in range(len(q.options)) for j in range(len(q.options))
            if q.shares[i] - q.shares[j] > gap]


def _of_pair(pair: PreferencePair) -> Question:
    chance = pair.columns.get(PROBABILITY, 1.0)
    if isinstance(chance, bool) or not isinstance(chance, int | float) or not 0 <= chance <= 1:
        raise DataError(f"the column {PROBABILITY!r} of a pair must hold a number from 0 to 1, "
                        f"got {chance!r:.60}")
    return Question(pair.client_id, pair.prompt, (pair.chosen, pair.rejected),
                    (float(chance), 1.0 - chance), prompt_key(pair.prompt))


def _of_ratings(ratings: Sequence[Rating], key: str) -> Question | None:
    values: dict[str, list[float]] = {}
    for one in ratings:
        values.setdefault(one.completion, []).append(one.value)
    means = np.array([np.mean(found) for found in values.values()])
    if len(values) < 2 or means.sum() <= 0:
        return None
    shares = tuple(float(share) for share in means / means.sum())
    return Question(ratings[0].client_id, ratings[0].prompt, tuple(values), shares, key)
