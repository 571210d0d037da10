"""From the configuration's section `reward` to a client's scorer."""

from collections.abc import Sequence

from fedrlhf.config import build, schema
from fedrlhf.data.source import Source
from fedrlhf.errors import ConfigError
from fedrlhf.rewards.base import Client, Reward
from fedrlhf.rewards.mixing import Mixed

PARTS = ("shared", "personal")


def open_scorer(client: Client) -> Mixed:
    """Open both parts of the reward at a client, mixed by its own lambda.

    A person who is a client too, but whose prompts another one holds (a pool), has that lambda.
    """
    settings = client.config.reward
    shared, personal = (_part(client.config, name).open(client) for name in PARTS)
    return Mixed(shared, personal, settings.mix,
                 settings.weights.get(client.client_id, settings.weight), settings.bound,
                 settings.weights)


def check_reward(config: schema.Config, source: Source) -> None:
    """Refuse rewards that cannot work in this run, before its first round.

    Raises:
        ConfigError: Names the key, its value and what would do.
    """
    for name in PARTS:
        _part(config, name).check(config, source)


def check_weights(config: schema.Config, clients: Sequence[str]) -> None:
    """Refuse lambdas of clients that do not exist.

    Raises:
        ConfigError: Names them.
    """
    if unknown := sorted(set(config.reward.weights) - set(clients)):
        raise ConfigError(f"reward.weights names {', '.join(unknown)}, but the clients are "
                          f"{', '.join(sorted(clients)[:5])}{' …' if len(clients) > 5 else ''}")


def _part(config: schema.Config, name: str) -> Reward:
    found = build(getattr(config.reward, name), f"reward.{name}", config.trust)
    if not isinstance(found, Reward):
        raise ConfigError(f"reward.{name} must be a fedrlhf.rewards.base.Reward, "
                          f"got {type(found).__name__}")
    return found
