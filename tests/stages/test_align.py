"""The small decisions around TRL's DPO."""

import json
from pathlib import Path

import pytest

from fedrlhf.stages.training import (
    last_checkpoint,
    remove_broken_checkpoints,
    snapshot_steps,
    steps_of,
)


@pytest.mark.parametrize(("pairs", "batch", "epochs", "limit", "steps"), [
    (100, 16, 1.0, None, 7),    # ceil(100 / 16) = 7
    (96, 16, 2.0, None, 12),
    (96, 16, 0.5, None, 3),
    (5, 16, 0.5, None, 1),      # never none
    (100, 16, 1.0, 3, 3),
])
def test_steps(pairs: int, batch: int, epochs: float, limit: int | None, steps: int) -> None:
    """Epochs times batches, the last one short; max_steps wins."""
    assert steps_of(pairs, batch, epochs, limit) == steps


def test_snapshots_are_even_and_hold_the_last_step() -> None:
    """Four of 44 steps: every eleventh; more snapshots than steps: each step once."""
    assert snapshot_steps(44, 4) == [11, 22, 33, 44]
    assert snapshot_steps(3, 8) == [1, 2, 3]
    assert snapshot_steps(10, 3) == [3, 7, 10]


def test_a_half_written_checkpoint_is_passed_over(tmp_path: Path) -> None:
    """The trainer writes trainer_state.json last: without it, the folder is no checkpoint."""
    for step, text in ((10, json.dumps({"global_step": 10})), (20, '{"global'), (9, "{}")):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "trainer_state.json").write_text(text)
    (tmp_path / "checkpoint-30").mkdir()
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-10"
    remove_broken_checkpoints(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-10", "checkpoint-9"]
