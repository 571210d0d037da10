"""The table of evidence and its fit, against hand-derived numbers and planted likelihoods."""

import numpy as np
import pytest
from scipy.special import expit, logit

from fedrlhf.data.traces.em import (
    Counts,
    Model,
    Prior,
    expected_counts,
    fit,
    log_posterior,
    pooled,
    refitted,
    starting_model,
)
from fedrlhf.data.traces.evidence import (
    CHANNELS,
    TABLE,
    Channel,
    Evidence,
    Family,
    columns_of,
    design,
    likelihoods_of,
    starting_likelihoods,
)

UP, DOWN = Evidence("vote", "up"), Evidence("vote", "down")
THANKS, AGAIN = Evidence("followup", "thanks"), Evidence("regenerate", "asked")


def strength(model: Model, family: str, outcome: str, channel: Channel = "satisfaction") -> float:
    """Return the log-odds of an outcome."""
    return float(model.strengths[columns_of(channel).index((family, outcome))])


def fitted(turns: list[list[Evidence]], prior: Prior | None = None) -> Model:
    """Return the satisfaction table fitted to turns."""
    start = starting_model("satisfaction")
    return fit(start, design(turns, "satisfaction"), "satisfaction", prior or Prior())


def test_likelihoods_of_a_vote() -> None:
    """p e^1.5 + (1 - p) e^-2 = 1 gives p = P(up | bad) = (1 - e^-2) / (e^1.5 - e^-2) = 0.1989."""
    (good_up, bad_up), (good_down, bad_down) = likelihoods_of(TABLE[0])
    assert bad_up == pytest.approx((1 - np.exp(-2)) / (np.exp(1.5) - np.exp(-2)))
    assert bad_up == pytest.approx(0.1989, abs=1e-4)
    assert (good_up, good_down, bad_down) == pytest.approx((0.8916, 0.1084, 0.8011), abs=1e-4)


@pytest.mark.parametrize("family", TABLE, ids=lambda family: family.name)
def test_every_family_has_the_table_s_strengths(family: Family) -> None:
    """Columns sum to 1; log ratios equal the table, beyond `none` where absence is observed."""
    good, bad = np.array(likelihoods_of(family)).T
    assert good.sum() == pytest.approx(1.0)
    assert bad.sum() == pytest.approx(1.0)
    assert (good > 0).all() and (bad > 0).all()
    ratios = np.log(good / bad)
    if family.rate is not None:
        ratios = ratios[:-1] - ratios[-1]
    assert ratios == pytest.approx(np.array(list(family.strengths.values())))


@pytest.mark.parametrize("channel", CHANNELS)
def test_without_traces_nothing_is_known(channel: Channel) -> None:
    """The starting b_u is 0 beyond what absences say."""
    model = starting_model(channel)
    assert model.log_odds(design([()], channel)) == pytest.approx([0.0])


def test_log_odds_are_sums_of_the_table() -> None:
    """Up 1.5 and thanks .7: 2.2; half a thanks and a regenerate: .35 - .8; a doubtful up: .75."""
    turns = [[UP, THANKS], [Evidence("followup", "thanks", 0.5), AGAIN],
             [Evidence("vote", "up", 0.5)], [Evidence("quiz", "right", 0.9)]]
    model = starting_model("satisfaction")
    assert model.log_odds(design(turns, "satisfaction")) == pytest.approx([2.2, -0.45, 0.75, 0.0])
    learning = starting_model("learning").log_odds(design(turns, "learning"))
    assert learning == pytest.approx([0.0, 0.0, 0.0, 1.35])


def test_one_m_step_by_hand() -> None:
    """Two thumbs up and one down with P(good) = expit(1.5), expit(1.5), expit(-2).

    With 10 imagined answers: P(up | good) = (10 * .8916 + 2 g) / (10 + 2 g + h), g = expit(1.5),
    h = expit(-2); the share is (200 s + 2 g + h) / 203.
    """
    start = starting_model("satisfaction")
    observed = design([[UP], [UP], [DOWN]], "satisfaction")
    model = refitted(start, expected_counts(start, observed), "satisfaction", Prior())
    g, h = expit(1.5), expit(-2.0)
    assert model.likelihoods[0, 0] == pytest.approx(
        (10 * start.likelihoods[0, 0] + 2 * g) / (10 + 2 * g + h))
    assert model.share == pytest.approx((200 * start.share + 2 * g + h) / 203)


def test_no_traces_leave_the_table() -> None:
    """EM on nothing returns the start."""
    start = starting_model("learning")
    model = fit(start, design([], "learning"), "learning", Prior())
    assert model.likelihoods == pytest.approx(start.likelihoods)
    assert model.share == pytest.approx(start.share)


def test_em_climbs() -> None:
    """The log posterior never falls, with weights between and beyond 0 and 1."""
    rng = np.random.default_rng(0)
    options = [UP, DOWN, THANKS, AGAIN, Evidence("use", "kept"), Evidence("abandon", "gave_up")]
    turns = [[Evidence(one.family, one.outcome, float(rng.uniform(0.3, 1.5)))
              for one in options if rng.random() < 0.4] for _ in range(200)]
    observed, start = design(turns, "satisfaction"), starting_model("satisfaction")
    heights, model = [log_posterior(start, start, observed, Prior())], start
    for _ in range(30):
        model = refitted(start, expected_counts(model, observed), "satisfaction", Prior())
        heights.append(log_posterior(model, start, observed, Prior()))
    assert (np.diff(heights) > -1e-9).all()
    assert heights[-1] > heights[0] + 1.0


def test_em_finds_planted_likelihoods() -> None:
    """Of 20,000 answers with planted tables it finds these, not the starting ones."""
    rng = np.random.default_rng(1)
    planted = {"vote": (0.7, 0.4), "followup": (0.6, 0.1), "use": (0.5, 0.2)}
    words = {"vote": ("up", "down"), "followup": ("thanks", "rephrase"), "use": ("kept", "taken")}
    turns = []
    for good in rng.random(20_000) < 0.5:
        turns.append([Evidence(name, words[name][int(rng.random() >= planted[name][1 - good])])
                      for name in planted])
    observed = design(turns, "satisfaction")
    model = fit(starting_model("satisfaction"), observed, "satisfaction", Prior())
    columns = columns_of("satisfaction")
    for name, pair in planted.items():
        place = columns.index((name, words[name][0]))
        assert model.likelihoods[:, place] == pytest.approx(pair, abs=0.04)


def test_a_generous_user_s_thumb_says_less() -> None:
    """All up: an up says nearly nothing, a down stays strong; all down: the other way round."""
    generous, grumpy = fitted([[UP]] * 100), fitted([[DOWN]] * 100)
    assert 0.0 <= strength(generous, "vote", "up") < 0.3
    assert strength(generous, "vote", "down") < -1.9
    assert -0.5 < strength(grumpy, "vote", "down") <= 0.0
    assert strength(grumpy, "vote", "up") > 1.5


def test_few_traces_change_little() -> None:
    """Three thumbs up of one user leave most of the 1.5."""
    assert strength(fitted([[UP]] * 3), "vote", "up") == pytest.approx(1.5, abs=0.25)


def test_a_curious_user_s_regenerate_says_less() -> None:
    """Who regenerates three answers of four does it after good ones as well."""
    model = fitted([[AGAIN]] * 60 + [[]] * 20)
    beyond_none = (strength(model, "regenerate", "asked")
                   - strength(model, "regenerate", "none"))
    assert -0.5 < beyond_none < 0.0


def test_pooled_counts_are_those_of_everybody() -> None:
    """Sums over clients equal the counts of all answers together: a federated M step is exact."""
    start = starting_model("satisfaction")
    turns = [[UP], [DOWN, AGAIN], [THANKS], [], [UP, AGAIN]]
    whole = expected_counts(start, design(turns, "satisfaction"))
    parts = pooled(expected_counts(start, design(part, "satisfaction"))
                   for part in (turns[:2], turns[2:]))
    assert parts.outcomes == pytest.approx(whole.outcomes)
    assert (parts.good, parts.answers) == pytest.approx((whole.good, 5.0))
    assert whole.outcomes.sum(axis=0) == pytest.approx(design(turns, "satisfaction").sum(axis=0))


def test_counts_hold_no_rows() -> None:
    """What could leave a client has the table's size, however many answers there were."""
    made = expected_counts(starting_model("learning"), design([[]] * 7, "learning"))
    assert isinstance(made, Counts)
    assert made.outcomes.shape == starting_likelihoods("learning").shape


def test_the_population_s_share_holds_b_u() -> None:
    """A share of .8 adds log 4 to every answer, whatever its traces."""
    start = starting_model("learning")
    better = Model(start.likelihoods, 0.8)
    both = [model.log_odds(design([[], []], "learning")) - logit(model.share)
            for model in (start, better)]
    assert both[0] == pytest.approx(both[1])


@pytest.mark.parametrize("up", [(0.95, 0.7), (0.3, 0.05)], ids=["generous", "grumpy"])
def test_the_fit_corrects_for_habits(up: tuple[float, float]) -> None:
    """P(good) of users whose thumbs follow habit: the Brier score falls by more than a tenth.

    Planted for each answer: good with probability 1/2; thumbs up as given for good and bad answers;
    after half of them, thanks (good .6, bad .25) or a rephrase.
    """
    rng, start = np.random.default_rng(0), starting_model("satisfaction")
    scores = []
    for _ in range(10):
        good = rng.random(150) < 0.5
        turns = [[Evidence("vote", "up" if rng.random() < up[1 - one] else "down")] + (
            [Evidence("followup", "thanks" if rng.random() < (0.25, 0.6)[one] else "rephrase")]
            if rng.random() < 0.5 else []) for one in good.astype(int)]
        observed = design(turns, "satisfaction")
        models = (start, fit(start, observed, "satisfaction", Prior()))
        scores.append([np.mean((expit(model.log_odds(observed)) - good) ** 2) for model in models])
    table, refit = np.mean(scores, axis=0)
    assert refit < 0.9 * table
