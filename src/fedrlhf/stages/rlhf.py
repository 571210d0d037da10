"""rlhf: federated rounds train the policy itself on what its clients prefer."""

from pathlib import Path

import numpy as np

from fedrlhf.errors import ConfigError
from fedrlhf.federation.client_grid import ClientGrid
from fedrlhf.federation.messages import to_arrays
from fedrlhf.files import read_json, write_json
from fedrlhf.models.slot import Slot
from fedrlhf.rewards.open import check_weights
from fedrlhf.seeding import seed_for
from fedrlhf.stages.context import Context
from fedrlhf.stages.federated import GROUPING, train_adapters
from fedrlhf.stages.start_policy import start_policy

POLICY = "policy"


def run(context: Context) -> None:
    """Train the tutor's adapter from the last finished round on; save it as a PEFT adapter.

    The start policy is the reference of every round. Where clients share nothing, each has a
    policy of its own, all from the same start.

    Raises:
        ConfigError: The strategy keeps several adapters, but there is one tutor.
    """
    slot = context.objective.open(context.config).slot
    grid = policy_grid(context, slot)
    count = getattr(context.strategy, "count", lambda clients: 1)(len(grid.clients))
    if count != 1 and shared(context):
        raise ConfigError(f"strategy={type(context.strategy).__name__} keeps {count} adapters, the "
                          "stage rlhf trains one policy: choose strategy=fedbis or another that "
                          "averages all clients, or strategy=local_only (conf/strategy/)")
    if context.objective.needs_reward:
        check_weights(context.config, [client.client_id for client in grid.clients])
    start = start_policy(context)
    if start is None:
        start = slot.initial(seed_for(context.config.run.seed, "policy"))
    bank = train_adapters(context, "rlhf", slot, grid, dict.fromkeys(range(count), start))
    for index, policy in bank.items():
        slot.save(policy, policy_folder(context, index))
    if not shared(context):
        write_json(context.run.path / "rlhf" / GROUPING, {
            grid.client(node).client_id: context.strategy.selector_of(node)  # type: ignore[attr-defined]
            for node in grid.nodes})


def policy_grid(context: Context, slot: Slot) -> ClientGrid:
    """Return a way to the clients that brings them the reference policy, if it is no base model."""
    grid = context.client_grid(slot.layout.digest)
    start = start_policy(context)
    if start is not None:
        grid.reference = to_arrays({0: start})
    return grid


def shared(context: Context) -> bool:
    """Say whether the clients train one policy together, or each its own."""
    return bool(getattr(context.strategy, "shared", True))


def policy_folder(context: Context, index: int) -> Path:
    """Return the folder of the trained policy, or of one client's own."""
    return context.run.path / "rlhf" / (POLICY if shared(context) else f"{POLICY}_{index}")


def load_policies(context: Context, slot: Slot) -> list[np.ndarray]:
    """Read the one trained policy, or those of all clients in the order of their numbers."""
    count = 1 if shared(context) else 1 + max(own_policies(context).values())
    return [slot.load(policy_folder(context, index)) for index in range(count)]


def own_policies(context: Context) -> dict[str, int]:
    """Return which policy each client uses."""
    if shared(context):
        return {client.client_id: 0 for client in context.clients}
    return dict(read_json(context.run.path / "rlhf" / GROUPING))
