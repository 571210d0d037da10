"""Decide which client holds which preference: by a column, evenly at random, or by Dirichlet."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fedrlhf.config.schema import Partition
from fedrlhf.data.splits import Item
from fedrlhf.errors import DataError
from fedrlhf.seeding import generator
from fedrlhf.types import Split

DRAWS = 100

Holdings = dict[str, list[Item]]


@dataclass(frozen=True)
class Unit:
    """What is given to a client as a whole: a pair, or all pairs of a prompt."""

    items: tuple[Item, ...]
    value: str  # of the column by which Dirichlet spreads; "" where it is not used


def by_column(items: Iterable[Item], settings: Partition) -> tuple[Holdings, Counter[str]]:
    """Make each value of the column a client, as far as it has ``min_pairs`` choices.

    Returns:
        The pairs by client id, and what was left out.

    Raises:
        DataError: No pair has the column, or no client is large enough.
    """
    holdings, counts = by_value(items, settings.column)
    large = {name: found for name, found in holdings.items()
             if choices(found) >= settings.min_pairs}
    if not large:
        most = max(choices(found) for found in holdings.values())
        raise DataError(
            f"none of the {len(holdings)} values of {settings.column} has {settings.min_pairs} "
            f"preference pairs without ties, the largest has {most}; lower partition.min_pairs")
    return large, counts + _difference(holdings, large, "below_min_pairs")


def by_value(items: Iterable[Item], column: str) -> tuple[Holdings, Counter[str]]:
    """Group pairs by the text of a column's value; pairs without a value are counted.

    Raises:
        DataError: No pair has the column (the ones there are are named), or a value is a list.
    """
    holdings: Holdings = {}
    missing: list[Item] = []
    for item in items:
        value = value_of(item, column)
        (missing if value == "" else holdings.setdefault(value, [])).append(item)
    if not holdings:
        known = {name for item in missing for name in item.preference.columns}
        known |= {"client_id"} if any(item.preference.client_id for item in missing) else set()
        raise DataError(
            f"no preference has a value in the column {column!r} (partition.column); columns: "
            f"{', '.join(sorted(known)) or 'none'}. Without any, use partition.by=iid")
    return holdings, Counter({f"pairs_without_{column}": len(missing)})


def value_of(item: Item, column: str) -> str:
    """Return the text of a pair's value in a column, "" where it has none.

    Raises:
        DataError: The value is a list or a table.
    """
    held = item.preference
    value = held.client_id if column == "client_id" else held.columns.get(column)
    if value is None:
        return ""
    if not isinstance(value, str | int | float):
        raise DataError(f"partition.column={column} must hold texts or numbers, got {value!r:.60}")
    return str(value)


def trainable(holdings: Holdings, splits: Mapping[str, Split]) -> tuple[Holdings, Counter[str]]:
    """Leave out, and count, clients whose choices are all held out by splits that others share.

    Raises:
        DataError: No client is left.
    """
    kept = {name: found for name, found in holdings.items() if choices(found, splits)}
    if not kept:
        raise DataError(f"partition.split_scope=global leaves none of the {len(holdings)} clients "
                        "a pair to train on; use split_scope=client or smaller shares")
    return kept, _difference(holdings, kept, "without_training")


def chosen(holdings: Holdings, settings: Partition,
           seed: int) -> tuple[Holdings, Counter[str]]:
    """Keep the largest clients (equal ones in the order of their ids) or a seeded sample.

    Raises:
        DataError: There are fewer than ``clients``.
    """
    wanted = len(holdings) if settings.clients is None else settings.clients
    if wanted > len(holdings):
        raise DataError(
            f"partition.clients={wanted}, but only {len(holdings)} values of {settings.column} "
            f"have the {settings.min_pairs} preference pairs without ties that a client needs; set "
            f"partition.clients to {len(holdings)} or null (all), or lower partition.min_pairs")
    names = sorted(holdings)
    if settings.choose == "largest":
        names.sort(key=lambda name: -choices(holdings[name]))
    else:
        names = [names[place] for place in generator(seed, "clients").permutation(len(names))]
    kept = {name: holdings[name] for name in names[:wanted]}
    return kept, _difference(holdings, kept, "not_chosen")


def drawn(items: Sequence[Item], settings: Partition, seed: int,
          splits: Mapping[str, Split]) -> Holdings:
    """Give units to ``client_000`` … at random until each has enough.

    Args:
        items: The pairs; for Dirichlet, all have the column.
        settings: Says how many clients, how and how many pairs each needs.
        seed: Decides who gets what.
        splits: The splits of the prompts where all clients share them, else empty.

    Raises:
        DataError: There are fewer units than clients, or no draw gave each client enough.
    """
    clients = settings.clients or 0
    units = _units(items, settings)
    if len(units) < clients:
        kind = "prompts" if settings.disjoint_prompts else "preference pairs"
        raise DataError(f"partition.clients={clients}, but there are only {len(units)} {kind}")
    owners = _draw_until_enough(units, settings, seed, splits)
    holdings: Holdings = {f"client_{number:03d}": [] for number in range(clients)}
    names = list(holdings)
    for unit, owner in zip(units, owners, strict=True):
        holdings[names[owner]].extend(unit.items)
    return holdings


def choices(items: Iterable[Item], splits: Mapping[str, Split] | None = None) -> int:
    """Count the pairs that are not ties; with splits, only those that train."""
    return sum(not item.preference.tie and (splits or {}).get(item.prompt, "train") == "train"
               for item in items)


def _draw_until_enough(units: Sequence[Unit], settings: Partition, seed: int,
                       splits: Mapping[str, Split]) -> np.ndarray:
    numbers = {value: number for number, value in enumerate(sorted({u.value for u in units}))}
    values = np.array([numbers[unit.value] for unit in units])
    sizes = np.array([(choices(unit.items), choices(unit.items, splits)) for unit in units])
    clients, best = settings.clients or 0, -1
    for draw in range(DRAWS):
        owners = _owners(values, settings, generator(seed, "partition", draw))
        held, training = (np.bincount(owners, weights=column, minlength=clients).min()
                          for column in sizes.T)
        if held >= settings.min_pairs and training >= 1:
            return owners
        best = max(best, int(held))
    raise DataError(
        f"{DRAWS} draws gave no partition with {settings.min_pairs} pairs without ties "
        f"(partition.min_pairs) and one to train on for each of {clients} clients; the smallest "
        f"shard of the best draw had {best}. {_remedy(settings)}")


def _owners(values: np.ndarray, settings: Partition, rng: np.random.Generator) -> np.ndarray:
    """Return the number of a client for each unit; `values` are numbers of column values."""
    clients = settings.clients or 0
    if settings.by == "iid":
        return rng.permutation(len(values)) % clients
    owners = np.empty(len(values), dtype=np.int64)
    for value in np.unique(values):
        where = np.flatnonzero(values == value)
        shares = rng.dirichlet(np.full(clients, settings.alpha))
        owners[where] = rng.choice(clients, size=len(where), p=shares)
    return owners


def _remedy(settings: Partition) -> str:
    more_even = (f"Raise partition.alpha ({settings.alpha:g}), lower"
                 if settings.by == "dirichlet" else "Lower")
    return f"{more_even} partition.clients ({settings.clients}) or partition.min_pairs"


def _units(items: Sequence[Item], settings: Partition) -> list[Unit]:
    units: dict[str, list[Item]] = {}
    for number, item in enumerate(items):
        key = item.prompt if settings.disjoint_prompts else str(number)
        units.setdefault(key, []).append(item)
    return [Unit(tuple(found), _common_value(found, settings)) for found in units.values()]


def _common_value(items: Sequence[Item], settings: Partition) -> str:
    if settings.by == "iid":
        return ""
    values = {value_of(item, settings.column) for item in items}
    if len(values) > 1:
        raise DataError(
            f"partition.disjoint_prompts needs a column that a prompt has one value of, but "
            f"{items[0].preference.prompt!r:.60} has {len(values)} values of "
            f"{settings.column!r}; set "
            "partition.column to a property of prompts, such as a topic")
    return values.pop()


def _difference(before: Holdings, after: Holdings, reason: str) -> Counter[str]:
    left_out = [found for name, found in before.items() if name not in after]
    return Counter({f"clients_{reason}": len(left_out),
                    f"pairs_{reason}": sum(map(len, left_out))})
