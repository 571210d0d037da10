"""The stage `partition` on every published form: shards, and what the source left out."""

import json
from pathlib import Path
from typing import Any

import pytest

import fedrlhf

FIXTURES = Path(__file__).parents[1] / "fixtures"
DIRICHLET = ("partition.by=dirichlet", "partition.column=domain", "partition.clients=20",
             "partition.disjoint_prompts=true", "partition.min_pairs=2")


@pytest.mark.parametrize(("name", "path", "more", "clients", "pairs", "left_out"), [
    ("tldr_comparisons", "tldr_comparisons", (), 5, 80, {"comparisons_of_another_split": 16}),
    ("shp", "shp", DIRICHLET, 20, 180, {}),
    ("ultrafeedback", "ultrafeedback", ("data.pairs_per_client=20",), 12, 240,
     {"completions_without_a_rating_of_every_aspect": 6,
      "pairs_of_completions_with_equal_texts_or_ratings": 6}),
    ("prism", "prism/conversations.jsonl", (), 5, 96,
     {"turns_without_exactly_one_chosen_response": 1}),
    ("chatbot_arena", "chatbot_arena", (), 5, 77, {"rows_that_differ_before_the_last_turn": 3}),
])
def test_every_source_gives_shards(name: str, path: str, more: tuple[str, ...], clients: int,
                                   pairs: int, left_out: dict[str, int], tmp_path: Path,
                                   capsys: pytest.CaptureFixture[str]) -> None:
    """The index and the message say how many pairs there are and what is not among them."""
    fedrlhf.run([f"data={name}", f"data.path={FIXTURES / path}", *more, "runtime.engine=local",
                 "run.stages=[partition]", f"run.dir={tmp_path / 'run'}"])
    index: dict[str, Any] = json.loads(
        (tmp_path / "run/partition/population.json").read_text())
    assert (len(index["shards"]), index["summary"]["pairs"]) == (clients, pairs)
    counts = {key: count for key, count in index["counts"].items()
              if not key.startswith("clients_")}
    assert counts == left_out == {
        key: count for key, count in index["summary"]["counts"].items() if key in counts}
    message = "".join(capsys.readouterr())
    words = ", ".join(f"{key.replace('_', ' ')} ({count})" for key, count in left_out.items())
    assert (f"{pairs} pairs; left out: {words}" if words else f"{pairs} pairs\n") in message
