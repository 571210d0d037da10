"""Comments on forum posts: the higher score wins, posts stay with one client."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from fixtures.make import shp_rows

from fedrlhf.config.schema import Partition
from fedrlhf.data import shp
from fedrlhf.data.partition import partition
from fedrlhf.data.shp import ShpSource
from fedrlhf.errors import ConfigError, DataError

FIXTURE = Path(__file__).parents[1] / "fixtures/shp"
# The values of the data set's card: A has 340 votes, B 166, and `labels` is 1.
ROW: dict[str, Any] = {
    "post_id": "qt3nxl", "domain": "askculinary_train", "upvote_ratio": 0.98, "history": "How?",
    "c_root_id_A": "a", "c_root_id_B": "b", "created_at_utc_A": 1, "created_at_utc_B": 2,
    "score_A": 340, "score_B": 166, "human_ref_A": "Like this.", "human_ref_B": "No idea.",
    "labels": 1, "seconds_difference": 1.0, "score_ratio": 2.0}


def source(path: Path, ratio: float | None = None, most: int | None = None) -> ShpSource:
    """Name preferences on this machine."""
    return ShpSource(str(path), None, "train", None, min_score_ratio=ratio, max_per_post=most)


def written(folder: Path, rows: Iterable[dict[str, Any]]) -> Path:
    """Write JSON lines."""
    path = folder / "train.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.mark.parametrize(("label", "a", "b", "chosen"), [
    (1, 340, 166, "Like this."), (0, 166, 340, "No idea.")])
def test_the_higher_score_is_chosen(tmp_path: Path, label: int, a: int, b: int,
                                    chosen: str) -> None:
    """1 means A, 0 means B; the chosen comment is the one with more votes."""
    row = {**ROW, "labels": label, "score_A": a, "score_B": b}
    pair, = source(written(tmp_path, [row])).preferences()
    assert pair.chosen == chosen
    assert (pair.prompt, pair.client_id, pair.tie) == ("How?", "", False)
    assert pair.columns == {"domain": "askculinary", "post_id": "qt3nxl", "score_ratio": 2.0,
                            "upvote_ratio": 0.98}


def test_inverted_labels_are_noticed(tmp_path: Path) -> None:
    """A label against the scores is no preference; a file of such rows is refused."""
    found = source(written(tmp_path, [ROW, {**ROW, "labels": 0}]))
    assert len(found.preferences()) == 1
    assert found.left_out == {shp.CONTRADICTION: 1}
    with pytest.raises(DataError, match="no usable row: .*contradicts the scores.: 1"):
        source(written(tmp_path, [{**ROW, "labels": 0}])).preferences()


def test_facts_of_the_fixture() -> None:
    """A folder as on the hub: three forums, 30 posts each, two rows a post; answers win."""
    found = source(FIXTURE)
    pairs = found.preferences()
    assert len(pairs) == 180
    assert {pair.columns["domain"] for pair in pairs} == {"askculinary", "legaladvice",
                                                          "askscience"}
    assert not {pair.chosen for pair in pairs} & {pair.rejected for pair in pairs}
    assert found.left_out == {}


def test_limits_are_counted(tmp_path: Path) -> None:
    """Of five rows of a post one has a ratio below 2; of the others the first three are kept."""
    rows = [{**ROW, "score_ratio": ratio, "human_ref_A": str(ratio)} for ratio in (3, 1.5, 4, 5, 6)]
    found = source(written(tmp_path, rows), ratio=2.0, most=3)
    assert [pair.chosen for pair in found.preferences()] == ["3", "4", "5"]
    assert found.left_out == {shp.WEAK: 1, shp.MANY: 1}
    with pytest.raises(ConfigError, match="max_per_post must be at least 1, got 0"):
        source(FIXTURE, most=0)


def test_a_post_has_one_domain(tmp_path: Path) -> None:
    """The same text on a second forum is left out, or it could not be given to one client."""
    rows = [ROW, {**ROW, "domain": "asklegal_train"}, {**ROW, "domain": "odd"}]
    found = source(written(tmp_path, rows))
    assert [pair.columns["domain"] for pair in found.preferences()] == ["askculinary"]
    assert found.left_out == {shp.SECOND_DOMAIN: 2}


@pytest.mark.parametrize(("change", "words"), [
    ({"labels": 2}, r"labels is 2: must be 1 \(A is preferred\) or 0"),
    ({"labels": None}, "labels is missing"), ({"score_A": "many"}, "score_A is 'many'"),
    ({"human_ref_B": None}, "human_ref_B is missing"), ({"history": " "}, "history is ' '"),
    ({"domain": None}, "domain is missing"), ({"score_ratio": None}, "score_ratio is missing")])
def test_bad_rows_are_named(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    """The message has the line and the field."""
    with pytest.raises(DataError, match=f"line 2: {words}"):
        source(written(tmp_path, [ROW, {**ROW, **change}])).preferences()


@pytest.mark.parametrize("clients", [200, 300])
def test_posts_are_disjoint_between_hundreds_of_clients(tmp_path: Path, clients: int) -> None:
    """Dirichlet(0.3) over 18 forums gives each post, with all its rows, to one client."""
    rows = (row for forum in range(18) for row in shp_rows(f"forum{forum}", "train", 250))
    pairs = source(written(tmp_path, rows)).preferences()
    assert len(pairs) == 18 * 250 * 2
    population = partition(pairs, Partition(
        by="dirichlet", column="domain", alpha=0.3, clients=clients, min_pairs=2,
        disjoint_prompts=True), seed=0)
    posts = [{str(pair.prompt) for pair in shard.preferences} for shard in population.shards]
    assert len(posts) == clients
    assert sum(map(len, posts)) == len(set().union(*posts)) == 18 * 250
    assert sum(len(shard.preferences) for shard in population.shards) == len(pairs)
