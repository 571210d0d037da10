"""Who trains in a round."""

from collections.abc import Sequence

from fedrlhf.seeding import generator


def draw_cohort(nodes: Sequence[int], size: int, seed: int, server_round: int) -> list[int]:
    """Draw clients without replacement, uniformly, by the run's seed and the round.

    Args:
        nodes: Clients that can train, in the order of client ids.
        size: How many to draw; all of them where there are fewer.
        seed: The run's seed.
        server_round: The round, from 1.

    Returns:
        The drawn nodes in ascending order.
    """
    rng = generator(seed, "cohort", server_round)
    chosen = rng.choice(len(nodes), size=min(size, len(nodes)), replace=False)
    return sorted(nodes[i] for i in chosen)
