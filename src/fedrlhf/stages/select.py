"""select: federated rounds train the judges of completions, the selectors."""

import numpy as np

from fedrlhf.federation.client_grid import ClientGrid
from fedrlhf.files import read_json, write_json
from fedrlhf.models.slot import Slot
from fedrlhf.seeding import seed_for
from fedrlhf.selectors.judge import Judge
from fedrlhf.selectors.voting import judge_with_all
from fedrlhf.stages.context import Context, adapter_folder
from fedrlhf.stages.federated import GROUPING, train_adapters
from fedrlhf.types import CompletionPair


def run(context: Context) -> None:
    """Train the selectors from the last finished round on; save them as PEFT adapters."""
    slot = context.objective.open(context.config).slot
    grid = context.client_grid(slot.layout.digest)
    count = getattr(context.strategy, "count", lambda clients: 1)(len(grid.clients))
    seed = context.config.run.seed
    bank = train_adapters(context, "select", slot, grid, {
        u: slot.initial(seed_for(seed, "selector", u)) for u in range(count)})
    for index, adapter in bank.items():
        slot.save(adapter, adapter_folder(context, index))
    _save_grouping(context, grid)


def _save_grouping(context: Context, grid: ClientGrid) -> None:
    selector_of = getattr(context.strategy, "selector_of", lambda node: 0)
    write_json(context.run.folder("select") / GROUPING, {
        grid.client(node).client_id: selector_of(node) for node in grid.nodes})


def load_selectors(context: Context, slot: Slot) -> list[np.ndarray]:
    """Read the trained selectors in the order of their numbers."""
    count = len(list((context.run.path / "select").glob("selector_*")))
    return [slot.load(adapter_folder(context, index)) for index in range(count)]


def own_selectors(context: Context) -> dict[str, int]:
    """Return which selector each client uses."""
    return dict(read_json(context.run.path / "select" / GROUPING))


def judged_by_selectors(context: Context, pairs: list[CompletionPair]) -> np.ndarray:
    """Judge pairs with every trained selector; log-odds of shape (selector, pair, order)."""
    judge: Judge = context.objective.open(context.config)
    return judge_with_all(judge, load_selectors(context, judge.slot), pairs)
