"""A run on ratings alone: what is predicted, what leaves the clients, what page and card say."""

import json
from pathlib import Path

import pytest

import fedrlhf
from fedrlhf.files import read_json

pytestmark = pytest.mark.slow

GOOD, BAD = "Think of the middle, for example of 3.", "No idea."


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run KTO on three clients that like one answer; the third one likes everything."""
    folder = tmp_path_factory.mktemp("ratings")
    rows = [{"client_id": name, "prompt": f"Question {name} {i}?",
             "completion": GOOD if i % 2 or name == "c" else BAD,
             "label": bool(i % 2) or name == "c"} for name in "abc" for i in range(16)]
    (folder / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return fedrlhf.run([
        "data=jsonl", f"data.path={folder / 'mine.jsonl'}", "objective=kto", "strategy=fedbis",
        "run.stages=[partition,rlhf,evaluate]", "partition.test=0.4", "rlhf.rounds=1",
        "rlhf.clients_per_round=3", "objective.local_steps=4", "objective.learning_rate=2e-3",
        "runtime.engine=local", f"run.dir={folder / 'run'}"]).path


def test_results(run: Path) -> None:
    """6 of 16 prompts a client are held out; the one answer is told from the other."""
    results = read_json(run / "results.json")
    assert (results["ratings.held_out"], results["ratings.clients"]) == (18, 3)
    assert results["ratings.clients_one_label"] >= 1
    assert results["ratings.auc_within"] > 0.9
    assert results["ratings.log_loss_link"] < results["ratings.log_loss_person_rate"]
    assert not any(name.startswith("policy.agreement") for name in results)


def test_only_sums_leave_the_clients(run: Path) -> None:
    """The file of the server has numbers and client ids, and no text of anybody."""
    clients = read_json(run / "evaluate" / "ratings.json")["clients"]
    assert [row.pop("client_id") for row in clients] == ["a", "b", "c"]
    for row in clients:
        assert all(isinstance(value, float | list) for value in row.values())
    assert "Question" not in (run / "evaluate" / "ratings.json").read_text()


def test_page_and_card(run: Path) -> None:
    """The section stands on the page, and the card says how the tutor was trained."""
    assert "Ratings of single completions" in (run / "report.html").read_text()
    assert "each good or bad by itself" in (run / "rlhf" / "policy" / "README.md").read_text()
