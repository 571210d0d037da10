"""FedRLHF, the stage rlhf with an online objective: what travels and what is averaged."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from test_rlhf import Interrupted, interrupt_after

import fedrlhf
from fedrlhf.config import build, load
from fedrlhf.data.population import read_index, read_shard, shard_file
from fedrlhf.files import read_json
from fedrlhf.objectives.base import LocalTask
from fedrlhf.rewards.base import Client
from fedrlhf.rewards.open import open_scorer
from fedrlhf.seeding import seed_for

SMALL = (
    "experiment=smoke", "strategy=fedbis", "objective=rloo", "run.stages=[partition,rlhf]",
    "data.clients=3", "data.groups=3", "data.pairs_per_client=16", "rlhf.rounds=3",
    "rlhf.clients_per_round=2", "objective.local_steps=2", "objective.batch_size=2",
    "objective.completions=3", "objective.max_new_tokens=10", "evaluate.client_prompts=2",
    "evaluate.samples=2", "evaluate.sampling.max_new_tokens=10", "runtime.engine=local")


def policy(folder: Path, name: str = "policy") -> dict[str, np.ndarray]:
    """Return the tensors of a trained policy."""
    return load_file(folder / "rlhf" / name / "adapter_model.safetensors")


def test_the_server_averages_every_tensor_that_the_clients_trained(tmp_path: Path) -> None:
    """One round of all three clients: each tensor of the policy is the mean of the three.

    Every client's training is repeated here on its own shard, with its own reward, from the same
    start and seed. The published code sends 2 of 30 tensors and loads none of them; here no tensor
    stays where it was, apart from LoRA's B = 0 times what it is multiplied with in the first step.
    """
    words = [*SMALL, f"run.dir={tmp_path / 'run'}", "rlhf.rounds=1", "rlhf.clients_per_round=3"]
    run, config = fedrlhf.run(words), load(words)
    objective = build(config.objective, "objective")
    start = objective.open(config).slot.initial(seed_for(0, "policy"))
    index = read_index(run.path / "partition")
    alone = []
    for entry in index.shards:
        shard = read_shard(shard_file(run.path / "partition", entry))
        alone.append(objective.train(config, shard.train, LocalTask(
            start, seed_for(0, "train", 1, shard.client_id),
            scorer=open_scorer(Client(config, shard.client_id, shard.train)))).adapter)
    assert len({one.tobytes() for one in alone}) == 3
    layout = objective.open(config).slot.layout
    mean = layout.tensors(np.mean(np.float64(alone), axis=0))
    saved = policy(run.path)
    assert set(saved) == set(mean)
    for name, tensor in layout.tensors(start).items():
        np.testing.assert_allclose(saved[name], mean[name], rtol=0, atol=1e-6)
        assert np.abs(saved[name] - tensor).max() > 1e-5, name


@pytest.mark.slow
def test_resumed_is_uninterrupted(tmp_path: Path) -> None:
    """Writing, scoring and learning go on as if nothing had happened, bit for bit."""
    words = [*SMALL, f"run.dir={tmp_path / 'resumed'}"]
    with pytest.raises(Interrupted):
        fedrlhf.run(words, progress=interrupt_after(2))
    resumed = policy(fedrlhf.run(words).path)
    whole = policy(fedrlhf.run([*SMALL, f"run.dir={tmp_path / 'whole'}"]).path)
    for name, tensor in whole.items():
        np.testing.assert_array_equal(resumed[name], tensor)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["fedbis", "local_only"])
def test_rewards_are_measured_at_the_clients(tmp_path: Path, strategy: str) -> None:
    """Results hold both parts before and after; the mixture is that of lambda, client by client.

    With lambda = 0.25, convex: reward = 0.75 shared + 0.25 personal.
    """
    run = fedrlhf.run([*SMALL, f"run.dir={tmp_path / 'run'}", f"strategy={strategy}",
                       "run.stages=[partition,rlhf,evaluate]", "reward.weight=0.25"])
    rows = read_json(run.path / "evaluate/rewards.json")
    assert [row["client_id"] for row in rows] == ["student_000", "student_001", "student_002"]
    for row in rows:
        for when in ("before", "after"):
            assert row[f"reward_{when}"] == pytest.approx(
                0.75 * row[f"shared_reward_{when}"] + 0.25 * row[f"personal_reward_{when}"],
                abs=1e-5)
    results = read_json(run.path / "results.json")
    assert results["policy.personal_reward_after"] == pytest.approx(
        np.mean([row["personal_reward_after"] for row in rows]))
    assert results["policy.reward_gain_low"] <= results["policy.reward_gain"]
    page = (run.path / "report.html").read_text()
    assert "The rewards" in page
    assert "Lines: rewards along the rounds" in page
