"""rlhf: federated rounds train the policy itself on what its clients prefer."""

from fedrlhf.errors import ConfigError
from fedrlhf.federation.client_grid import ClientGrid
from fedrlhf.federation.messages import to_arrays
from fedrlhf.models.adapters import AdapterSlot
from fedrlhf.seeding import seed_for
from fedrlhf.stages.context import Context
from fedrlhf.stages.federated import train_adapters
from fedrlhf.stages.start_policy import start_policy

POLICY = "policy"


def run(context: Context) -> None:
    """Train the tutor's adapter from the last finished round on; save it as a PEFT adapter.

    The start policy is the reference of every round.

    Raises:
        ConfigError: The strategy keeps several adapters, but there is one tutor.
    """
    slot = context.objective.open(context.config).slot
    grid = policy_grid(context, slot)
    count = getattr(context.strategy, "count", lambda clients: 1)(len(grid.clients))
    if count != 1:
        raise ConfigError(f"strategy={type(context.strategy).__name__} keeps {count} adapters, the "
                          "stage rlhf trains one policy: choose strategy=fedbis or another that "
                          "averages all clients (conf/strategy/)")
    start = start_policy(context)
    if start is None:
        start = slot.initial(seed_for(context.config.run.seed, "policy"))
    policy = train_adapters(context, "rlhf", slot, grid, {0: start})[0]
    slot.save(policy, context.run.path / "rlhf" / POLICY)


def policy_grid(context: Context, slot: AdapterSlot) -> ClientGrid:
    """Return a way to the clients that brings them the reference policy, if it is no base model."""
    grid = context.client_grid(slot.layout.digest)
    start = start_policy(context)
    if start is not None:
        grid.reference = to_arrays({0: start})
    return grid
