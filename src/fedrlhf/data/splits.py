"""Preferences in a stable order, and their prompts dealt to train, validation and test."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from fedrlhf.config.schema import Partition
from fedrlhf.data.population import Shard
from fedrlhf.data.turns import prompt_key
from fedrlhf.errors import DataError
from fedrlhf.types import SPLITS, Preference, Split


@dataclass(frozen=True)
class Item:
    """A preference with the key of its prompt."""

    preference: Preference
    prompt: str


def in_stable_order(preferences: Iterable[Preference]) -> list[Item]:
    """Sort preferences by what they say, so that no result depends on the order they came in.

    Raises:
        DataError: A column holds something that JSON cannot express.
    """
    try:
        keyed = [(json.dumps(vars(one), sort_keys=True, allow_nan=False), one)
                 for one in preferences]
    except (TypeError, ValueError) as error:
        raise DataError(f"the columns of a preference must hold JSON values: {error}"
                        ) from error
    return [Item(one, prompt_key(one.prompt)) for _, one in sorted(keyed, key=lambda k: k[0])]


def choices_by_prompt(items: Iterable[Item]) -> dict[str, int]:
    """Count, for each prompt in sorted order, the preferences that are not ties."""
    counts: dict[str, int] = {}
    for item in items:
        counts[item.prompt] = counts.get(item.prompt, 0) + (not item.preference.tie)
    return dict(sorted(counts.items()))


def deal(choices: Mapping[str, int], settings: Partition,
         rng: np.random.Generator) -> dict[str, Split]:
    """Deal prompts to the splits, at random in the shares of the settings.

    The first prompts, one for each split in the order train, test, validation, are ones with a
    choice as far as there are any: a split of ties only would train and test nothing.

    Args:
        choices: Number of preferences that are not ties, by prompt.
        settings: The shares ``validation`` and ``test``.
        rng: Decides which prompt goes where.
    """
    names = list(choices)
    order = [names[place] for place in rng.permutation(len(names))]
    order.sort(key=lambda name: choices[name] == 0)
    wanted = quotas(len(names), settings)
    first = [split for split in ("train", "test", "validation") if wanted[split]]
    rest = [split for split in SPLITS for _ in range(wanted[split] - 1)]
    shuffled = [rest[place] for place in rng.permutation(len(rest))]
    return dict(zip(order, [*first, *shuffled], strict=True))


def quotas(prompts: int, settings: Partition) -> dict[Split, int]:
    """Return how many of a number of prompts go to each split.

    One prompt trains; of two, one is held out (for the test where it has a share); from three on
    each split with a share gets at least one, else the nearest whole number.
    """
    shares = {"test": settings.test, "validation": settings.validation}
    held_out = {name: max(1, round(share * prompts)) if share > 0 else 0
                for name, share in shares.items()}
    while sum(held_out.values()) >= max(prompts, 1):
        # Equal numbers: validation gives way, a client without a test cannot be compared.
        largest = max(reversed(held_out), key=lambda name: held_out[name])
        held_out[largest] -= 1
    return {"train": prompts - sum(held_out.values()), **held_out}


def shard_of(client_id: str, items: Iterable[Item], splits: Mapping[str, Split]) -> Shard:
    """Put a client's preferences into the splits of their prompts, in the order given."""
    found: dict[Split, list[Preference]] = {name: [] for name in SPLITS}
    for item in items:
        found[splits[item.prompt]].append(item.preference)
    return Shard(client_id, *(tuple(found[name]) for name in SPLITS))
