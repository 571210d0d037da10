"""Edit cost, kinds of edits and survival, on texts short enough to count by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trace_rows import event

from fedrlhf.data.traces.edits import (
    edit_cost,
    kept_share,
    kind_of_edit,
    levenshtein,
    no_revert_of,
    similarity,
    survival_of,
)
from fedrlhf.data.traces.events import Snapshots


def test_levenshtein_of_the_textbook() -> None:
    """Kitten to sitting takes two replacements and an insertion."""
    assert levenshtein("kitten", "sitting") == 3
    assert levenshtein("", "abc") == levenshtein("abc", "") == 3


@given(st.text("ab", max_size=8), st.text("ab", max_size=8), st.text("ab", max_size=8))
def test_levenshtein_is_a_distance(one: str, two: str, three: str) -> None:
    """Zero for equal texts only, the same both ways, and no way round is shorter."""
    assert (levenshtein(one, two) == 0) == (one == two)
    assert levenshtein(one, two) == levenshtein(two, one)
    assert levenshtein(one, three) <= levenshtein(one, two) + levenshtein(two, three)


def test_the_cost_is_a_share_of_the_longer_text() -> None:
    """One of four words replaced: 1/4; one word of two added: 1/2; nothing and nothing: 0."""
    assert edit_cost("use the mean here", "use the median here") == 0.25
    assert edit_cost("mean", "the mean") == 0.5
    assert edit_cost("", "") == 0.0


@pytest.mark.parametrize(("after", "kind"), [
    ("Use  **df.mean()**, then plot it: twice", "format"),
    ("Use df.mean(), then plot it once.", "small"),  # 1 of 12 tokens
    ("Use df.median(axis=0), then draw it twice.", "middle"),  # 5 of 15
    ("Use a histogram of every column of the table", "large"),  # 11 of 12
    ("Wie spät ist es", "topic"),
])
def test_kinds_of_edits(after: str, kind: str) -> None:
    """Same words, below a fifth, up to a half, above it, hardly anything kept."""
    assert kind_of_edit("Use df.mean(), then plot it twice.", after) == kind


def test_similarity_counts_four_grams() -> None:
    """The 4-grams of abcde are abcd and bcde; abcdX shares one of them: (2 + 2 - 2) / 4."""
    assert similarity("abcde", "abcdX") == 0.5
    assert similarity("abcde", "abcde") == 1.0
    assert similarity("abcd", "wxyz") == 0.0
    assert (similarity("abc", "abc"), similarity("abc", "abd")) == (1.0, 0.0)
    # aaaaa has aaaa twice, aaaa once: (2 + 1 - 1) / 3
    assert similarity("aaaaa", "aaaa") == pytest.approx(2 / 3)


def test_what_is_not_undone() -> None:
    """Kept as inserted: 1; as before the insertion: 0; half way between: 1 - (.5 - 0) / 1."""
    assert kept_share("abcd", "wxyz", "wxyz") == 1.0
    assert kept_share("abcd", "wxyz", "abcd") == 0.0
    assert kept_share("abcde", "wxyz", "abcdX") == 0.5
    assert kept_share("same", "same", "else") == 1.0  # the insertion changed nothing


def test_snapshots_stand_in_for_absent_numbers() -> None:
    """The last snapshot tells what was undone; logged numbers win."""
    seen = Snapshots(before="abcd", inserted="wxyz", later={30: "wxyz", 600: "abcd"})
    made = event(inserted=True, snapshots=seen)
    assert survival_of(made) == {30: 1.0, 600: 0.0}
    assert no_revert_of(made) == 0.0
    told = event(inserted=True, snapshots=seen, survival={600: 0.9}, no_revert=0.7)
    assert (survival_of(told), no_revert_of(told)) == ({600: 0.9}, 0.7)
    assert no_revert_of(event()) is None
