"""UltraFeedback: completions rated on four aspects, and simulated people who weigh these.

Cui et al., "UltraFeedback", ICML 2024.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np

from fedrlhf.data.lines import BadRow, Row, record, records, text
from fedrlhf.data.published import PublishedSource
from fedrlhf.data.turns import prompt_key
from fedrlhf.errors import ConfigError, DataError
from fedrlhf.seeding import generator
from fedrlhf.types import PreferencePair, Prompt

ASPECTS = ("helpfulness", "instruction_following", "honesty", "truthfulness")

UNRATED = "completions without a rating of every aspect"
EQUAL = "pairs of completions with equal texts or ratings"


@dataclass(frozen=True)
class Completion:
    """A completion and its ratings (1 to 5) in the order of ``ASPECTS``; None: one is absent."""

    text: str
    model: str
    ratings: tuple[float, ...] | None


@dataclass(frozen=True)
class Task:
    """An instruction with its completions; ``source``: the data set it was taken from."""

    instruction: str
    source: str
    completions: tuple[Completion, ...]


@dataclass(frozen=True)
class Person:
    """A simulated client; ``weights`` of the aspects are not negative and sum to 1."""

    client_id: str
    group: int
    weights: tuple[float, ...]

    def utility(self, ratings: Sequence[float]) -> float:
        """Return the weighted mean of ratings."""
        return weighted(self.weights, ratings)


class UltraFeedbackTruth:
    """The people's weights, which no part of a run may use except to measure it."""

    any_text = False

    def __init__(self, people: list[Person], tasks: list[Task]) -> None:
        self.people = {person.client_id: person for person in people}
        self.groups = {person.client_id: person.group for person in people}
        self._tasks = tasks
        self._weights = np.mean([person.weights for person in people], axis=0).tolist()

    def utility(self, prompt: Prompt, completion: str) -> float:
        """Return the people's mean utility of a rated completion of the data set.

        Raises:
            DataError: It is none.
        """
        return self.mean(self._rated(prompt, completion))

    def utility_of(self, person: str, prompt: Prompt, completion: str) -> float:
        """Return one person's utility of a rated completion of the data set.

        Raises:
            DataError: It is none, or there is no such person.
        """
        if person not in self.people:
            raise DataError(f"there is no person {person!r}; there are {len(self.people)}")
        return self.people[person].utility(self._rated(prompt, completion))

    def _rated(self, prompt: Prompt, completion: str) -> tuple[float, ...]:
        ratings = self._ratings.get((prompt_key(prompt), completion))
        if ratings is None:
            raise DataError(f"nobody rated {completion!r:.60}: UltraFeedback knows the utility of "
                            "its own completions only")
        return ratings

    def mean(self, ratings: Sequence[float]) -> float:
        """Return the people's mean utility of ratings."""
        return weighted(self._weights, ratings)

    @cached_property
    def _ratings(self) -> dict[tuple[str, str], tuple[float, ...]]:
        return {(prompt_key(task.instruction), completion.text): completion.ratings
                for task in self._tasks for completion in task.completions
                if completion.ratings is not None}


class UltraFeedbackSource(PublishedSource):
    """Simulated people choose between two completions of an instruction by the published ratings.

    A person prefers the first completion with probability sigmoid((u1 - u2) / temperature), where
    u is the mean of the four ratings with the person's own weights. Columns: ``group``, ``source``
    (of the instruction), ``chosen_model``, ``rejected_model``, ``oracle_margin`` (the person's own
    difference of utility) and ``consensus_margin`` (everyone's mean).
    """

    name = "ultrafeedback"

    def __init__(self, path: str, revision: str | None,  # noqa: PLR0913  # the configuration's keys
                 split: str, limit: int | None, *, clients: int, groups: int,
                 pairs_per_client: int, focus: float, concentration: float | None,
                 temperature: float, seed: int, instructions: str | None = None,
                 instructions_revision: str | None = None, instructions_split: str = "train",
                 instructions_limit: int | None = None) -> None:
        """Name the data set, the server's prompts and the people.

        Args:
            path: See `PublishedSource`, as for the others.
            revision: Version on the hub.
            split: Split to read.
            limit: Read at most so many rows.
            clients: How many people.
            groups: How many groups, of sizes that differ by at most one.
            pairs_per_client: How many different pairs of completions a person compares.
            focus: See `make_people`.
            concentration: See `make_people`.
            temperature: Of the choice, in points of rating.
            seed: Decides weights, pairs and choices.
            instructions: The server's prompts.
            instructions_revision: Their version on the hub.
            instructions_split: Their split.
            instructions_limit: Read at most so many of their rows.

        Raises:
            ConfigError: A number is out of range.
        """
        super().__init__(path, revision, split, limit, instructions, instructions_revision,
                         instructions_split, instructions_limit)
        if pairs_per_client < 1:
            raise ConfigError(f"data.pairs_per_client must be at least 1, got {pairs_per_client}")
        if temperature <= 0:
            raise ConfigError(f"data.temperature must be greater than 0, got {temperature}")
        self.people = make_people(clients, groups, focus, concentration, seed)
        self._pairs_per_client, self._temperature = pairs_per_client, temperature
        self._seed = seed

    def preferences(self) -> list[PreferencePair]:
        """Return every person's choices.

        Raises:
            DataError: Nothing can be read there, rows are bad or there are too few rated pairs.
        """
        pairs = [(task, one, other) for task in self._tasks
                 for one, other in combinations(task.completions, 2)
                 if one.ratings is not None and other.ratings is not None]
        telling = [pair for pair in pairs
                   if pair[1].ratings != pair[2].ratings and pair[1].text != pair[2].text]
        unrated = sum(c.ratings is None for task in self._tasks for c in task.completions)
        counts = Counter({UNRATED: unrated, EQUAL: len(pairs) - len(telling)})
        self.left_out = dict(+counts)
        if len(telling) < self._pairs_per_client:
            raise DataError(
                f"{self.path} has {len(telling)} pairs of completions that can be compared, "
                f"fewer than data.pairs_per_client={self._pairs_per_client} ({self.left_out})")
        truth = self.truth()
        return [pair for person in self.people for pair in self._choices(person, telling, truth)]

    def truth(self) -> UltraFeedbackTruth:
        """Return the planted weights and groups."""
        return UltraFeedbackTruth(self.people, self._tasks)

    @cached_property
    def _tasks(self) -> list[Task]:
        return self.read(task_of)

    def _choices(self, person: Person, pairs: Sequence[tuple[Task, Completion, Completion]],
                 truth: UltraFeedbackTruth) -> Iterator[PreferencePair]:
        rng = generator(self._seed, "choices", person.client_id)
        for place in rng.choice(len(pairs), size=self._pairs_per_client, replace=False):
            task, *shown = pairs[place]
            first, second = shown if rng.random() < 0.5 else reversed(shown)
            assert first.ratings is not None
            assert second.ratings is not None
            own = person.utility(first.ratings) - person.utility(second.ratings)
            shared = truth.mean(first.ratings) - truth.mean(second.ratings)
            # tanh does not overflow: sigmoid(x) = (1 + tanh(x / 2)) / 2.
            wins = bool(rng.random() < (1 + math.tanh(own / self._temperature / 2)) / 2)
            chosen, rejected = (first, second) if wins else (second, first)
            sign = 1 if wins else -1
            yield PreferencePair(
                task.instruction, chosen.text, rejected.text, person.client_id, self.name,
                chosen_first=wins, columns={
                    "group": person.group, "source": task.source, "chosen_model": chosen.model,
                    "rejected_model": rejected.model, "oracle_margin": sign * own,
                    "consensus_margin": sign * shared})


def weighted(weights: Sequence[float], ratings: Sequence[float]) -> float:
    """Return the sum of ratings times weights."""
    return math.fsum(w * r for w, r in zip(weights, ratings, strict=True))


def make_people(clients: int, groups: int, focus: float, concentration: float | None,
                seed: int) -> list[Person]:
    """Make ``person_000`` …, the n-th in group n modulo ``groups``.

    Args:
        clients: How many, at least one for each group.
        groups: 1 to 4; group g cares most for the g-th aspect.
        focus: Share of a group's weight on its aspect; the rest is spread evenly over all four. 1:
            nothing else counts, 0: all groups are alike.
        concentration: A person's weights are drawn from a Dirichlet distribution around the
            group's, with this sum of its parameters: the larger, the nearer. None: exactly the
            group's.
        seed: Decides the draws.

    Raises:
        ConfigError: A number is out of range.
    """
    for key, value, low, high in (("groups", groups, 1, len(ASPECTS)),
                                  ("clients", clients, groups, math.inf), ("focus", focus, 0, 1)):
        if not low <= value <= high:
            allowed = f"at least {low} (data.groups)" if high == math.inf else (
                f"between {low} and {high}")
            raise ConfigError(f"data.{key} must be {allowed}, got {value}")
    if concentration is not None and concentration <= 0:
        raise ConfigError(f"data.concentration must be greater than 0, got {concentration}")
    people = []
    for number in range(clients):
        name, group = f"person_{number:03d}", number % groups
        centre = np.full(len(ASPECTS), (1 - focus) / len(ASPECTS))
        centre[group] += focus
        weights = centre if concentration is None else _dirichlet(
            concentration * centre, generator(seed, "weights", name))
        people.append(Person(name, group, tuple(float(weight) for weight in weights)))
    return people


def task_of(row: Row) -> Task:
    """Make a task of a row.

    Raises:
        BadRow: A field is absent or has a wrong value.
    """
    instruction = text(row, "instruction")
    if not instruction.strip():
        raise BadRow("instruction", instruction, "it is empty; write what was asked")
    completions = tuple(
        Completion(text(found, "response"), text(found, "model"), _ratings(found))
        for found in records(row, "completions"))
    return Task(instruction, text(row, "source"), completions)


def _ratings(completion: Row) -> tuple[float, ...] | None:
    unrated = "annotations" in completion and completion["annotations"] is None
    annotations = {} if unrated else record(completion, "annotations")
    found = [_rating((annotations.get(aspect) or {}).get("Rating")) for aspect in ASPECTS]
    return None if None in found else tuple(rating for rating in found if rating is not None)


def _rating(value: object) -> float | None:
    """Read a rating; the raters' "N/A", an absent one and other words are none."""
    try:
        rating = float(str(value))
    except ValueError:
        return None
    return rating if math.isfinite(rating) else None


def _dirichlet(parameters: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw from a Dirichlet distribution some of whose parameters may be 0."""
    positive = parameters > 0
    weights = np.zeros(len(parameters))
    weights[positive] = rng.dirichlet(parameters[positive]) if positive.sum() > 1 else 1.0
    return weights
