"""Rewards on the pages: along the rounds, at the clients, and over the knob lambda."""

import json
from pathlib import Path

import pytest
from made_runs import make_run, put, settings, write_text

from fedrlhf.report.artifacts import Artifacts, read_artifacts
from fedrlhf.report.compare import comparison_of
from fedrlhf.report.page import page_of
from fedrlhf.report.rewards import knob, mean_curves, reward_curve


def run_with(path: Path, weight: float, shared: float, personal: float, *,
             strategy: str = "FedBis", seed: int = 0, pooled: bool = False,
             objective: str = "rloo.Rloo", mix: str = "convex") -> Artifacts:
    """Make a run that reached these rewards with this lambda."""
    config = settings(
        run__seed=seed, partition__pool_training=pooled,
        strategy___target_=f"fedrlhf.federation.strategies.{strategy}")
    config["reward"] = {"weight": weight, "mix": mix}
    config["objective"] = {"_target_": f"fedrlhf.objectives.{objective}"}
    results = {f"policy.{part}_after{end}": value + shift for part, value in (
        ("reward", 0.0), ("shared_reward", shared), ("personal_reward", personal))
        for end, shift in (("", 0.0), ("_low", -0.1), ("_high", 0.2))}
    run = make_run(path, None, config=config)
    put(path / "results.json", results)
    return read_artifacts(run)


def test_completions_add_up_over_clients_and_rounds(tmp_path: Path) -> None:
    """Two clients write 8 each in round 1, one writes 8 in round 2: 16 and 24.

    Rewards 1 and 3 have mean 2 and standard deviation 1 over the clients.
    """
    run = make_run(tmp_path, None)
    row = '{{"server_round": {n}, "client_metrics": {{{clients}}}}}\n'
    one = '"{name}": {{"completions": 8, "reward": {r}, "shared_reward": 0, "personal_reward": 5}}'
    write_text(tmp_path / "rlhf/rounds.jsonl", row.format(n=1, clients=", ".join(
        one.format(name=name, r=r) for name, r in (("ann", 1), ("bob", 3)))) + row.format(
        n=2, clients=one.format(name="ann", r=4)))
    first, second = reward_curve(read_artifacts(run))
    assert (first.completions, second.completions) == (16, 24)
    assert (first.mean["reward"], first.deviation["reward"]) == (2, 1)
    assert second.mean == {"reward": 4, "shared_reward": 0, "personal_reward": 5}


def test_a_point_of_the_knob_is_over_seeds_or_over_clients(tmp_path: Path) -> None:
    """One seed: the run's own interval, [0.9, 1.2] around 1.

    Two seeds with 1 and 3: mean 2, Student's 95% interval with one degree of freedom,
    2 +- 12.706 * 1 (the standard error is sqrt(2) / sqrt(2)).
    """
    runs = [run_with(tmp_path / "a", 0.0, 1.0, 0.0), run_with(tmp_path / "b", 1.0, 1.0, 0.0),
            run_with(tmp_path / "c", 1.0, 3.0, 0.0, seed=1)]
    first, second = knob(runs)["federated"]
    assert (first.shared.value, first.shared.low, first.shared.high) == pytest.approx(
        (1, 0.9, 1.2))
    assert second.seeds == 2
    assert (second.shared.value, second.shared.low, second.shared.high) == pytest.approx(
        (2, 2 - 12.7062, 2 + 12.7062), abs=1e-3)


def test_methods_are_told_apart(tmp_path: Path) -> None:
    """A method with one lambda has no curve; the others have a line and rows each."""
    runs = [run_with(tmp_path / f"{number}", weight, 1 - weight, weight, strategy=strategy,
                     pooled=pooled)
            for number, (weight, strategy, pooled) in enumerate((
                (0.0, "FedBis", False), (1.0, "FedBis", False), (0.0, "LocalOnly", False),
                (1.0, "LocalOnly", False), (0.5, "FedBis", True)))]
    assert set(knob(runs)) == {"federated", "local only"}
    page = comparison_of(runs)
    assert "The knob lambda" in page
    assert ("From lambda = 0 to 1, on held-out prompts: federated: personal reward from 0.00 to "
            "1.00, shared reward from 1.00 to 0.00; local only") in " ".join(page.split())
    assert "Lines: personal against shared reward over lambda" in page
    assert "federated: rank correlation with lambda is -1.00 for the shared and +1.00" in page


def test_other_objectives_and_mixtures_are_no_seeds(tmp_path: Path) -> None:
    """What differs is named, and only that; no point joins what two objectives reached."""
    runs = [run_with(tmp_path / f"{number}", weight, 1.0, 0.0, objective=objective, mix=mix)
            for number, (weight, objective, mix) in enumerate((
                (0.0, "rloo.Rloo", "convex"), (1.0, "rloo.Rloo", "convex"),
                (0.0, "dpo.Dpo", "convex"), (1.0, "dpo.Dpo", "convex")))]
    found = knob(runs)
    assert set(found) == {"federated, rloo", "federated, dpo"}
    assert {one.seeds for settings in found.values() for one in settings} == {1}
    additive = [run_with(tmp_path / f"a{weight:g}", weight, 1.0, 0.0, mix="additive")
                for weight in (0.0, 1.0)]
    assert set(knob([*runs[:2], *additive])) == {"federated, convex", "federated, additive"}


def test_curves_are_means_over_seeds(tmp_path: Path) -> None:
    """Rewards 1 and 3 in the first round of two seeds: 2; the second round is of one run alone."""
    runs = []
    for seed, rewards in enumerate(([1], [3, 9])):
        run = run_with(tmp_path / f"{seed}", 0.5, 0.0, 0.0, seed=seed).run
        write_text(tmp_path / f"{seed}/rlhf/rounds.jsonl", "".join(
            json.dumps({"server_round": n, "client_metrics": {"ann": {
                "completions": 8, "reward": r, "shared_reward": 0, "personal_reward": 0}}}) + "\n"
            for n, r in enumerate(rewards, 1)))
        runs.append(read_artifacts(run))
    reached, = mean_curves(runs, 0.5)["federated"]
    assert (reached.completions, reached.mean["reward"]) == (8, 2)


def test_the_page_begins_with_the_rewards_that_were_trained_on(tmp_path: Path) -> None:
    """The headline says what the rewards gained; a policy gradient's loss is not drawn."""
    run = run_with(tmp_path, 0.25, 1.0, 2.0).run
    put(tmp_path / "results.json", {"policy.reward_gain": 1.5, "policy.reward_gain_low": 1.2,
                                    "policy.reward_gain_high": 1.8})
    client = {"train_loss": 1e-9, "completions": 8, "reward": 1.0, "shared_reward": 1.0,
              "personal_reward": 1.0}
    write_text(tmp_path / "rlhf/rounds.jsonl", json.dumps({
        "server_round": 1, "cohort": ["ann"], "client_metrics": {"ann": client}}) + "\n")
    page = page_of(read_artifacts(run))
    assert ("With lambda = 0.25 the clients&#39; rewards rose by +1.50 [+1.20, +1.80] on held-out "
            "prompts.") in " ".join(page.split())
    assert "training loss (nats)" not in page


def test_a_run_without_rewards_has_no_such_section(tmp_path: Path) -> None:
    """The main job knows nothing of lambda."""
    made = read_artifacts(make_run(tmp_path))
    assert "The rewards" not in page_of(made)
    assert knob([made]) == {}
