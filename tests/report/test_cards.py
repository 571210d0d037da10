"""Model cards beside the adapters."""

from pathlib import Path

import pytest
import yaml
from made_runs import CLIENTS, EVIL, make_run, settings

from fedrlhf.report.cards import on_hub, write_cards


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
