"""Numbers of a population, each derived by hand."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrlhf.data.population import Population, Shard
from fedrlhf.data.summary import chosen_first, divergence, longer_share, summarise
from fedrlhf.types import PreferencePair


def pair(chosen: str = "long", rejected: str = "no", topic: str | None = None,
         **facts: Any) -> PreferencePair:
    """Make a pair, with a topic where given."""
    columns = {} if topic is None else {"topic": topic}
    return PreferencePair("p", chosen, rejected, "u", "s", columns=columns, **facts)


LONG, SHORT, TIE = pair(), pair("no", "long"), pair(tie=True)


def test_sizes_and_ties() -> None:
    """Clients of 4, 1 and 2 pairs, one tie in the first; medians over clients, total 7."""
    population = Population((
        Shard("a", (LONG, TIE), (LONG,), (SHORT,)), Shard("b", (LONG,), (), ()),
        Shard("c", (LONG,), (), (LONG,))), {"clients_not_chosen": 2})
    summary = summarise(population)
    assert (summary["clients"], summary["pairs"], summary["ties"]) == (3, 7, 1)
    assert summary["counts"] == {"clients_not_chosen": 2}
    assert summary["sizes"]["all"] == {"min": 1, "median": 2, "max": 4, "total": 7}
    assert summary["sizes"]["train"] == {"min": 1, "median": 1, "max": 2, "total": 4}
    assert summary["sizes"]["validation"] == {"min": 0, "median": 0, "max": 1, "total": 1}
    assert summary["rows"][0]["sizes"] == {"all": 4, "train": 2, "validation": 1, "test": 1}
    assert [row["ties"] for row in summary["rows"]] == [1, 0, 0]


def test_longer_share_over_clients() -> None:
    """Shares 1, 0 and 1/2 (a tie and equal lengths count for nothing): mean 1/2, variance 1/6."""
    equal = pair("abc", "def")
    population = Population((
        Shard("a", (LONG, LONG, TIE), (), ()), Shard("b", (SHORT,), (), (equal,)),
        Shard("c", (LONG,), (), (SHORT,)), Shard("d", (equal,), (), ())))
    summary = summarise(population)
    assert [row.get("longer") for row in summary["rows"]] == [1.0, 0.0, 0.5, None]
    assert summary["longer"] == pytest.approx(
        {"std": math.sqrt(1 / 6), "min": 0.0, "median": 0.5, "max": 1.0})


def test_label_balance() -> None:
    """First, first, second; an unknown order and a tie do not count: 2/3."""
    pairs = [pair(chosen_first=True), pair(chosen_first=True), pair(chosen_first=False), pair(),
             pair(tie=True, chosen_first=True)]
    assert chosen_first(pairs) == pytest.approx(2 / 3)


def test_absent_numbers_are_absent() -> None:
    """One tie without topic and order determines none of them; the rest is JSON."""
    summary = summarise(Population((Shard("a", (TIE,), (), ()),)))
    assert {"chosen_first", "longer", "divergence", "divergence_column"}.isdisjoint(summary)
    assert {"chosen_first", "longer", "divergence"}.isdisjoint(summary["rows"][0])
    assert json.loads(json.dumps(summary)) == summary


def test_divergence_by_hand() -> None:
    """P = (1, 0), Q = (1/2, 1/2), M = (3/4, 1/4).

    JSD = (KL(P|M) + KL(Q|M)) / 2 = (log2(4/3) + (log2(2/3) + log2(2)) / 2) / 2.
    """
    expected = (math.log2(4 / 3) + (math.log2(2 / 3) + math.log2(2)) / 2) / 2
    assert divergence({"x": 3}, {"x": 5, "y": 5}) == pytest.approx(expected)


def test_mean_divergence_of_clients_from_everyone() -> None:
    """Two clients with a topic each are P = (1, 0) and (0, 1) against Q = (1/2, 1/2)."""
    population = Population((Shard("a", (pair(topic="x"),), (), ()),
                             Shard("b", (pair(topic="y"),), (), ())))
    one = (math.log2(4 / 3) + (math.log2(2 / 3) + math.log2(2)) / 2) / 2
    summary = summarise(population)
    assert summary["divergence"] == pytest.approx(one)
    assert summary["divergence_column"] == "topic"
    assert [row["divergence"] for row in summary["rows"]] == pytest.approx([one, one])


def test_another_column_is_compared_if_asked() -> None:
    """Equal values in the column leave no divergence; no pair has the other column."""
    population = Population((Shard("a", (pair(topic="x"),), (), ()),))
    assert summarise(population, column="topic")["divergence"] == pytest.approx(0.0)
    assert "divergence" not in summarise(population, column="debate")


histograms = st.dictionaries(st.sampled_from("abc"), st.integers(1, 9), min_size=1)


@given(histograms, histograms)
def test_divergence_is_symmetric_and_between_0_and_1(one: dict[str, int],
                                                     other: dict[str, int]) -> None:
    """0 for proportional histograms, 1 for disjoint ones, in bits."""
    found = divergence(one, other)
    assert found is not None
    assert -1e-12 <= found <= 1 + 1e-12
    assert found == pytest.approx(divergence(other, one), abs=1e-12)
    assert divergence(one, {name: 3 * n for name, n in one.items()}) == pytest.approx(0, abs=1e-9)
    assert divergence(one, {"z": 1}) == pytest.approx(1)


@given(st.lists(st.tuples(st.text(), st.text())))
def test_longer_share_and_its_opposite(texts: list[tuple[str, str]]) -> None:
    """Exchanging chosen and rejected everywhere turns the share s into 1 - s."""
    share = longer_share(pair(one, other) for one, other in texts)
    opposite = longer_share(pair(other, one) for one, other in texts)
    if share is None or opposite is None:
        assert share is opposite
    else:
        assert share + opposite == pytest.approx(1)
