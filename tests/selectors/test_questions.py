"""Preferences as questions with shares, and the vectors of their options."""

from pathlib import Path

import numpy as np
import pytest

from fedrlhf.config.schema import Adapter, Model
from fedrlhf.errors import DataError
from fedrlhf.models.adapters import attach
from fedrlhf.models.load import shared_base
from fedrlhf.models.runtime import seeded
from fedrlhf.selectors.embeddings import Embedder
from fedrlhf.selectors.questions import comparisons_of, questions_of
from fedrlhf.types import PreferencePair, Rating


def rating(prompt: str, completion: str, value: float, person: str = "ann",
           **columns: object) -> Rating:
    """Return a rating."""
    return Rating(prompt, completion, value, person, "test", columns=columns)


def test_ratings_of_a_prompt_are_a_question() -> None:
    """Values are divided by their sum; people and sets of options stay apart; one half counts."""
    found, left_out = questions_of([
        rating("p", "a", 0.5), rating("p", "b", 0.75), rating("p", "a", 0.0), rating("q", "a", 1.0),
        rating("p", "a", 0.2, "bob"), rating("p", "b", 0.2, "bob"),
        rating("r", "a", 0.0), rating("r", "b", 0.0),
        rating("p", "a", 0.1, question=2), rating("p", "c", 0.3, question=2)])
    assert [(q.person, q.prompt, q.options) for q in found] == [
        ("ann", "p", ("a", "b")), ("bob", "p", ("a", "b")), ("ann", "p", ("a", "c"))]
    np.testing.assert_allclose([q.shares for q in found], [(0.25, 0.75), (0.5, 0.5), (0.25, 0.75)])
    assert left_out == 3  # one option; all values 0


def test_a_pair_is_a_question_with_two_options() -> None:
    """Shares 1 and 0, or what the source knows; ties say nothing."""
    pair = PreferencePair("p", "good", "bad", "ann", "test")
    known = PreferencePair("p", "good", "bad", "ann", "test", columns={"probability": 0.8})
    tie = PreferencePair("p", "good", "bad", "ann", "test", tie=True)
    found, left_out = questions_of([pair, known, tie])
    np.testing.assert_allclose([q.shares for q in found], [(1, 0), (0.8, 0.2)])
    assert left_out == 1
    with pytest.raises(DataError, match="probability"):
        questions_of([PreferencePair("p", "a", "b", "ann", "test", columns={"probability": 2})])


def test_comparisons_need_a_gap() -> None:
    """Shares .6, .3, .1 with gap .25: the first against both, not the second against the third."""
    found = comparisons_of([rating("p", *one) for one in (("a", 0.6), ("b", 0.3), ("c", 0.1))],
                           0.25)
    assert [q.options for q in found] == [("a", "b"), ("a", "c")]


def test_vectors_do_not_depend_on_adapters_company_or_process(
        tiny_llama: Path, tmp_path: Path, fresh_bases: object) -> None:
    """The same bits alone, in company, with a policy's adapter on the base, and from the cache."""
    spec = Model(path=str(tiny_llama))
    texts = [("What is the mean?", "A sum."), ("What is the mean?", "It is a sum divided."),
             ("Why?", "Because.")]

    def embedder(cache: str | None = None) -> Embedder:
        return Embedder(spec, "mean", 64, "off", cache)

    plain = embedder()
    assert plain.size == 32
    together = plain.embed(texts)
    np.testing.assert_array_equal(embedder().embed(texts[1:2])[0], together[1])
    slot = attach(shared_base(spec), Adapter(rank=2), 0)
    with seeded(1):
        slot.write(np.random.default_rng(0).normal(size=slot.layout.size).astype(np.float32))
    active = slot.read()
    np.testing.assert_array_equal(embedder().embed(texts), together)
    np.testing.assert_array_equal(slot.read(), active)
    first = embedder(str(tmp_path)).embed(texts)
    fresh_bases()  # type: ignore[operator]
    again = embedder(str(tmp_path))
    again._compute = None  # type: ignore[method-assign, assignment]  # noqa: SLF001  all from disk
    np.testing.assert_array_equal(first, again.embed(texts))
    np.testing.assert_array_equal(first, together)


def test_a_text_that_does_not_fit_has_no_vector(tiny_llama: Path, fresh_bases: object) -> None:
    """Its numbers are NaN, those of others are not."""
    found = Embedder(Model(path=str(tiny_llama)), "last", 40, "off", None).embed(
        [("p", "word " * 60), ("p", "word")])
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1]).all()
