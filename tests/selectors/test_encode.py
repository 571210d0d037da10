"""Token ids of a pair: the pieces, what is cut, and the letters."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from fedrlhf.errors import ConfigError
from fedrlhf.models.load import resolve
from fedrlhf.selectors.encode import Encoder, letter_ids
from fedrlhf.selectors.templates import TEMPLATES, Template, template

TOKENIZER = AutoTokenizer.from_pretrained(resolve("tiny_tutor"))
PROMPT = "Explain recall and precision, please, with an example of spam and one of patients."
FIRST, SECOND = "Recall is a share.", "Ask me something else, then I will answer at length."


def ids(text: str) -> tuple[int, ...]:
    """Tokenise a text by itself."""
    return tuple(TOKENIZER(text, add_special_tokens=False).input_ids)


def encoder(name: str = "qa", max_tokens: int = 512) -> Encoder:
    """Make an encoder of the embedded tokenizer."""
    return Encoder(TOKENIZER, TEMPLATES[name], max_tokens)


@pytest.mark.parametrize("name", TEMPLATES)
def test_pieces_stand_in_the_templates_order(name: str) -> None:
    """before prompt after | first c1 second c2 question; the other order swaps c1 and c2 alone."""
    t = TEMPLATES[name]
    forward, backward = encoder(name).both_orders(PROMPT, FIRST, SECOND)
    assert forward.prefix == backward.prefix == ids(t.before) + ids(PROMPT) + ids(t.after)
    assert forward.suffix == (ids(t.first) + ids(FIRST) + ids(t.second) + ids(SECOND)
                              + ids(t.question))
    assert backward.suffix == (ids(t.first) + ids(SECOND) + ids(t.second) + ids(FIRST)
                               + ids(t.question))
    assert forward.tokens == backward.tokens == len(forward.prefix) + len(forward.suffix)


@pytest.mark.parametrize(("name", "keeps_end"), [("qa", False), ("chat", True)])
def test_only_the_prompt_is_cut(name: str, keeps_end: bool) -> None:
    """With n tokens too many the prompt loses its last n (a dialogue its first n), counted once."""
    whole, _ = encoder(name).both_orders(PROMPT, FIRST, SECOND)
    short = encoder(name, whole.tokens - 4)
    forward, backward = short.both_orders(PROMPT, FIRST, SECOND)
    kept = ids(PROMPT)[4:] if keeps_end else ids(PROMPT)[:-4]
    assert forward.prefix == ids(TEMPLATES[name].before) + kept
    assert forward.suffix == whole.suffix and forward.tokens == whole.tokens - 4
    assert backward.prefix == forward.prefix
    assert (short.cuts.cut_pairs, short.cuts.cut_tokens, short.cuts.left_out) == (1, 4, 0)


def test_what_does_not_fit_is_left_out() -> None:
    """The whole prompt may go; one token more and the pair is left out, never a completion cut."""
    whole, _ = encoder().both_orders(PROMPT, FIRST, SECOND)
    bare = whole.tokens - len(ids(PROMPT))
    just = encoder(max_tokens=bare)
    assert just.both_orders(PROMPT, FIRST, SECOND)[0].prefix == ids(TEMPLATES["qa"].before)
    assert (just.cuts.cut_pairs, just.cuts.cut_tokens) == (1, len(ids(PROMPT)))
    tight = encoder(max_tokens=bare - 1)
    assert tight.both_orders(PROMPT, FIRST, SECOND) is None
    assert (tight.cuts.cut_pairs, tight.cuts.cut_tokens, tight.cuts.left_out) == (0, 0, 1)


texts = st.text(st.sampled_from("ab é\n<|user|>"), max_size=20)


@given(prompt=texts, first=texts, second=texts, room=st.integers(16, 80),
       name=st.sampled_from(sorted(TEMPLATES)))
def test_any_pair_fits_or_is_counted(prompt: str, first: str, second: str, room: int,
                                     name: str) -> None:
    """Never above the length; both orders have equal lengths and prefixes, completions whole."""
    made = encoder(name, room)
    both = made.both_orders(prompt, first, second)
    assert (both is None) == (made.cuts.left_out == 1)
    if both is not None:
        forward, backward = both
        assert forward.tokens == backward.tokens <= room
        assert forward.prefix == backward.prefix
        t = TEMPLATES[name]
        assert forward.suffix == (ids(t.first) + ids(first) + ids(t.second) + ids(second)
                                  + ids(t.question))
        assert len(ids(prompt)) - made.cuts.cut_tokens == len(forward.prefix) - len(ids(t.before))
        swapped = encoder(name, room).both_orders(prompt, second, first)
        assert swapped == (backward, forward)


def test_the_start_token_comes_first(shared: Path) -> None:
    """A tokenizer that opens every text with a start token opens the sequence with it, once."""
    tokenizer = AutoTokenizer.from_pretrained(shared / "models" / "stories260K")
    forward, _ = Encoder(tokenizer, TEMPLATES["qa"], 512).both_orders("Hi", "a", "b")
    whole = forward.prefix + forward.suffix
    assert whole[0] == tokenizer.bos_token_id
    assert tokenizer.bos_token_id not in whole[1:] and tokenizer.eos_token_id not in whole


def test_letters_are_single_tokens() -> None:
    """Each letter's token is what follows the question's own tokens."""
    question = TEMPLATES["qa"].question
    a, b = letter_ids(TOKENIZER, TEMPLATES["qa"], [" A", " B"])
    assert ids(question + " A") == (*ids(question), a)
    assert ids(question + " B") == (*ids(question), b)
    assert a != b


@pytest.mark.parametrize("letters", [[" A", " Bee-keeping"], ["", " B"], [" A", " A"]])
def test_bad_letters_are_refused(letters: list[str]) -> None:
    """Several tokens, none, or twice the same: the message names the key and the letter."""
    with pytest.raises(ConfigError, match="selector.letters") as refusal:
        letter_ids(TOKENIZER, TEMPLATES["qa"], letters)
    assert any(repr(letter) in str(refusal.value) for letter in letters)


class Merging:
    """A tokenizer that joins the question's last character with what follows."""

    unk_token_id = 0

    def __call__(self, text: str, add_special_tokens: bool) -> object:
        """Cut a text into pairs of characters."""
        pairs = [text[i:i + 2] for i in range(0, len(text), 2)]
        return type("Encoding", (), {"input_ids": [hash(pair) for pair in pairs]})()

    def convert_ids_to_tokens(self, whole: list[int]) -> list[int]:
        """Show the ids."""
        return whole


def test_a_letter_that_merges_with_the_question_is_refused() -> None:
    """`x:` + `A` becomes tokens `x:`, `A`; `:` + `A` becomes `:A`, which is no letter's token."""
    tokenizer: PreTrainedTokenizerBase = Merging()  # type: ignore[assignment]

    def asking(question: str) -> Template:
        return Template(before="", after="", first="", second="", question=question)

    assert letter_ids(tokenizer, asking("x:"), ["A", "B"]) == (hash("A"), hash("B"))
    with pytest.raises(ConfigError, match="not a single token"):
        letter_ids(tokenizer, asking(":"), ["A", "B"])


def test_unknown_template() -> None:
    """The message names the key, the value and the templates there are."""
    with pytest.raises(ConfigError, match="selector.template must be one of tutor.*'essay'"):
        template("essay")
