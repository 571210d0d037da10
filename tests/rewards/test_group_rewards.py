"""Joining the groups' rewards: limits, equal groups, permutations and Borda by hand."""

import numpy as np
import pytest

from fedrlhf.rewards.aggregate import (
    adaptive_reward,
    borda_reward,
    group_weights,
    max_reward,
    mean_reward,
    min_reward,
    updated_history,
)

REWARDS = np.array([[0.9, 0.1, 0.5], [0.2, 0.8, 0.5]])


def test_the_simple_ones() -> None:
    """Mean, least and largest reward of each completion."""
    np.testing.assert_allclose(mean_reward(REWARDS), [0.55, 0.45, 0.5])
    np.testing.assert_allclose(min_reward(REWARDS), [0.2, 0.1, 0.5])
    np.testing.assert_allclose(max_reward(REWARDS), [0.9, 0.8, 0.5])


def test_borda_by_hand() -> None:
    """Points (1, 0, 1/2) and (0, 1, 1/2); ties share: (2, 2, 1) has 3/4, 3/4 and 0."""
    np.testing.assert_allclose(borda_reward(REWARDS), [0.5, 0.5, 0.5])
    np.testing.assert_allclose(borda_reward(np.array([[2.0, 2.0, 1.0]])), [0.75, 0.75, 0.0])
    np.testing.assert_allclose(borda_reward(np.array([[2.0]])), [0.0])
    np.testing.assert_allclose(borda_reward(np.exp(REWARDS)), borda_reward(REWARDS))  # ranks


def test_the_weights_go_to_the_worst_served() -> None:
    """exp(-h/T) normalised: for h = (.9, .8), T = .1 the odds are e; as T grows they are 1."""
    np.testing.assert_allclose(group_weights([0.9, 0.8], 0.1),
                               [1 / (1 + np.e), np.e / (1 + np.e)])
    np.testing.assert_allclose(group_weights([0.9, 0.2], 1e9), [0.5, 0.5])
    np.testing.assert_allclose(group_weights([0.9, 0.2], 1e-3), [0, 1], atol=1e-12)
    with pytest.raises(ValueError, match="temperature"):
        group_weights([0.9], 0)


def test_adaptive_is_the_formula_and_the_mean_above_the_threshold() -> None:
    """log((1/2) sum_g exp(alpha_g r_g)) below it; equal groups with reward r0 give r0/G."""
    history = [0.9, 0.8]
    alpha = group_weights(history, 0.1)
    expected = np.log(np.exp(alpha[:, None] * REWARDS).mean(axis=0))
    np.testing.assert_allclose(adaptive_reward(REWARDS, history, fairness=0.5), expected)
    np.testing.assert_allclose(adaptive_reward(REWARDS, history, fairness=0.9), [0.55, 0.45, 0.5])
    equal = np.full((4, 3), 0.6)
    np.testing.assert_allclose(adaptive_reward(equal, [0.5] * 4, fairness=0.0), 0.6 / 4)


@pytest.mark.parametrize("join", [mean_reward, min_reward, max_reward, borda_reward])
def test_groups_have_no_order(join: object) -> None:
    """Permuted groups give the same rewards."""
    rewards = np.random.default_rng(0).normal(size=(5, 4))
    np.testing.assert_allclose(join(rewards), join(rewards[::-1]))  # type: ignore[operator]
    history = [0.1, 0.5, 0.9, 0.3, 0.7]
    np.testing.assert_allclose(adaptive_reward(rewards, history, 0.1),
                               adaptive_reward(rewards[::-1], history[::-1], 0.1))


def test_the_history_forgets() -> None:
    """h <- 0.8 h + 0.2 a."""
    np.testing.assert_allclose(updated_history([0.5, 1.0], [1.0, 0.0]), [0.6, 0.8])
