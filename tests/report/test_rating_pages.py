"""What the page says of held-out ratings."""

from pathlib import Path

import pytest
from made_runs import make_run

from fedrlhf.report.artifacts import read_artifacts
from fedrlhf.report.sections_ratings import ratings


@pytest.mark.parametrize(("low", "value", "high", "said"), [
    (0.22, 0.32, 0.43, True), (0.4, 0.45, 0.55, False), (0.6, 0.7, 0.8, False)])
def test_a_score_that_is_worse_than_chance_is_called_so(
        tmp_path: Path, low: float, value: float, high: float, said: bool) -> None:
    """Where the interval of the AUC within people lies below one half, and only there."""
    run = make_run(tmp_path / "run", results={
        "ratings.held_out": 280.0, "ratings.clients": 83.0, "ratings.population_rate": 0.35,
        "ratings.clients_one_label": 38.0, "ratings.left_out": 0.0, "ratings.gain": 0.003,
        "ratings.gain_low": -0.027, "ratings.gain_high": 0.036, "ratings.auc_within": value,
        "ratings.auc_within_low": low, "ratings.auc_within_high": high})
    (run.path / "results.json").unlink()  # as in a run that stopped before it was written
    notes = ratings(read_artifacts(run)).notes
    assert notes[0].startswith("The score is not shown to add anything to the person's own share")
    assert any("worse than chance" in note for note in notes) is said
