"""rlhf: federated rounds train the policy itself on what its clients prefer."""

from fedrlhf.errors import ConfigError
from fedrlhf.seeding import seed_for
from fedrlhf.stages.context import Context
from fedrlhf.stages.federated import train_adapters

POLICY = "policy"


def run(context: Context) -> None:
    """Train the tutor's adapter from the last finished round on; save it as a PEFT adapter.

    Raises:
        ConfigError: The strategy keeps several adapters, but there is one tutor.
    """
    slot = context.objective.open(context.config).slot
    grid = context.client_grid(slot.layout.digest)
    count = getattr(context.strategy, "count", lambda clients: 1)(len(grid.clients))
    if count != 1:
        raise ConfigError(f"strategy={type(context.strategy).__name__} keeps {count} adapters, the "
                          "stage rlhf trains one policy: choose strategy=fedbis or another that "
                          "averages all clients (conf/strategy/)")
    start = slot.initial(seed_for(context.config.run.seed, "policy"))
    policy = train_adapters(context, "rlhf", slot, grid, {0: start})[0]
    slot.save(policy, context.run.path / "rlhf" / POLICY)
