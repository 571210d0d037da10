"""Who receives which selectors in which round, and what becomes of the replies."""

import numpy as np
import pytest
from toy_federation import Toy, bank, clients, settings

from fedrlhf.errors import ConfigError
from fedrlhf.federation.client_grid import ClientGrid
from fedrlhf.federation.messages import from_arrays, to_arrays
from fedrlhf.federation.rounds import Progress, RoundRecord, run_rounds
from fedrlhf.federation.strategies import (
    FedBis,
    FedBiscuit,
    Ifca,
    LocalOnly,
    SelectorStrategy,
    StepMatchedFedBis,
)

SIX = clients(6)
# c0, c1 want selector 1; c2, c3 want 0; c4, c5 want 2.
TASTES = {"c0": [2.0, 1.0, 3.0], "c1": [2.0, 1.0, 3.0], "c2": [1.0, 2.0, 3.0],
          "c3": [1.0, 2.0, 3.0], "c4": [3.0, 2.0, 1.0], "c5": [3.0, 2.0, 1.0]}
OWN = {"c0": 1, "c1": 1, "c2": 0, "c3": 0, "c4": 2, "c5": 2}


def plus_one(client: str, server_round: int, adapter: np.ndarray) -> np.ndarray:
    """Train: add 1."""
    return adapter + np.float32(1)


def run(strategy: SelectorStrategy, toy: Toy, rounds: int, per_round: int = 4, selectors: int = 1,
        **others: object) -> tuple[list[float], list[RoundRecord], ClientGrid]:
    """Run rounds; return one value of each selector, the records and the grid."""
    grid, progress = toy.grid(), Progress(to_arrays(bank(selectors)))
    records = list(run_rounds(grid, strategy, progress, settings(rounds, per_round, **others), 0))
    adapters = from_arrays(progress.arrays)
    for adapter in adapters.values():
        assert adapter.dtype == np.float32
    return [float(adapters[u][0]) for u in range(selectors)], records, grid


# ---------------------------------------------------------------------------------------- FedBis


def test_fedbis_sends_selector_0_to_the_cohort() -> None:
    """In each round to nobody else."""
    toy = Toy(SIX)
    _, records, _ = run(FedBis(), toy, 5)
    assert toy.rounds() == {r.server_round: dict.fromkeys(r.cohort, (0,)) for r in records}


@pytest.mark.parametrize(("weights", "normalised", "expected"), [
    ("uniform", True, 2.0),   # (1 + 3) / 2
    ("uniform", False, 2.0),  # 3/2 (1/3 x 1 + 1/3 x 3)
    ("size", True, 2.5),      # (10 x 1 + 30 x 3) / 40
    ("size", False, 1.875),   # 3/2 (10/80 x 1 + 30/80 x 3)
])
def test_fedbis_is_eq_4(weights: str, normalised: bool, expected: float) -> None:
    """M = 3 clients of 10, 30, 40 pairs; A = 2 good replies, 1 and 3; the third one fails."""
    values = {"a": 1.0, "b": 3.0}
    toy = Toy({"a": (10, 4, 5), "b": (30, 4, 5), "c": (40, 4, 5)}, failing={"c"},
              trained=lambda client, _, adapter: adapter * 0 + np.float32(values[client]))
    found, _, _ = run(FedBis(weights=weights, normalised=normalised), toy, 1)
    assert found == [pytest.approx(expected)]


def test_shares_cover_all_clients() -> None:
    """p_m of the cohort's clients are shares of all clients' weight, not of the cohort's."""
    strategy, toy = FedBis(weights="size"), Toy(SIX)
    run(strategy, toy, 1, per_round=2)
    assert strategy.clients == 6
    assert strategy.shares == {node: pytest.approx((9 + node) / 75) for node in strategy.shares}
    assert len(strategy.shares) == 2


# ------------------------------------------------------------------------------------ FedBiscuit


def test_fedbiscuit_warms_up_then_groups() -> None:
    """U = 3, R_pre = 2: rounds 1-2, 3-4, 5-6 train selectors 0, 1, 2; from 7 on its own each."""
    toy = Toy(SIX, losses=TASTES)
    _, records, _ = run(FedBiscuit(selectors=3, warmup_rounds=2, regroup_every=2), toy, 10,
                        selectors=3)
    for record in records:
        for client, received in toy.rounds()[record.server_round].items():
            warm = (record.server_round - 1) // 2
            assert received == ((warm,) if record.server_round <= 6 else (OWN[client],))


@pytest.mark.parametrize(("regroup_every", "expected"), [
    (1, [3, 4, 5, 6, 7, 8]), (2, [3, 5, 7]), (4, [3, 7]), (9, [3])])
def test_fedbiscuit_regroups_every_tau_rounds(regroup_every: int, expected: list[int]) -> None:
    """U R_pre = 2: the first clustered round is 3; all clients rank all selectors there."""
    toy = Toy(SIX, losses=TASTES)
    run(FedBiscuit(selectors=2, warmup_rounds=1, regroup_every=regroup_every), toy, 8, 2,
        selectors=2)
    assert list(toy.rounds("rank")) == expected
    assert all(asked == dict.fromkeys(SIX, (0, 1)) for asked in toy.rounds("rank").values())


def test_fedbiscuit_without_warm_up() -> None:
    """R_pre = 0: groups from round 1 on."""
    toy = Toy(SIX, losses=TASTES)
    run(FedBiscuit(selectors=3, warmup_rounds=0), toy, 1, 6, selectors=3)
    assert toy.rounds()[1] == {client: (u,) for client, u in OWN.items()}
    assert list(toy.rounds("rank")) == [1]


def test_fedbiscuit_groups_are_balanced() -> None:
    """All want selector 0; each gets two clients."""
    strategy = FedBiscuit(selectors=3, warmup_rounds=0)
    run(strategy, Toy(SIX, losses=dict.fromkeys(SIX, [0.1, 0.5, 0.9])), 1, selectors=3)
    assert sorted(strategy.grouping.values()) == [0, 0, 1, 1, 2, 2]
    assert sorted(strategy.grouping) == [1, 2, 3, 4, 5, 6]


def test_an_absent_client_keeps_its_cluster() -> None:
    """c0 fails when the second grouping asks: it stays in cluster 1, whatever it would want now."""
    strategy = FedBiscuit(selectors=3, warmup_rounds=0, regroup_every=1)
    toy = Toy(SIX, losses=TASTES)
    grid, progress = toy.grid(), Progress(to_arrays(bank(3)))
    loop = run_rounds(grid, strategy, progress, settings(3, 6), 0)
    next(loop)
    assert strategy.grouping == {i + 1: u for i, u in enumerate(OWN.values())}
    # Now c0 prefers 2, c5 prefers 1, and c0 does not answer.
    toy.losses = {**TASTES, "c0": [2.0, 3.0, 1.0], "c5": [2.0, 1.0, 3.0]}
    toy.failing = {"c0"}
    next(loop)
    assert strategy.grouping[1] == 1 and strategy.grouping[6] == 1
    toy.failing = set()
    next(loop)
    assert strategy.grouping[1] == 2


def test_nobody_ranks() -> None:
    """At first all are placed all the same, in balance; later all keep their clusters."""
    strategy = FedBiscuit(selectors=3, warmup_rounds=0, regroup_every=1)
    toy = Toy(SIX, losses=TASTES)
    progress = Progress(to_arrays(bank(3)))
    toy.failing = set(SIX)
    loop = run_rounds(toy.grid(), strategy, progress, settings(3, 6), 0)
    next(loop)
    first = dict(strategy.grouping)
    assert sorted(first.values()) == [0, 0, 1, 1, 2, 2]
    next(loop)
    assert strategy.grouping == first


def test_clients_without_validation_pairs_are_placed_without_being_asked() -> None:
    """c0 and c1 know nothing: they fill the places that the others leave."""
    sizes = {**SIX, "c0": (10, 0, 5), "c1": (10, 0, 5)}
    strategy = FedBiscuit(selectors=3, warmup_rounds=0)
    toy = Toy(sizes, losses=TASTES)
    run(strategy, toy, 1, 6, selectors=3)
    assert set(toy.rounds("rank")[1]) == {"c2", "c3", "c4", "c5"}
    assert strategy.grouping == {1: 1, 2: 1, 3: 0, 4: 0, 5: 2, 6: 2}


@pytest.mark.parametrize("answer", [[1.0], [1.0, 2.0, 3.0], [], [float("nan"), float("inf")]])
def test_a_wrong_answer_to_the_ranking_is_no_answer(answer: list[float]) -> None:
    """Too few or many losses, or none that is a number: the grouping goes on without them."""
    strategy = FedBiscuit(selectors=2, warmup_rounds=0)
    toy = Toy(SIX, losses={name: losses[:2] for name, losses in TASTES.items()})
    given = toy.losses_of
    toy.losses_of = lambda client, adapters: (  # type: ignore[method-assign]
        answer if client == "c0" and len(adapters) == 2 else given(client, adapters))
    run(strategy, toy, 1, 6, selectors=2)
    assert sorted(strategy.grouping.values()) == [0, 0, 0, 1, 1, 1]


def test_eq_8_moves_by_the_share_of_those_who_trained() -> None:
    """M = 6, U = 3, all 6 train: each selector has A/U = 2 of them and moves 2/6 = A/(U M) of 1.

    Selectors start at 0, 1, 2 and each client returns its own plus 1.
    """
    strategy = FedBiscuit(selectors=3, warmup_rounds=0, server_step="paper")
    found, _, _ = run(strategy, Toy(SIX, losses=TASTES, trained=plus_one), 1, 6, selectors=3)
    assert found == pytest.approx([0 + 1 / 3, 1 + 1 / 3, 2 + 1 / 3])


def test_the_normalised_step_is_whole() -> None:
    """The same round moves each selector by 1."""
    strategy = FedBiscuit(selectors=3, warmup_rounds=0, server_step="normalised")
    found, _, _ = run(strategy, Toy(SIX, losses=TASTES, trained=plus_one), 1, 6, selectors=3)
    assert found == [1, 2, 3]


def test_the_warm_up_is_whole_in_the_paper_too() -> None:
    """Round 1 of U = 2, R_pre = 1 moves selector 0 by 1 and leaves the other."""
    strategy = FedBiscuit(selectors=2, warmup_rounds=1, server_step="paper")
    found, _, _ = run(strategy, Toy(SIX, trained=plus_one), 1, selectors=2)
    assert found == [1, 1]


def test_a_selector_without_clients_in_the_cohort_stays() -> None:
    """One client of six trains: one selector moves."""
    strategy = FedBiscuit(selectors=3, warmup_rounds=0)
    toy = Toy(SIX, losses=TASTES, trained=plus_one)
    found, records, _ = run(strategy, toy, 1, 1, selectors=3)
    own = OWN[records[0].cohort[0]]
    assert found == [u + (u == own) for u in range(3)]


def test_clients_validate_their_own_selector() -> None:
    """After the grouping each client gets its cluster's only; the losses are 1 for everybody."""
    strategy, toy = FedBiscuit(selectors=3, warmup_rounds=0), Toy(SIX, losses=TASTES)
    _, records, _ = run(strategy, toy, 1, 2, selectors=3, evaluate_every=1)
    assert toy.rounds("evaluate")[1] == {client: (u,) for client, u in OWN.items()}
    assert records[0].metrics["validation_loss"] == 1.0


# ------------------------------------------------------------------------------------------ IFCA


def test_ifca_sends_all_selectors_after_the_warm_up() -> None:
    """U = 3, R_pre = 1; each client trains the one with its lowest loss, without any balance."""
    strategy, toy = Ifca(selectors=3, warmup_rounds=1), Toy(SIX, losses={
        **TASTES, "c2": [3.0, 1.0, 2.0], "c3": [3.0, 1.0, 2.0]}, trained=plus_one)
    found, records, _ = run(strategy, toy, 4, 6, selectors=3)
    for record in records:
        received = (record.server_round - 1,) if record.server_round <= 3 else (0, 1, 2)
        assert toy.rounds()[record.server_round] == dict.fromkeys(SIX, received)
    assert strategy.grouping == {1: 1, 2: 1, 3: 1, 4: 1, 5: 2, 6: 2}
    # One step each in the warm-up; in round 4 selectors 1 and 2 are trained, 0 by nobody.
    assert found == [1, 3, 4]


def test_ifca_costs_more_bytes_down() -> None:
    """A selector of 4 float32 is 16 bytes: 6 clients x 16 in warm-up, x 48 afterwards."""
    _, _, grid = run(Ifca(selectors=3, warmup_rounds=0), Toy(SIX, losses=TASTES), 1, 6, selectors=3)
    assert grid.costs["train"].down == 6 * 48
    _, _, grid = run(FedBiscuit(selectors=3, warmup_rounds=0), Toy(SIX, losses=TASTES), 1, 6,
                     selectors=3)
    assert grid.costs["train"].down == 6 * 16


def test_ifca_places_every_client_in_the_end() -> None:
    """Also who was never drawn; c0 does not answer and keeps its choice, c1 has nothing to ask on
    and stays without one.
    """
    toy = Toy({**SIX, "c1": (10, 0, 5)}, losses=TASTES, failing={"c0"})
    strategy = Ifca(selectors=3, warmup_rounds=0)
    strategy.grouping = {1: 2, 6: 0}
    strategy.place_clients(to_arrays(bank(3)), toy.grid(), 2)
    assert strategy.grouping == {1: 2, 3: 0, 4: 0, 5: 2, 6: 2}
    assert "c1" not in {seen.client for seen in toy.seen}


@pytest.mark.parametrize(("strategy", "least"), [
    (FedBis(), 1), (LocalOnly(), 1), (FedBiscuit(selectors=3, warmup_rounds=2), 7),
    (FedBiscuit(selectors=3, warmup_rounds=0), 1), (Ifca(selectors=2, warmup_rounds=4), 9)])
def test_least_rounds(strategy: SelectorStrategy, least: int) -> None:
    """U R_pre rounds of warm-up and one more; strategies without a warm-up need one."""
    assert strategy.least_rounds() == least


# ----------------------------------------------------------------------------------- StepMatched


@pytest.mark.parametrize(("server_step", "rounds", "expected"), [
    ("normalised", 3, 3.0),
    ("paper", 1, 1.0),                 # the warm-up is whole
    ("paper", 3, 1 + 2 * 4 / (3 * 6)),  # then A/(U M) = 4/18 a round
])
def test_step_matched_rates(server_step: str, rounds: int, expected: float) -> None:
    """Each client adds 1, so the value is the sum of the rates. A = 4, U = 3, M = 6."""
    strategy = StepMatchedFedBis(selectors=3, warmup_rounds=1, server_step=server_step)
    found, _, _ = run(strategy, Toy(SIX, trained=plus_one), rounds, 4)
    assert found == pytest.approx([expected])


def test_step_matched_moves_as_fedbiscuit_does_on_average() -> None:
    """Every client adds 1 to what it gets. Over 60 clustered rounds of A = 2 of M = 6 clients, a
    FedBiscuit selector moves by sum over its clients of 1/6, in the mean over selectors exactly
    A/(U M) = 2/18 a round; so does the control.
    """
    toy = Toy(SIX, losses=TASTES, trained=plus_one)
    biscuit, _, _ = run(FedBiscuit(selectors=3, warmup_rounds=0, server_step="paper",
                                   regroup_every=100), toy, 60, 2, selectors=3)
    control, _, _ = run(StepMatchedFedBis(selectors=3, warmup_rounds=0, server_step="paper"),
                        Toy(SIX, trained=plus_one), 60, 2)
    assert np.mean(np.array(biscuit) - [0, 1, 2]) == pytest.approx(60 * 2 / 18, rel=1e-5)
    assert control[0] == pytest.approx(60 * 2 / 18, rel=1e-5)


# ------------------------------------------------------------------------------------- LocalOnly


def test_local_only_shares_nothing() -> None:
    """Client m gets selector m - 1 and no other; its value is how often it was drawn."""
    toy = Toy(SIX, trained=plus_one)
    strategy = LocalOnly()
    found, records, _ = run(strategy, toy, 5, 3, selectors=strategy.count(6), evaluate_every=5)
    assert strategy.count(6) == 6
    for received in (*toy.rounds().values(), *toy.rounds("evaluate").values()):
        assert all(selectors == (int(client[1:]),) for client, selectors in received.items())
    drawn = [sum(f"c{i}" in record.cohort for record in records) for i in range(6)]
    assert found == [i + times for i, times in enumerate(drawn)]


# ------------------------------------------------------------------------------------------- all


@pytest.mark.parametrize("strategy", [
    FedBis(), FedBiscuit(selectors=3, warmup_rounds=1), Ifca(selectors=3, warmup_rounds=1),
    StepMatchedFedBis(), LocalOnly()], ids=lambda s: type(s).__name__)
def test_a_client_whose_reply_is_rejected_changes_nothing(strategy: SelectorStrategy) -> None:
    """A run with c5 always failing equals, in every selector, one in which it returns NaN."""
    def spoilt(client: str, server_round: int, adapter: np.ndarray) -> np.ndarray:
        return adapter + np.float32(np.nan if client == "c5" else 1)

    count = strategy.count(6)
    sent = {**TASTES, "c5": [1.0, 1.0, 1.0, 1.0, 1.0, 0.0]} if count == 3 else {}
    found, records, _ = run(strategy, Toy(SIX, losses=sent, trained=spoilt), 5, 6, selectors=count)
    assert all([r.client_id for r in record.rejected] == ["c5"] for record in records)
    assert np.isfinite(found).all()


@pytest.mark.parametrize(("make", "message"), [
    (lambda: FedBis(weights="equal"), "strategy.weights must be one of uniform, size, got 'equal'"),
    (lambda: FedBiscuit(selectors=0), "strategy.selectors must be at least 1, got 0"),
    (lambda: FedBiscuit(warmup_rounds=-1), "strategy.warmup_rounds must be at least 0, got -1"),
    (lambda: FedBiscuit(regroup_every=0), "strategy.regroup_every must be at least 1, got 0"),
    (lambda: FedBiscuit(grouping="best"), "strategy.grouping must be one of optimal.*'best'"),
    (lambda: FedBiscuit(server_step="half"), "strategy.server_step must be one of.*'half'"),
    (lambda: Ifca(selectors=0), "strategy.selectors must be at least 1"),
    (lambda: StepMatchedFedBis(server_step="half"), "strategy.server_step must be one of.*'half'"),
])
def test_wrong_settings(make: object, message: str) -> None:
    """The message names the key, the value and what it may be."""
    with pytest.raises(ConfigError, match=message):
        make()  # type: ignore[operator]
