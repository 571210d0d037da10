"""The source of simulated traces: what it gives, what it leaves out, and what it refuses."""

from typing import Any

import pytest

from fedrlhf.config import build, load
from fedrlhf.data.traces.drafts import KINDS
from fedrlhf.data.traces.reading import read_events, write_events
from fedrlhf.data.traces.source import TracesSource
from fedrlhf.data.tutor.traced import TutorTracesSource
from fedrlhf.errors import ConfigError, DataError
from fedrlhf.types import only_pairs, only_ratings


def source(*overrides: str) -> TutorTracesSource:
    """Return six students in two groups with sixty rows each."""
    config = load(["data=tutor_traces", "data.clients=6", "data.groups=2",
                   "data.turns_per_client=60", *overrides])
    made = build(config.data, "data")
    assert isinstance(made, TutorTracesSource)
    return made


@pytest.fixture(scope="module")
def made() -> TutorTracesSource:
    """Return the source of the defaults, small."""
    return source()


def test_pairs_and_ratings_of_every_student(made: TutorTracesSource) -> None:
    """Both kinds, each student's own, the same each time; other seeds give others."""
    found = made.preferences()
    assert only_pairs(found)
    assert only_ratings(found)
    assert {one.client_id for one in found} == set(made.truth().groups)
    assert {one.source for one in found} == {"tutor_traces"}
    assert source().preferences() == found != source("data.seed=1").preferences()


def test_every_row_ends_somewhere(made: TutorTracesSource) -> None:
    """Rows that gave a preference and rows that were left out are all rows."""
    made.preferences()
    used = sum(fate in KINDS for user in made.users for fate in user.fates)
    assert used + sum(made.left_out.values()) == 6 * 60


def test_truth_stands_beside_each_pair(made: TutorTracesSource) -> None:
    """The margins are those of the student's own taste and of the mean over students."""
    truth = made.truth()
    for pair in only_pairs(made.preferences()):
        own = [truth.utility_of(pair.client_id, pair.prompt, text)
               for text in (pair.chosen, pair.rejected)]
        every = [truth.utility(pair.prompt, text) for text in (pair.chosen, pair.rejected)]
        assert pair.columns["oracle_margin"] == pytest.approx(own[0] - own[1])
        assert pair.columns["consensus_margin"] == pytest.approx(every[0] - every[1])
        assert pair.columns["group"] == truth.groups[pair.client_id]


def test_the_server_asks_what_no_student_asked(made: TutorTracesSource) -> None:
    """Hints aside, which have a form of their own."""
    prompts = made.instructions()
    server = {*prompts.label, *prompts.evaluate}
    asked = {row.event.context for rows in made.observed.values() for row in rows}
    assert server
    assert not server & asked


def test_the_file_of_a_student_gives_the_same(made: TutorTracesSource, tmp_path: Any) -> None:
    """A site that has one student's rows as a file of data=traces makes the same pairs of it."""
    name = "student_002"
    write_events(tmp_path / f"{name}.jsonl", [row.event for row in made.observed[name]])
    assert not read_events(tmp_path / f"{name}.jsonl")[1]
    config = load(["data=traces", f"data.path={tmp_path}/{name}.jsonl"])
    site = build(config.data, "data")
    assert isinstance(site, TracesSource)
    known = {"group", "oracle_margin", "consensus_margin"}
    own = [one for one in made.preferences() if one.client_id == name]
    assert [(one.prompt, one.weight, one.columns) for one in site.preferences()] == [
        (one.prompt, one.weight, {key: value for key, value in one.columns.items()
                                  if key not in known}) for one in own]


@pytest.mark.parametrize(("key", "value"), [
    ("heterogeneity", -1), ("personal_noise", -1), ("leak_liking", -0.5), ("turns_per_client", 0),
    ("leak_liking", float("nan")),
    ("gaming_share", 1.1), ("label_noise", 0), ("reward_lambda", 2), ("kappa", -1)])
def test_bad_keys_are_refused(key: str, value: float) -> None:
    """The message names the key and the value."""
    with pytest.raises(ConfigError, match=rf"data.{key}.*got {value}"):
        source(f"data.{key}={value}")


def test_no_preference_is_an_error() -> None:
    """One row each says too little."""
    with pytest.raises(DataError, match="none of the 2 simulated rows .* data.turns_per_client"):
        source("data.clients=2", "data.turns_per_client=1", "data.gap=0.99").preferences()
