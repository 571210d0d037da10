"""Values of the policies of a trace file against numbers by hand."""

import math
from typing import Any

import pytest

from fedrlhf.data.traces.channels import Judged, Reward
from fedrlhf.data.traces.events import Event, Policy
from fedrlhf.data.traces.histories import GAMED, Reading
from fedrlhf.data.traces.reading import Logged
from fedrlhf.data.traces.training_data import UserData
from fedrlhf.evaluation.logged_policies import estimates, logged_values

REWARD = Reward(learning_share=0.25)


def row(user: str, satisfaction: float, learning: float, gamed: bool = False,
        **fields: Any) -> Judged:
    """Return an answer with its two probabilities."""
    event = Event(**{"user": user, "session": "s", "turn": 0, "prompt": "p", "answer": "a",
                     "policy": Policy(id="tutor", version="1"), **fields})
    ignored = (GAMED,) if gamed else ()
    return Judged(Reading(Logged("f", 1, event), (), ignored, (), "low", 1.0), satisfaction,
                  learning)


def users(*rows: Judged) -> list[UserData]:
    """Return the rows by user."""
    names = sorted({one.reading.event.user for one in rows})
    return [UserData(name, [one for one in rows if one.reading.event.user == name], {}, [], [])
            for name in names]


def test_the_values_of_those_that_answered() -> None:
    """Means of r = .25 L + .75 S by version; a gamed hint is nowhere."""
    found = logged_values(users(
        row("ann", 0.8, 0.4), row("bob", 0.4, 0.8), row("bob", 0.9, 0.9, gamed=True),
        row("bob", 0.2, 0.2, policy=Policy(id="other"))), REWARD)
    assert list(found) == ["other", "tutor 1"]
    first = found["tutor 1"]
    assert (first.answers, first.users) == (2, 2)
    assert (first.reward, first.satisfaction, first.learning) == pytest.approx((0.6, 0.6, 0.6))
    assert first.interval == pytest.approx((0.5, 0.7))  # of 2000 draws of two users
    assert found["other"].reward == pytest.approx(0.2)
    assert math.isnan(found["other"].interval[0])  # one user


def test_the_estimates_of_one_that_did_not() -> None:
    """Weights 1/2, 2 and 20 with rewards .2, .6 and 1, the third to a prompt of its own.

    IPW with 20 cut to 10: (.1 + 1.2 + 10) / 3; SNIPW: 11.3 / 12.5; effective: 22.5^2 / 404.25.
    Predicted are .6 and .2 (the other answer to the prompt), and .4, the mean of the other two;
    doubly robust, uncorrected at 20: (.6 + .5 (.2 - .6) + .2 + 2 (.6 - .2) + .4) / 3 = .6.
    """
    def logged(user: str, value: float, weight: float, **fields: Any) -> Judged:
        return row(user, value, value, propensity=0.05,
                   other_log_probs={"new": math.log(0.05 * weight)}, **fields)

    found = estimates(users(
        logged("ann", 0.2, 0.5), logged("ann", 0.6, 2.0), logged("bob", 1.0, 20.0, prompt="q"),
        row("bob", 0.0, 0.0), logged("bob", 0.0, 1.0, gamed=True)), REWARD)["new"]
    assert (found.answers, found.clipped) == (3, 1)
    assert found.ipw == pytest.approx(11.3 / 3)
    assert found.snipw == pytest.approx(11.3 / 12.5)
    assert found.snipw_interval == pytest.approx((1.3 / 2.5, 1.0))  # ann twice, bob twice
    assert found.effective == pytest.approx(22.5**2 / 404.25)
    assert found.doubly_robust == pytest.approx(0.6)
    assert found.doubly_robust_interval == pytest.approx((0.4, 0.7))  # bob twice, ann twice


def test_a_policy_that_gives_none_of_the_answers() -> None:
    """Its weights are 0: there is no SNIPW, and no answer is effective against another."""
    found = estimates(users(*(
        row(user, 0.5, 0.5, propensity=0.5, other_log_probs={"new": -5000.0})
        for user in ("ann", "bob"))), REWARD)["new"]
    assert found.ipw == found.effective == 0.0
    assert math.isnan(found.snipw)
    assert math.isnan(found.snipw_interval[0])
