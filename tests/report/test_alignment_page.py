"""The page of a run whose judge predicts shares of opinion."""

from pathlib import Path

from made_runs import make_run, put, settings, write_text

from fedrlhf.report.artifacts import Artifacts, read_artifacts
from fedrlhf.report.page import page_of
from fedrlhf.report.verdict import verdict

GAIN = {"alignment.unseen_gain": 0.06, "alignment.unseen_gain_low": 0.02,
        "alignment.unseen_gain_high": 0.1}


def predicted(path: Path, results: dict[str, float]) -> Artifacts:
    """Make a run of two groups, "in" that trained and "out" that did not."""
    stages = ["partition", "select", "evaluate"]
    run = make_run(path, "evaluate", config=settings(
        run__stages=stages, partition__unseen=["out"],
        objective___target_="fedrlhf.objectives.predictor.Predictor"))
    put(path / "results.json", results)
    put(path / "partition/population.json", {"shards": [
        {"client_id": "in", "sizes": {"train": 4, "validation": 2, "test": 2}},
        {"client_id": "out", "sizes": {"train": 0, "validation": 2, "test": 2}}]})
    put(path / "evaluate/clients.json", [
        {"client_id": "in", "alignment": [0.8, 0.9], "alignment_uniform": [0.7, 0.7]},
        {"client_id": "out", "alignment": [0.5, 0.6], "alignment_uniform": [0.6, 0.7]}])
    row = ('{{"server_round": {n}, "cohort": ["in"], "client_validation": {{"in": '
           '{{"alignment_score": {score}}}, "out": {{"alignment_score": 0.1}}}}}}\n')
    write_text(path / "select/rounds.jsonl",
               row.format(n=2, score=0.5) + row.format(n=4, score=0.7))
    return read_artifacts(run)


def test_scores_are_drawn_along_the_rounds_and_at_the_groups(tmp_path: Path) -> None:
    """The curve is over the group that trains: 0.5 in round 2, 0.7 in round 4.

    "out" has 0.55 where equal shares have 0.65.
    """
    page = page_of(predicted(tmp_path, GAIN))
    assert "0.500 in round 2, 0.700 in round 4" in page
    assert "Worse than equal shares at out." in page
    assert "Served without training (partition.unseen): out." in page
    assert "Never drawn to train" not in page


def test_no_command_asks_the_server_to_label(tmp_path: Path) -> None:
    """The server has no person's answers: label and align are not missing from such a run."""
    page = page_of(predicted(tmp_path, GAIN))
    assert "Left out of this run" not in page


def test_the_verdict_says_what_the_interval_allows(tmp_path: Path) -> None:
    """An interval without 0 shows a difference; one with 0 shows none."""
    assert verdict(predicted(tmp_path / "a", GAIN)) == (
        "The shares of unseen groups are predicted better than by equal shares "
        "(+0.060 [+0.020,\N{NO-BREAK SPACE}+0.100] of the alignment score).")
    doubtful = GAIN | {"alignment.unseen_gain_low": -0.01}
    assert verdict(predicted(tmp_path / "b", doubtful)) == (
        "The shares of unseen groups are not shown to be predicted better than by equal shares.")
