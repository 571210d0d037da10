"""UKPConvArg1: made-up rows with known results, and the facts of the real corpus."""

import json
from collections import Counter
from pathlib import Path

import pytest

from fedrlhf.data.source import Source
from fedrlhf.data.ukp_convarg import UkpConvArgSource
from fedrlhf.errors import DataError
from fedrlhf.types import PreferencePair

ARGUMENTS = [("x", "pro", "long one"), ("y", "pro", "short"), ("x", "con", "other side")]
PAIRS = ["1,pro,x,y,a1", "2,pro,x,y,equal", "3,pro,y,x,"]
VOTES = ["1,w1,a1,same,2016", "1,w2,a2,,2016", "2,w1,a1,none,2016", "3,w1,equal,,2016"]


def corpus(folder: Path, pairs: list[str] = PAIRS, votes: list[str] = VOTES) -> Source:
    """Write a corpus of two arguments for one side and one for the other."""
    rows = [{"arg_id": name, "topic": f"debate_{side}", "debate": "debate", "title": "Debate?",
             "stance": side, "text": text} for name, side, text in ARGUMENTS]
    (folder / "arguments.jsonl").write_text("\n".join(map(json.dumps, rows)))
    lines = [line.replace(",pro,", ",debate_pro,") for line in pairs]
    (folder / "pairs.csv").write_text("\n".join(["pair_id,topic,a1,a2,gold", *lines]))
    header = "pair_id,worker,value,worker_stance,submitted"
    (folder / "votes.csv").write_text("\n".join([header, *votes]))
    return UkpConvArgSource(str(folder))


def test_one_pair_a_vote(tmp_path: Path) -> None:
    """Vote by vote: a1 agrees with gold a1 (+1), a2 does not (-1), a gold or own tie has none."""
    columns = [pair.columns for pair in corpus(tmp_path).preferences()]
    assert [c["gold"] for c in columns] == ["first", "first", "tie", None]
    assert [c.get("gold_margin") for c in columns] == [1.0, -1.0, None, None]
    assert [c["worker_stance"] for c in columns] == ["same", None, "none", None]


def test_a_vote_for_the_second_argument(tmp_path: Path) -> None:
    """w2 chose a2 = y, which was shown second; the argument x is the one of this side."""
    assert corpus(tmp_path).preferences()[1] == PreferencePair(
        prompt="Debate? — pro", chosen="short", rejected="long one", client_id="w2",
        source="ukp_convarg", chosen_first=False,
        columns={"topic": "debate_pro", "debate": "debate", "pair_id": "1", "worker_stance": None,
                 "gold": "first", "gold_margin": -1.0})


def test_a_tie_keeps_the_presented_order(tmp_path: Path) -> None:
    """Pair 3 shows y and then x: y is `chosen` of the tie."""
    tie = corpus(tmp_path).preferences()[3]
    assert (tie.tie, tie.chosen_first) == (True, True)
    assert (tie.chosen, tie.rejected) == ("short", "long one")


@pytest.mark.parametrize(("pairs", "votes", "message"), [
    (["1,pro,x,z,a1"], VOTES, "pairs.csv: 1 bad row:\n  line 2: a2 is 'z': no such argument"),
    (["1,pro,x,y,a3"], VOTES, "line 2: gold is 'a3'"),
    (PAIRS, [*VOTES, "9,w1,a1,,"], "votes.csv: 1 bad row:\n  line 6: pair_id is '9'"),
    (PAIRS, ["1,w1,left,,"], "line 2: value is 'left': must be one of a1, a2, equal"),
    (PAIRS, ["1"], "line 2: value is missing"),
])
def test_bad_rows(tmp_path: Path, pairs: list[str], votes: list[str], message: str) -> None:
    """File, line, field and value are in the message."""
    with pytest.raises(DataError) as caught:
        corpus(tmp_path, pairs, votes).preferences()
    assert message in str(caught.value)


def test_absent_files_are_named(tmp_path: Path) -> None:
    """An empty folder lacks all three."""
    with pytest.raises(DataError, match="lacks votes.csv, pairs.csv, arguments.jsonl"):
        UkpConvArgSource(str(tmp_path)).preferences()


def test_no_instructions_and_no_truth(tmp_path: Path) -> None:
    """The corpus offers preferences only."""
    source = corpus(tmp_path)
    assert source.instructions().label == source.instructions().evaluate == ()
    assert source.truth() is None


@pytest.fixture(scope="module")
def real(shared: Path) -> list[PreferencePair]:
    """Read the real corpus once."""
    return UkpConvArgSource(str(shared / "data/ukpconvarg1")).preferences()


def test_numbers_of_votes_and_workers(real: list[PreferencePair]) -> None:
    """63,490 votes by 3,760 workers; 443, 180 and 45 of them gave 20, 50 and 200 or more."""
    votes = Counter(pair.client_id for pair in real)
    assert (len(real), len(votes)) == (63490, 3760)
    assert [sum(n >= least for n in votes.values()) for least in (20, 50, 200)] == [443, 180, 45]
    assert len({pair.prompt for pair in real}) == 24
    assert sum(pair.tie for pair in real) == 14925


def test_gold_winner_is_longer(real: list[PreferencePair]) -> None:
    """Among the 9,481 pairs with a gold winner, 7,047 winners are longer and 17 are as long.

    The share is 7047 / (9481 - 17) = 74.5%. The first vote on each pair gives its gold winner.
    """
    longer: dict[str, int] = {}
    for pair in real:
        margin = pair.columns.get("gold_margin")
        if margin:
            difference = len(pair.chosen) - len(pair.rejected)
            longer[pair.columns["pair_id"]] = ((difference > 0) - (difference < 0)) * int(margin)
    outcomes = Counter(longer.values())
    decided = outcomes[1] + outcomes[-1]
    assert round(outcomes[1] / decided, 3) == 0.745


def test_single_votes_follow_length_and_gold(real: list[PreferencePair]) -> None:
    """Of 48,565 votes that are no ties, 33,107 chose the longer text in characters: 68.2%.

    99 compare texts of equal length. In words, on pairs with a gold label, it is 68.5%.
    """
    votes = [pair for pair in real if not pair.tie]
    assert len(votes) == 48565
    assert sum(len(v.chosen) > len(v.rejected) for v in votes) == 33107
    words = [len(v.chosen.split()) - len(v.rejected.split()) for v in votes if v.columns["gold"]]
    share = sum(w > 0 for w in words) / sum(w != 0 for w in words)
    assert round(share, 3) == 0.685


def test_order_of_presentation_is_balanced(real: list[PreferencePair]) -> None:
    """24,437 votes for a1 and 24,128 for a2."""
    first = Counter(pair.chosen_first for pair in real if not pair.tie)
    assert first == {True: 24437, False: 24128}
