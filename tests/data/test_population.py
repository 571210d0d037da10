"""Populations on disk: what is written is read again, whole or not at all."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrlhf.data.population import (
    Population,
    Shard,
    read_index,
    read_population,
    read_shard,
    write_population,
    write_shard,
)
from fedrlhf.errors import DataError
from fedrlhf.types import PreferencePair, Rating, Turn

PAIR = PreferencePair("p", "a", "b", "u", "s")
TALK = (Turn(role="user", content="Hi"), Turn(role="assistant", content="Yo"),
        Turn(role="user", content="?"))

texts = st.text(max_size=8)
turns = st.builds(Turn, role=st.sampled_from(["user", "assistant"]), content=texts)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | texts, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4)
any_pair = st.builds(
    PreferencePair, prompt=texts | st.lists(turns, min_size=1, max_size=3).map(tuple),
    chosen=texts, rejected=texts, client_id=texts, source=texts,
    weight=st.floats(0.1, 10), tie=st.booleans(), chosen_first=st.none() | st.booleans(),
    columns=st.dictionaries(texts, json_values, max_size=2))
some_pairs = st.lists(any_pair, max_size=2).map(tuple)
populations = st.dictionaries(
    texts, st.tuples(some_pairs, some_pairs, some_pairs).filter(any), max_size=3).map(
        lambda shards: Population(
            tuple(Shard(name, *shards[name]) for name in sorted(shards)), {"clients_x": 1}))


def small(*names: str) -> Population:
    """Make clients that differ by their names only."""
    return Population(tuple(Shard(name, (PAIR,), (), (PAIR,)) for name in sorted(names)))


@settings(max_examples=50)
@given(population=populations)
def test_round_trip(population: Population, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Any population is equal after writing and reading, whatever characters it holds."""
    folder = tmp_path_factory.mktemp("population")
    write_population(folder, population, {"clients": len(population.shards)})
    assert read_population(folder) == population


def test_types_after_reading(tmp_path: Path) -> None:
    """A conversation is a tuple of turns again and a text stays a text."""
    talk = PreferencePair(TALK, "a", "b", "u", "s", weight=0.1)
    write_population(tmp_path, Population((Shard("u", (PAIR,), (talk,), ()),)), {})
    shard = read_shard(tmp_path / "shards/0000.jsonl")
    assert shard.train[0].prompt == "p"
    assert shard.validation == (talk,)
    assert isinstance(shard.validation[0].prompt, tuple)


def test_a_site_reads_its_own_file_alone(tmp_path: Path) -> None:
    """The file, moved away and renamed, is all that a client needs."""
    population = small("anna", "bert")
    write_population(tmp_path / "run", population, {})
    (tmp_path / "run/shards/0001.jsonl").rename(tmp_path / "mine.jsonl")
    assert read_shard(tmp_path / "mine.jsonl") == population.shards[1]


def test_the_index_holds_names_and_numbers(tmp_path: Path) -> None:
    """Client ids of any characters never name a file; no preference is in the index."""
    names = ("../../etc", "a/b", "Zoë \u2028\x00", "")
    write_population(tmp_path, small(*names), {"clients": 4})
    index = read_index(tmp_path)
    assert [entry.client_id for entry in index.shards] == sorted(names)
    assert [entry.file for entry in index.shards] == [f"shards/000{n}.jsonl" for n in range(4)]
    assert index.shards[0].sizes == {"train": 1, "validation": 0, "test": 1}
    assert index.shards[0].ties == 0
    assert index.summary == {"clients": 4}
    assert sorted(path.name for path in tmp_path.rglob("*.jsonl")) == [
        f"000{n}.jsonl" for n in range(4)]
    assert '"chosen"' not in (tmp_path / "population.json").read_text()


def test_writing_again_leaves_no_old_shard(tmp_path: Path) -> None:
    """Three clients become one: two files go, other files of the folder stay."""
    (tmp_path / "metrics.jsonl").write_text("{}")
    write_population(tmp_path, small("a", "b", "c"), {})
    write_population(tmp_path, small("b"), {})
    assert read_population(tmp_path) == small("b")
    assert [path.name for path in (tmp_path / "shards").iterdir()] == ["0000.jsonl"]
    assert (tmp_path / "metrics.jsonl").exists()


def test_a_failed_write_leaves_no_index(tmp_path: Path) -> None:
    """A pair that JSON cannot hold stops the write; nothing says that the population is whole."""
    bad = PreferencePair("p", "a", "b", "u", "s", columns={"x": {1}})
    write_population(tmp_path, small("a"), {})
    with pytest.raises(DataError, match="of 'u' cannot be written"):
        write_population(tmp_path, Population((Shard("u", (bad,), (), ()),)), {})
    with pytest.raises(DataError, match="no index of a population"):
        read_index(tmp_path)


@pytest.mark.parametrize(("change", "message"), [
    ({"split": "dev"}, "line 1: split is 'dev': must be one of train, validation, test"),
    ({"shard": None}, "line 1: shard is missing"),
    ({"colour": 1}, "no preference"),
    ({"prompt": 3}, "no preference"),
    ({"prompt": [{"role": "user"}]}, "no preference"),
    ({"shard": "v"}, r"must hold the pairs of one client, it has those of \['u', 'v'\]"),
])
def test_broken_shard_files(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    """One line of two is changed by hand."""
    write_population(tmp_path, small("u"), {})
    path = tmp_path / "shards/0000.jsonl"
    first, second = path.read_text().splitlines()
    path.write_text(json.dumps({**json.loads(first), **change}) + "\n" + second)
    with pytest.raises(DataError, match=message):
        read_shard(path)


def test_a_shard_of_another_client_is_refused(tmp_path: Path) -> None:
    """Files that changed places do not pass for the ones that the index describes."""
    write_population(tmp_path, small("a", "b"), {})
    one, other = (tmp_path / f"shards/000{n}.jsonl" for n in range(2))
    one.write_text(other.read_text())
    with pytest.raises(DataError, match="not the shard of 'a'"):
        read_population(tmp_path)


def test_shards_and_their_numbers() -> None:
    """Two pairs train, of which one is a tie; one tests."""
    tie = PreferencePair("p", "a", "b", "u", "s", tie=True)
    shard = Shard("u", (PAIR, tie), (), (PAIR,))
    assert shard.sizes() == {"train": 2, "validation": 0, "test": 1}
    assert shard.ties == 1
    assert shard.preferences == (PAIR, tie, PAIR)
    assert shard.split("train") == (PAIR, tie)


def test_impossible_populations_are_refused() -> None:
    """Empty shards, clients in another order and the same client twice."""
    with pytest.raises(DataError, match="client 'u' has no preferences"):
        Shard("u", (), (), ())
    for names in (("b", "a"), ("a", "a")):
        with pytest.raises(DataError, match="distinct and sorted"):
            Population(tuple(Shard(name, (PAIR,), (), ()) for name in names))


def test_ratings_stand_beside_pairs_in_a_shard_and_are_read_back(tmp_path: Path) -> None:
    """A rating has a completion and a value; a tie says nothing, as of a pair."""
    rating = Rating("q", "an answer", 0.75, "ann", "s", weight=0.5, columns={"topic": "t"})
    tie = Rating("q", "another", 0.5, "ann", "s")
    shard = Shard("ann", (rating, PAIR), (tie,), ())
    write_shard(tmp_path / "s.jsonl", shard)

    assert read_shard(tmp_path / "s.jsonl") == shard
    assert (rating.desirable, tie.desirable, tie.tie, shard.ties) == (True, False, True, 1)


def test_a_rating_that_is_no_probability_is_refused() -> None:
    with pytest.raises(ValueError, match=r"between 0 and 1, got 1\.5"):
        Rating("q", "an answer", 1.5, "ann", "s")
