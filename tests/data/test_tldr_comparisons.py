"""Comparisons of summaries: who chose what, in the authors' files and in the hub's."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fedrlhf.data import tldr_comparisons
from fedrlhf.data.tldr_comparisons import TldrComparisonsSource
from fedrlhf.errors import ConfigError, DataError
from fedrlhf.types import PreferencePair

FIXTURE = Path(__file__).parents[1] / "fixtures/tldr_comparisons"
ROW: dict[str, Any] = {
    "info": {"id": "t3_1", "post": "The oven broke.", "title": "Oven", "subreddit": "AskReddit",
             "site": None, "article": None},
    "summaries": [{"text": " Something broke.", "policy": "sup4", "note": None},
                  {"text": " The oven broke.", "policy": "ref", "note": "clear"}],
    "choice": 1, "worker": "w1", "batch": "batch9", "split": "train", "extra": {"confidence": 8}}


def source(path: Path, split: str = "train", limit: int | None = None) -> TldrComparisonsSource:
    """Name comparisons on this machine."""
    return TldrComparisonsSource(str(path), None, split, limit)


def written(folder: Path, *rows: Any) -> Path:
    """Write rows as the authors do: JSON lines in a file *.json."""
    path = folder / "batch9.json"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_a_comparison_becomes_a_pair(tmp_path: Path) -> None:
    """`choice` is the place of the better summary; the worker is the person."""
    assert source(written(tmp_path, ROW)).preferences() == [PreferencePair(
        "SUBREDDIT: r/AskReddit\n\nTITLE: Oven\n\nPOST: The oven broke.\n\nTL;DR:",
        "The oven broke.", "Something broke.", "w1", "tldr_comparisons", columns={
            "post_id": "t3_1", "subreddit": "AskReddit", "batch": "batch9", "split": "train",
            "confidence": 8, "chosen_policy": "ref", "rejected_policy": "sup4"})]
    first = source(written(tmp_path, {**ROW, "choice": 0})).preferences()[0]
    assert (first.chosen, first.rejected) == ("Something broke.", "The oven broke.")


def test_facts_of_the_fixture() -> None:
    """Five workers made 16 comparisons each; the summary that names the fact always wins."""
    found = source(FIXTURE)
    pairs = found.preferences()
    assert {w: sum(p.client_id == w for p in pairs) for w in {p.client_id for p in pairs}} == {
        f"worker{n}": 16 for n in range(5)}
    assert {pair.columns["chosen_policy"] for pair in pairs} == {"ref"}
    assert all(pair.chosen in pair.prompt for pair in pairs)  # type: ignore[operator]
    assert found.left_out == {tldr_comparisons.OTHER_SPLIT: 16}
    assert found.truth() is None


def test_a_copy_of_all_that_the_authors_publish(tmp_path: Path) -> None:
    """Beside the comparisons there is a folder of ratings, which is not read."""
    (tmp_path / "axis_evals").mkdir()
    (tmp_path / "axis_evals/batch2.json").write_text("[]")
    (tmp_path / "comparisons").symlink_to(FIXTURE)
    assert source(tmp_path).preferences() == source(FIXTURE).preferences()


@pytest.mark.parametrize(("split", "pairs", "news", "others"), [
    ("validation", 12, 4, 80), ("valid1", 6, 0, 90), ("valid2", 6, 4, 86)])
def test_splits_and_news(split: str, pairs: int, news: int, others: int) -> None:
    """The hub's validation holds valid1 and valid2; comparisons of news are left out, counted."""
    found = source(FIXTURE, split)
    assert len(found.preferences()) == pairs
    counts = {tldr_comparisons.NEWS: news, tldr_comparisons.OTHER_SPLIT: others}
    assert found.left_out == {reason: count for reason, count in counts.items() if count}


def test_the_hubs_files_hold_the_same(tmp_path: Path) -> None:
    """A copy of the hub's Parquet branch: a folder of comparisons, files by split."""
    rows = [json.loads(line) for line in (FIXTURE / "batch3.json").read_text().splitlines()]
    for part in ("comparisons/train", "axis/test"):
        (tmp_path / part).mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows[:20]), tmp_path / part / "0000.parquet")
    assert source(tmp_path, limit=5).preferences() == source(FIXTURE).preferences()[:5]


@pytest.mark.parametrize(("change", "words"), [
    ({"choice": 2}, "choice is 2: must be 0 or 1"),
    ({"choice": None}, "choice is missing: write a number"),
    ({"worker": ""}, "worker is ''"),
    ({"worker": None}, "worker is missing"),
    ({"split": None}, "split is missing"),
    ({"info": None}, "info is missing: write a JSON object"),
    ({"info": {"post": "p", "title": "t"}}, "subreddit is missing"),
    ({"summaries": ROW["summaries"][:1]}, "summaries is .*there must be two"),
    ({"summaries": "text"}, "summaries is 'text': write a list"),
    ({"summaries": [{"text": None}, {"text": "a"}]}, "text is missing"),
])
def test_bad_rows_are_named(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    """The message has the line and the field."""
    with pytest.raises(DataError, match=f"line 2: {words}"):
        source(written(tmp_path, ROW, {**ROW, **change})).preferences()


def test_a_post_without_a_title(tmp_path: Path) -> None:
    """A field that is there and null is empty."""
    row = {**ROW, "info": {**ROW["info"], "title": None}}
    assert "TITLE: \n\n" in source(written(tmp_path, row)).preferences()[0].prompt


def test_what_is_refused(tmp_path: Path) -> None:
    """An unknown split, and a revision of a local file."""
    with pytest.raises(ConfigError, match="data.split must be one of train, validation"):
        source(FIXTURE, "test").preferences()
    with pytest.raises(DataError, match="revision=main"):
        TldrComparisonsSource(str(FIXTURE), "main", "train", None).preferences()


def test_prompts_of_the_server() -> None:
    """The summaries that people wrote give posts in the same form; every fourth evaluates."""
    path = FIXTURE.parent / "tldr_summaries/train.jsonl"
    found = TldrComparisonsSource(str(FIXTURE), None, "train", None, str(path)).instructions()
    assert (len(found.label), len(found.evaluate)) == (30, 10)
    assert all(str(prompt).startswith("SUBREDDIT: r/") and str(prompt).endswith("TL;DR:")
               for prompt in found.label)
