"""The real ClientApp with rewards of its own: which numbers leave it, and that no text does."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from test_client_app import NAMES, Federation, leaks, numbers, pair, shard

from fedrlhf.config import build
from fedrlhf.data.population import Population, write_population
from fedrlhf.federation.flower_internals import server_identity
from fedrlhf.federation.messages import EXAMPLES, REWARDS

PARTS = ("reward", "shared_reward", "personal_reward")


def length(prompt: str, completions: list[str], person: str) -> list[float]:
    """Count characters."""
    return [float(len(text)) for text in completions]


def quoting(prompt: str, completions: list[str], person: str) -> list[float]:
    """Fail with what the shard says."""
    raise ValueError("\n".join([prompt, pair(person, "train", 1).chosen, person]))


@pytest.fixture(autouse=True)
def identity() -> Iterator[None]:
    """Let `Message(...)` work outside the processes that Flower starts."""
    with server_identity():
        yield


def federation(folder: Path, function: str) -> tuple[Federation, dict[int, np.ndarray]]:
    """Return three clients that learn by RLOO, and the policy's start."""
    write_population(folder / "partition", Population(tuple(map(shard, NAMES))), {})
    found = Federation(folder, more=(
        "strategy=fedbis objective=rloo objective.local_steps=1 objective.completions=2 "
        "objective.max_new_tokens=4 reward/shared=function "
        f"reward.shared.path={__name__}.{function} "
        f"'trust=[{__name__}]' reward/personal=own_reward_model reward.personal.steps=1 "
        "evaluate.samples=1 evaluate.client_prompts=2 evaluate.sampling.max_new_tokens=4"))
    slot = build(found.config.objective, "objective").open(found.config).slot
    found.grid.layout = slot.layout.digest
    return found, {0: slot.initial(0)}


def test_means_leave_a_client_and_no_text(tmp_path: Path) -> None:
    """Training and the rewards at the end answer with the numbers that docs/concepts.md lists."""
    clients, start = federation(tmp_path, "length")
    trained = numbers(clients.ask("train", start))
    assert set(trained) == {EXAMPLES, "train_loss", "steps", "beta", "kl", "tokens", "ended",
                            "completions", *PARTS}
    measured = numbers(clients.ask(REWARDS, start))
    assert set(measured) - {"spearman"} == {
        EXAMPLES, "kl", *(f"{name}_{when}" for name in PARTS for when in ("before", "after"))}
    assert all(isinstance(value, int | float) for value in (*trained.values(), *measured.values()))
    assert leaks(clients.wire.wire) == set()


def test_a_reward_that_fails_tells_the_server_nothing_of_the_shard(tmp_path: Path) -> None:
    """The server reads which function failed and how; texts and persons stay."""
    clients, start = federation(tmp_path, "quoting")
    reply, = clients.grid.send_and_receive([clients.message("train", start)])
    assert f"the reward {__name__}.quoting failed with ValueError" in reply.error.reason
    assert "anna" not in reply.error.reason
    assert leaks(clients.wire.wire) == set()
