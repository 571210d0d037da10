"""Model cards beside the adapters."""

from pathlib import Path

import pytest
import yaml
from made_runs import CLIENTS, EVIL, make_run, put, settings

from fedrlhf.report.card import on_hub
from fedrlhf.report.cards import write_cards


def test_cards_beside_every_adapter(tmp_path: Path) -> None:
    """Two selectors and the tutor."""
    run = make_run(tmp_path / "run")
    assert [path.relative_to(run.path).as_posix() for path in write_cards(run)] == [
        "select/selector_0/README.md", "select/selector_1/README.md", "align/policy/README.md"]


def test_a_selectors_card(tmp_path: Path) -> None:
    """Numbers on federation, data and evaluation; what left the clients; how to load it."""
    run = make_run(tmp_path / "run")
    card = write_cards(run)[0].read_text("utf-8")
    head = yaml.safe_load(card.split("---")[1])
    assert (head["library_name"], head["pipeline_tag"]) == ("peft", "text-classification")
    assert "base_model" not in head  # the embedded model is on no hub
    for line in ("| strategy | FedBiscuit |", "| rounds | 4 |", "| updates not used | 4 |",
                 "| clients that use this one | 2 |", "| preference pairs | 340 |",
                 "| agreement of this selector alone | 0.700 |"):
        assert line in card
    assert "No differential privacy and no secure aggregation was applied." in card
    assert 'PeftModel.from_pretrained(base, "select/selector_0")' in card
    assert 'logits of " A" and " B"' in card


def test_a_tutors_card(tmp_path: Path) -> None:
    """DPO's settings and the tutor's results; a base model on the hub is named in the head."""
    config = settings(tutor__model={"path": "some-lab/base-1b", "revision": "v2"})
    card = write_cards(make_run(tmp_path / "run", config=config))[-1].read_text("utf-8")
    head = yaml.safe_load(card.split("---")[1])
    assert head["base_model"] == "some-lab/base-1b"
    assert {"dpo", "federated-learning"} <= set(head["tags"])
    assert "| labelled pairs | 10 |" in card
    assert "| gain in true utility | +0.620  [+0.410, +0.830] |" in card
    assert 'place = "some-lab/base-1b"' in card
    assert 'from_pretrained(place, revision="v2")' in card


@pytest.mark.parametrize(("objective", "told"), [
    ("dpo.Dpo", "by direct preference optimisation of their own preferences"),
    ("sft.Sft", "by supervised fine-tuning on the answers that they preferred"),
    ("mine.Mine", "on their own preferences")])
def test_a_federated_tutors_card(objective: str, told: str, tmp_path: Path) -> None:
    """The stage rlhf made the policy: what its clients did, and no word of selectors or DPO's."""
    config = settings(objective={"_target_": f"fedrlhf.objectives.{objective}", "beta": 0.25})
    run = make_run(tmp_path / "run", "partition", config=config)
    put(run.path / "rlhf" / "stage.json", {"status": "done"})
    put(run.path / "sft" / "stage.json", {"status": "done"})
    put(run.path / "sft" / "summary.json", {"demonstrations": 50, "steps": 7})
    path, = write_cards(run)
    card = path.read_text("utf-8")
    assert path == run.path / "rlhf/policy/README.md"
    assert f"A LoRA adapter that clients trained, round by round, {told}." in card
    assert "| supervised fine-tuning before | demonstrations: 50, steps: 7 |" in card
    assert "| beta | 0.25 |" in card
    assert "optimised for what its clients preferred" in card and "selector" not in card


def test_a_fine_tuned_tutors_card(tmp_path: Path) -> None:
    """After sft alone no client took part, and the card does not say that one did."""
    run = make_run(tmp_path / "run", "partition", config=settings(
        sft={"learning_rate": 0.0002}), results={})
    put(run.path / "sft" / "stage.json", {"status": "done"})
    put(run.path / "sft" / "summary.json", {"demonstrations": 50, "steps": 7})
    put(run.path / "results.json", {"policy.utility_gain": 0.5, "policy.utility_gain_low": 0.2,
                                    "policy.utility_gain_high": 0.8})
    path, = write_cards(run)
    card = path.read_text("utf-8")
    assert path == run.path / "sft/policy/README.md"
    assert yaml.safe_load(card.split("---")[1])["tags"] == ["fedrlhf", "lora", "sft", "trl"]
    assert "| supervised fine-tuning | demonstrations: 50, steps: 7 |" in card
    assert "| learning rate | 0.0002 |" in card
    assert "After supervised fine-tuning the tutor's true utility rose by +0.50" in card
    assert "No client took part." in card
    for untrue in ("Flower", "DPO", "What left the clients", "preference pairs", "selector"):
        assert untrue not in card


def test_a_base_that_runs_code_or_is_quantised_is_named(tmp_path: Path) -> None:
    """Whoever loads the adapter learns that the base executes its own Python, and of 4 bits."""
    config = settings(tutor__model={"path": "some-lab/base-1b", "trust_remote_code": True,
                                    "quantization": "nf4"})
    cards = [path.read_text("utf-8") for path in write_cards(
        make_run(tmp_path / "run", config=config))]
    assert "trust_remote_code" in cards[-1] and "trust_remote_code" not in cards[0]
    assert "| base model during training | quantised, nf4 |" in cards[-1]
    assert "quantised" not in cards[0]


def test_cards_hold_nothing_that_clients_wrote(tmp_path: Path) -> None:
    """No client id, no prompt, no answer, no place on this machine."""
    run = make_run(tmp_path / "run")
    for path in write_cards(run):
        card = path.read_text("utf-8")
        assert EVIL not in card
        assert CLIENTS[1] not in card
        assert str(tmp_path) not in card


def test_a_runs_name_makes_no_markup(tmp_path: Path) -> None:
    """Marks and line breaks in a name are text."""
    run = make_run(tmp_path / "run", "select", config=settings(run__name="a\n# [b](c)|<i>"))
    card = write_cards(run)[0].read_text("utf-8")
    assert "\n# a \\# \\[b\\](c)\\|\\<i\\>: selector 0\n" in card


def test_cards_before_evaluation(tmp_path: Path) -> None:
    """A run without results says so, a run without adapters has no card."""
    card = write_cards(make_run(tmp_path / "one", "select"))[0].read_text("utf-8")
    assert "The run has not been evaluated." in card
    assert write_cards(make_run(tmp_path / "two", "partition")) == []


@pytest.mark.parametrize(("path", "found"), [
    ("org/name", True), ("tiny_tutor", False), ("/abs/model", False), ("./a/b", False),
    ("~/model", False), ("gpt2", False), ("a/b/c", False)])
def test_names_on_the_hub(path: str, found: bool) -> None:
    """Owner and name; everything else is or may be a folder."""
    assert on_hub(path) is found
