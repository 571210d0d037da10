"""From traces to pairs and ratings: priorities, constraints, weights, caps, and one fate each."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from trace_rows import event, logged

from fedrlhf.data.traces import drafts
from fedrlhf.data.traces.channels import Reward
from fedrlhf.data.traces.events import (
    Alternative,
    Copied,
    Event,
    Followup,
    Hint,
    Quiz,
    Regenerate,
    Run,
)
from fedrlhf.data.traces.propensity import (
    feedback_probabilities,
    feedback_weights,
    self_normalised,
)
from fedrlhf.data.traces.training_data import (
    DUPLICATE,
    OVER_CAP,
    Rules,
    fate_counts,
    training_data,
)
from fedrlhf.errors import ConfigError
from fedrlhf.types import Preference, PreferencePair, Rating

TABLE_ONLY = Rules(prior=None)  # P(good) by hand
AB = {"alternative": Alternative(answer="Four.", side="second"), "vote": "down"}
LEAK = {"graded": True, "reference_solution": "4", "prompt": "How many?"}


def made(*rows: dict[str, Any], rules: Rules = TABLE_ONLY) -> tuple[list[Preference], list[str]]:
    """Return the preferences and fates of one user's rows."""
    only, = training_data(logged(*rows), rules, "test")
    return only.preferences, only.fates


def pair(*rows: dict[str, Any], rules: Rules = TABLE_ONLY) -> PreferencePair:
    """Return the one pair that rows give."""
    only, = made(*rows, rules=rules)[0]
    assert isinstance(only, PreferencePair)
    return only


def rating(*rows: dict[str, Any], rules: Rules = TABLE_ONLY) -> Rating:
    """Return the one rating that rows give."""
    only, = made(*rows, rules=rules)[0]
    assert isinstance(only, Rating)
    return only


@pytest.mark.parametrize(("side", "ab", "chosen", "chosen_first"), [
    ("second", "chosen", "It is 4.", True), ("first", "chosen", "It is 4.", False),
    ("second", "other", "Four.", False), ("first", "other", "Four.", True)])
def test_an_ab_vote_is_a_pair(side: str, ab: str, chosen: str, chosen_first: bool) -> None:
    """It wins over every other trace, and the place of the chosen answer is kept."""
    found = pair({"alternative": Alternative(answer="Four.", side=side), "ab": ab, "vote": "up",
                  "edit": "It is 4, surely."})
    assert (found.chosen, found.chosen_first, found.tie) == (chosen, chosen_first, False)
    assert {found.chosen, found.rejected} == {"It is 4.", "Four."}
    assert found.columns["trace"] == "ab"
    assert found.columns["rows"] == ["events.jsonl:1"]


@pytest.mark.parametrize(("side", "first"), [("second", "It is 4."), ("first", "Four.")])
def test_an_ab_tie_names_first_what_was_shown_first(side: str, first: str) -> None:
    """As everywhere, a tie's `chosen` is the one on the first place."""
    found = pair({"alternative": Alternative(answer="Four.", side=side), "ab": "tie"})
    assert (found.chosen, found.tie, found.chosen_first) == (first, True, True)


def test_an_edit_is_a_pair() -> None:
    """The student's text over the answer; the edit itself stays evidence about the answer."""
    found = pair({"edit": "It is four, count again."})
    assert (found.chosen, found.rejected) == ("It is four, count again.", "It is 4.")
    assert (found.columns["trace"], found.chosen_first) == ("edit", None)


def test_a_correction_is_a_pair() -> None:
    """What the student wrote instead over the answer."""
    found = pair({"followup": Followup(kind="correction", correction="It is 5.")})
    assert (found.chosen, found.rejected, found.columns["trace"]) == (
        "It is 5.", "It is 4.", "correction")


def test_an_accepted_regenerate_is_a_weak_pair() -> None:
    """P = 1 - .2, so its weight is .6 of that of an edit by the same user."""
    found, _ = made({"edit": "It is four, count again."},
                    {"regenerate": Regenerate(after_seconds=9, accepted_answer="IV")})
    assert [one.columns["trace"] for one in found] == ["edit", "regenerate"]
    assert found[1].columns["p"] == pytest.approx(0.8)
    one, two = (one.weight for one in found)
    assert one + two == pytest.approx(2.0)
    # Both rows gave feedback and have the same features but for the turn: nearly equal P.
    assert two / one == pytest.approx(0.6, rel=0.02)


def test_an_accidental_regenerate_is_none() -> None:
    """Within two seconds nobody has read the answer."""
    assert made({"regenerate": Regenerate(after_seconds=1, accepted_answer="IV")}) == (
        [], [drafts.SET_ASIDE])


def test_two_answers_to_one_prompt_are_a_pair() -> None:
    """Up and down with lambda = 1/2: r = .25 + expit(1.5) / 2 and .25 + expit(-2) / 2."""
    found = pair({"vote": "down"}, {"vote": "up", "answer": "Four."})
    assert (found.chosen, found.rejected) == ("Four.", "It is 4.")
    gap = (expit(1.5) - expit(-2.0)) / 2
    assert found.columns["p"] == pytest.approx(0.5 + gap / 2, abs=1e-6)
    assert found.columns["rows"] == ["events.jsonl:2", "events.jsonl:1"]
    assert found.columns["channels"] == ["satisfaction"]


@pytest.mark.parametrize("other", [
    {"prompt": "3 + 1?"}, {"task": "t"}, {"answer": "It is 4."},
    {"skills": ("s",), "session": "later"}])
def test_other_contexts_and_equal_answers_make_no_pair(other: dict[str, Any]) -> None:
    """Another prompt, task or level of knowledge, or the same answer twice: two ratings."""
    quiz = {"quizzes": tuple(Quiz(item=f"{n}", skill="s", correct=True) for n in range(9))}
    found, fates = made({"vote": "down", "skills": ("s",) if "skills" in other else (), **quiz},
                        {"vote": "up", "answer": "Four.", **other},
                        rules=replace(TABLE_ONLY, reward=Reward(learning_share=0.0)))
    assert fates == ["rating", "rating"]
    assert [type(one) for one in found] == [Rating, Rating]


def test_answers_within_the_gap_make_no_pair() -> None:
    """r of thanks and of next step: (expit(.7) - expit(.4)) / 2 = .035 is below .1."""
    _, fates = made({"followup": Followup(kind="thanks")},
                    {"followup": Followup(kind="next_step"), "answer": "Four."})
    assert "contexts" not in fates


def test_each_answer_is_in_one_context_pair() -> None:
    """Best with worst; the middle one, with nobody left, becomes no rating at r = 1/2."""
    found, fates = made({"vote": "up", "answer": "a"}, {"rating": 3, "answer": "b"},
                        {"vote": "down", "answer": "c"})
    assert fates == ["contexts", drafts.UNDECIDED, "contexts"]
    assert [(one.chosen, one.rejected) for one in found if isinstance(one, PreferencePair)] == [
        ("a", "c")]


@pytest.mark.parametrize(("row", "share", "value"), [
    ({"vote": "up"}, 0.5, 0.25 + expit(1.5) / 2),
    ({"vote": "down"}, 0.0, expit(-2.0)),
    ({"run": Run(outcome="ok", changed_code=True)}, 1.0, expit(0.7)),
    ({"vote": "up", "run": Run(outcome="same_error", changed_code=True)}, 0.25,
     0.75 * expit(1.5) + 0.25 * expit(-0.7)),
])
def test_a_lone_signal_is_a_rating(row: dict[str, Any], share: float, value: float) -> None:
    """r = lambda L + (1 - lambda) S; a channel without evidence stays at 1/2."""
    found = rating(row, rules=replace(TABLE_ONLY, reward=Reward(learning_share=share)))
    assert found.value == pytest.approx(value)
    assert (found.completion, found.client_id, found.source, found.weight) == (
        "It is 4.", "ann", "test", 1.0)


def test_copying_alone_is_no_reward() -> None:
    """r = .25 + expit(.1) / 2 = .512 lies within half the gap of 1/2."""
    assert made({"copied": Copied(characters=3)}) == ([], [drafts.UNDECIDED])


@pytest.mark.parametrize(("row", "fate"), [
    ({}, drafts.NO_TRACE),
    ({"rating": 3}, drafts.UNDECIDED),
    ({"edit": "It is 4"}, drafts.SET_ASIDE),
    ({"hint": Hint(level=2, latency_seconds=1.0, final=True), "vote": "up"}, drafts.GAMING),
])
def test_what_teaches_nothing_has_a_fate(row: dict[str, Any], fate: str) -> None:
    """And gives no preference."""
    assert made(row) == ([], [fate])


def test_a_channel_that_is_off_is_not_heard() -> None:
    """A vote says nothing about learning, a run nothing about satisfaction."""
    rows = ({"vote": "up"}, {"run": Run(outcome="ok", changed_code=True)}, {"edit": "It is four."})
    for channels, fates in ((("satisfaction",), ["rating", drafts.UNDECIDED, "edit"]),
                            (("learning",), [drafts.UNDECIDED, "rating", drafts.UNDECIDED])):
        assert made(*rows, rules=replace(TABLE_ONLY, reward=Reward(channels=channels)))[1] == fates


def test_a_leak_is_bad_however_much_it_is_liked() -> None:
    """r = .5 * expit(1.5) + .25 - 1 is below 0: the rating is 0; without traces as well."""
    liked, untouched = made({**LEAK, "vote": "up"}, {**LEAK, "prompt": "How many then?"})[0]
    assert isinstance(liked, Rating) and isinstance(untouched, Rating)
    assert (liked.value, liked.columns["trace"]) == (0.0, "rating")
    assert (untouched.value, untouched.columns["trace"]) == (0.0, "violation")
    assert liked.columns["violations"] == ["leaked_answer"]


def test_without_a_penalty_a_leak_is_still_never_desirable() -> None:
    """kappa = 0 leaves the reward; the constraint holds the answer back."""
    free = replace(TABLE_ONLY, reward=Reward(penalty=0.0))
    assert made({**LEAK, "vote": "up"}, rules=free) == ([], [drafts.WITHHELD])
    assert rating({**LEAK, "vote": "down"}, rules=free).value < 0.5
    assert made({**LEAK}, rules=free) == ([], [drafts.UNDECIDED])


@pytest.mark.parametrize("row", [
    {"alternative": Alternative(answer="Some.", side="second"), "ab": "chosen"},
    {"answer": "Some.", "alternative": Alternative(answer="It is 4.", side="first"),
     "ab": "other"},
    {"answer": "Some.", "edit": "Some: 4, to be exact."},
    {"answer": "Some.", "regenerate": Regenerate(after_seconds=5, accepted_answer="It is 4.")}])
def test_no_pair_prefers_a_violation(row: dict[str, Any]) -> None:
    """Whichever way it was chosen: the answer, the alternative, the edit, the new one."""
    for penalty in (0.0, 1.0):
        found, _ = made({**LEAK, **row}, rules=replace(TABLE_ONLY, reward=Reward(penalty=penalty)))
        assert not [one for one in found if isinstance(one, PreferencePair)]
        assert not [one for one in found if isinstance(one, Rating) and one.value > 0.5]


def test_a_violation_may_be_rejected() -> None:
    """The alternative without the solution was chosen: a pair."""
    found = pair({**LEAK, "alternative": Alternative(answer="Some.", side="second"),
                  "ab": "other"})
    assert (found.chosen, found.rejected) == ("Some.", "It is 4.")


def test_duplicates_and_caps() -> None:
    """The same edit twice counts once; of three preferences the cap keeps the pair first."""
    edit = {"edit": "It is four, count again."}
    found, fates = made({"vote": "up"}, edit, edit, {"vote": "down", "prompt": "3?"},
                        rules=replace(TABLE_ONLY, cap=2))
    assert fates[1:3] == ["edit", DUPLICATE]
    assert sorted(fates) == sorted(["edit", DUPLICATE, "rating", OVER_CAP])
    assert len(found) == 2


def test_users_are_apart_and_capped_each() -> None:
    """One user's rows change nothing for another; weights have mean 1 within each."""
    rows = logged({"vote": "up"}, {"vote": "down", "prompt": "3?"}, {"vote": "up", "user": "bob"})
    both = training_data(rows, Rules(), "test")
    alone = training_data([row for row in rows if row.event.user == "ann"], Rules(), "test")
    assert both[0].preferences == alone[0].preferences
    assert [one.user for one in both] == ["ann", "bob"]
    for one in both:
        assert np.mean([found.weight for found in one.preferences]) == pytest.approx(1.0)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.fixed_dictionaries({
    "vote": st.sampled_from([None, "up", "down"]),
    "answer": st.sampled_from(["It is 4.", "Four.", "Five."]),
    "prompt": st.sampled_from(["2 + 2?", "How many?"]),
    "edit": st.sampled_from([None, "It is 4", "It is four, count again."]),
    "ab": st.sampled_from([None, "chosen", "tie"]),
    "graded": st.booleans(),
    "hint": st.sampled_from([None, Hint(level=2, latency_seconds=1, final=True)]),
    "regenerate": st.sampled_from([None, Regenerate(after_seconds=1, accepted_answer="IV"),
                                   Regenerate(after_seconds=9, accepted_answer="IV")])}),
    max_size=12))
def test_every_event_has_one_fate(rows: list[dict[str, Any]]) -> None:
    """Fates and preferences account for each other, whatever the traces."""
    fixed = {"alternative": Alternative(answer="Six.", side="first"), "reference_solution": "4"}
    users = training_data(logged(*({**row, **fixed} for row in rows)), Rules(cap=5), "test")
    found = [one for user in users for one in user.preferences]
    fates = fate_counts(users)
    assert fates.total() == len(rows)
    used = Counter(one.columns["trace"] for one in found for _ in one.columns["rows"])
    assert used == Counter({kind: fates[kind] for kind in drafts.KINDS if fates[kind]})
    for one in found:
        assert one.weight > 0


def test_reward() -> None:
    """r = .25 * .8 + .75 * .4 - 2 * .5 = -.5; one channel alone has the whole weight."""
    assert Reward(0.25, 0.5)(0.4, 0.8, 2) == pytest.approx(-0.5)
    assert Reward(0.25, 0.5, ("learning",))(0.4, 0.8) == pytest.approx(0.8)
    assert Reward(0.25, 0.5, ("satisfaction",))(0.4, 0.8) == pytest.approx(0.4)


@pytest.mark.parametrize(("build", "name"), [
    (lambda: Reward(1.5), "reward_lambda"), (lambda: Reward(0.5, -1.0), "kappa"),
    (lambda: Reward(channels=()), "channels"),
    (lambda: Reward(channels=("learning", "learning")), "channels"),
    (lambda: Rules(gap=1.0), "gap"), (lambda: Rules(cap=0), "cap_per_user"),
    (lambda: Rules(feedback_clip=0.5), "feedback_clip"),
    (lambda: Rules(gaming_seconds=-1.0), "gaming_seconds")])
def test_refused_rules(build: Any, name: str) -> None:
    """The message names the key of the configuration."""
    with pytest.raises(ConfigError, match=f"data.{name}"):
        build()


def events_of(lengths: list[int]) -> list[Event]:
    """Return events with answers of these lengths."""
    return [event(answer="a" * length) for length in lengths]


def test_feedback_probability_without_features() -> None:
    """Equal rows: the rate with one imagined row each way, (n + 1) / (N + 2)."""
    found = feedback_probabilities(events_of([5] * 8), [True] * 2 + [False] * 6)
    assert found == pytest.approx([0.3] * 8, abs=1e-5)
    assert feedback_probabilities(events_of([5] * 8), [True] * 8) == pytest.approx(
        [0.9] * 8, abs=1e-5)


def test_feedback_probability_agrees_with_a_second_library() -> None:
    """scikit-learn's ridge logistic regression, with the two imagined rows at the mean."""
    from sklearn.linear_model import LogisticRegression

    from fedrlhf.data.traces.propensity import features
    rng = np.random.default_rng(0)
    rows = events_of([int(length) for length in rng.integers(1, 200, 60)])
    seen = rng.random(60) < 0.3
    matrix = np.vstack([features(rows), np.zeros((2, 5))])
    other = LogisticRegression(C=1.0, tol=1e-8, max_iter=1000).fit(matrix, [*seen, True, False])
    assert feedback_probabilities(rows, list(seen)) == pytest.approx(
        other.predict_proba(matrix[:60])[:, 1], abs=1e-4)


def test_feedback_weights() -> None:
    """1 / P, at most the clip; then a mean of 1; nothing stays nothing."""
    assert feedback_weights(np.array([0.5, 0.01]), 10.0) == pytest.approx([2.0, 10.0])
    assert self_normalised([2.0, 6.0]) == [0.5, 1.5]
    assert self_normalised([]) == []
    assert len(feedback_probabilities([], [])) == 0
