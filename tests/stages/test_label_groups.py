"""Clients score the server's completions and the server joins the scores, over the local engine."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from flwr.app import RecordDict

from fedrlhf.client_app import app
from fedrlhf.config import load
from fedrlhf.config.label import AGGREGATIONS, Adaptive
from fedrlhf.data.population import Population, Shard, write_population
from fedrlhf.errors import RunFailed
from fedrlhf.evaluation.alignment import fairness_index
from fedrlhf.federation.flower_internals import server_identity
from fedrlhf.federation.local_grid import LocalGrid
from fedrlhf.federation.messages import from_texts, text_bytes, to_texts
from fedrlhf.files import read_json, write_json
from fedrlhf.rewards.aggregate import adaptive_reward, served
from fedrlhf.rewards.shares import completion_shares
from fedrlhf.stages.context import Context, adapter_folder
from fedrlhf.stages.join_groups import joiner
from fedrlhf.stages.label import group_rows
from fedrlhf.stages.label_groups import Joined, joint_rewards, pair_gaps, unlike_the_others
from fedrlhf.tracking.metrics import Metrics
from fedrlhf.tracking.progress import ProgressReport
from fedrlhf.tracking.run_directory import RunDirectory
from fedrlhf.types import CompletionPair, PreferencePair, Prompt, Turn

BATCHES = [[np.random.default_rng(10 * b + q).dirichlet(np.ones(4), size=3) for q in range(5)]
           for b in range(4)]
NAMES = ["ann", "ben", "cy"]


def joined(name: str, change: Callable[[np.ndarray], np.ndarray] = lambda shares: shares,
           names: list[str] = NAMES) -> list[np.ndarray]:
    """Join all batches, each prompt's shares changed first."""
    join = joiner(name, Adaptive())
    return [reward for batch in BATCHES for reward in join(names, [change(s) for s in batch])]


@pytest.mark.parametrize("name", AGGREGATIONS)
def test_one_group_alone_decides(name: str) -> None:
    """With one group the joint order is its own, on every prompt of every batch."""
    for reward, shares in zip(joined(name, lambda s: s[:1], NAMES[:1]),
                              [s for batch in BATCHES for s in batch], strict=True):
        np.testing.assert_array_equal(np.argsort(reward), np.argsort(shares[0]))


@pytest.mark.parametrize("name", AGGREGATIONS)
def test_groups_have_no_order(name: str) -> None:
    """Permuted groups give the same joint rewards, also by their histories."""
    turned = joined(name, lambda s: s[[2, 0, 1]], [NAMES[i] for i in (2, 0, 1)])
    np.testing.assert_allclose(turned, joined(name))


def test_borda_sees_ranks_alone() -> None:
    """A rising function of each group's shares changes no Borda reward, but the mean's."""
    bent = [lambda s: s ** 3, lambda s: np.log(s)]
    for change in bent:
        np.testing.assert_array_equal(joined("borda", change), joined("borda"))
        assert not np.allclose(joined("mean", change), joined("mean"))


def test_served_by_hand() -> None:
    """The joint order a > b > c: the same, its reverse, and one that leaves a and b undecided."""
    rewards = np.array([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0], [2.0, 2.0, 1.0]])
    np.testing.assert_allclose(served(rewards, np.array([0.6, 0.3, 0.1])), [1, 0, 2.5 / 3])


def test_adaptive_follows_the_formula_batch_by_batch() -> None:
    """The first batch is the mean; then h and FI of the batches before decide (threshold 1).

    h is the first batch's alignment, then 0.8 h + 0.2 of each further one.
    """
    settings = Adaptive(threshold=1.0)
    join, history, fairness = joiner("adaptive", settings), np.full(3, 0.5), 1.0
    for number, batch in enumerate(BATCHES):
        expected = [adaptive_reward(s, history.tolist(), fairness, 1.0, 0.1) for s in batch]
        np.testing.assert_allclose(join(NAMES, batch), expected)
        scores = np.stack([served(s, r) for s, r in zip(batch, expected, strict=True)], axis=1)
        fairness = fairness_index(scores, 2)
        now = scores.mean(axis=1)
        history = now if number == 0 else 0.8 * history + 0.2 * now
    np.testing.assert_allclose(joiner("adaptive", settings)(NAMES, BATCHES[0]),
                               joined("mean")[:5])


def test_rows_have_the_gap_and_who_agrees() -> None:
    """Joint .5, .3, .3 and NaN: the gaps are .2, .2, 0; of two groups one agrees with the first."""
    one = Joined(["a", "b"], np.array([[0.6, 0.1, 0.3, -1], [0.2, 0.5, 0.3, -1]]),
                 np.array([0.5, 0.3, 0.3, np.nan]))
    texts = ["w", "x", "y", "z"]
    pairs = [(7, CompletionPair("q", texts[i], texts[j]))
             for i in range(4) for j in range(i + 1, 4)]
    rows = group_rows(pairs, pair_gaps([one]), margin=0.0, conversational=False)
    assert [(row["chosen"], row["rejected"]) for row in rows] == [("w", "x"), ("w", "y")]
    assert [row["log_odds"] for row in rows] == pytest.approx([0.2, 0.2])
    assert [(row["votes"], row["selectors"]) for row in rows] == [(1.0, 2), (1.0, 2)]
    assert rows[0]["selector_log_odds"] == pytest.approx([0.5, -0.3])
    assert group_rows(pairs, pair_gaps([one]), 0.25, conversational=False) == []


def test_who_says_alone_that_something_does_not_fit() -> None:
    """Two of three give a share to each completion; the third is left out."""
    told = {"a": [0.5, 0.5], "b": [0.9, 0.1], "c": [-1.0, -1.0]}
    assert list(unlike_the_others(told)) == ["c"]


# ------------------------------------------------------------------------------ with real clients

ASKED: list[tuple[Prompt, list[str]]] = [
    ("What is recall?", ["A share of 45 in 50.", "No idea.", "What is found of what there is."]),
    ((Turn(role="user", content="Why a mean?"),), ["One number for many.", "Habit."]),
    ("What is bias?", ["A lean to one side.", "An error that stays.", "Noise."])]


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """Return a run whose three clients use two different selectors; batches have two prompts."""
    shards = tuple(Shard(name, *((PreferencePair(f"{split}?", "yes", "no", name, "made"),)
                                 for split in ("train", "validation", "test"))) for name in NAMES)
    write_population(tmp_path / "partition", Population(shards), {})
    overrides = (f"run.dir={tmp_path} label.aggregate=mean label.sampling.batch_prompts=2 "
                 "runtime.engine=local runtime.autocast=off")
    run = RunDirectory(tmp_path)
    made = Context(load(overrides), run, Metrics(tmp_path / "metrics.jsonl"), ProgressReport(),
                   LocalGrid(app, 1, {"overrides": overrides}))
    slot = made.objective.open(made.config).slot
    for index in (0, 1):
        vector = np.random.default_rng(index).normal(0, 0.1, slot.layout.size)
        slot.save(vector.astype(np.float32), adapter_folder(made, index))
    write_json(run.folder("select") / "grouping.json", dict(zip(NAMES, (0, 1, 0), strict=True)))
    return made


def told_directly(context: Context) -> dict[int, np.ndarray]:
    """Return the shares of all completions by each selector."""
    judge, found = context.objective.open(context.config), {}
    for index in (0, 1):
        judge.slot.write(judge.slot.load(adapter_folder(context, index)))
        found[index] = completion_shares(judge, ASKED)
    return found


def test_clients_score_with_their_own_selector_and_a_resumed_stage_equals_a_whole_one(
        context: Context, tmp_path: Path) -> None:
    """Client 1 has selector 1, the others 0: the mean is (2 a + b)/3, prompt by prompt.

    Without its second batch the stage asks for that one again and ends with the same bits.
    """
    folder = tmp_path / "label"
    with server_identity():
        whole = joint_rewards(context, folder, ASKED)
        told = told_directly(context)
        first, second = sorted((folder / "scored").glob("*.json"))
        kept, again = first.stat().st_mtime_ns, read_json(second)["shares"]
        second.unlink()
        resumed = joint_rewards(context, folder, ASKED)
    np.testing.assert_allclose(np.concatenate([one.reward for one in whole]),
                               (2 * told[0] + told[1]) / 3, atol=1e-6)
    assert all(one.groups == NAMES and abs(one.reward.sum() - 1) < 1e-6 for one in whole)
    assert first.stat().st_mtime_ns == kept
    assert read_json(second)["shares"] == again
    for one, other in zip(whole, resumed, strict=True):
        np.testing.assert_array_equal(one.reward, other.reward)
    cost = read_json(folder / "costs.json")["evaluate.score"]
    assert cost["messages"] == 6 and cost["up"] == 3 * 8 * 8  # 8 completions, 8 bytes each


def test_who_fails_is_left_out_and_named_and_too_many_stop_the_run(
        context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of three cannot judge, by select.screen.max_failures=0.5 that will do; two will not."""
    heard: list[str] = []
    monkeypatch.setattr(context.progress, "message", heard.append)
    shards = sorted((tmp_path / "partition" / "shards").glob("*.jsonl"))
    with server_identity():
        assert len(context.clients) == 3
        shards[2].write_text("broken")
        found = joint_rewards(context, tmp_path / "label", ASKED)
        shards[1].write_text("broken")
        with pytest.raises(RunFailed, match="2 of 3 clients did not score"):
            joint_rewards(context, tmp_path / "other", ASKED)
    assert [one.groups for one in found] == [NAMES[:2]] * 3
    assert heard and heard[0].startswith("label: cy was left out of a batch: ")


def test_texts_round_trip_and_are_counted() -> None:
    """Turns stay turns; the bytes are those of prompts (as JSON) and completions in UTF-8."""
    record = to_texts(ASKED)
    assert from_texts(record) == ASKED
    prompts, completions = record["prompts"], record["completions"]
    assert text_bytes(RecordDict({"texts": record})) == sum(
        len(text.encode()) for text in (*prompts, *completions))
