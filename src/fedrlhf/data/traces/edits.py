"""How far a text is from another one: edit cost, kinds of edits and the survival of insertions."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from fedrlhf.data.traces.events import Event, Snapshots

SMALL, LARGE, OTHER_TOPIC = 0.2, 0.5, 0.95  # shares of the words
_GRAM = 4
_WORD = re.compile(r"\w+|[^\w\s]")
_DECORATION = re.compile(r"[\s`*_#>.,;:!?\-]+")

Edit = Literal["format", "small", "middle", "large", "topic"]


def levenshtein(one: Sequence[str], two: Sequence[str]) -> int:
    """Return the least number of insertions, deletions and replacements from one to the other."""
    row = list(range(len(two) + 1))
    for place, word in enumerate(one, 1):
        diagonal, row[0] = row[0], place
        for column, other in enumerate(two, 1):
            best = min(row[column] + 1, row[column - 1] + 1, diagonal + (word != other))
            diagonal, row[column] = row[column], best
    return row[-1]


def edit_cost(before: str, after: str) -> float:
    """Return the word-level edit distance as a share of the longer text, 0 to 1 (PRELUDE)."""
    one, two = _WORD.findall(before), _WORD.findall(after)
    return levenshtein(one, two) / max(len(one), len(two), 1)


def kind_of_edit(before: str, after: str) -> Edit:
    """Say what an edit did; `format`: the words are the same, `topic`: hardly any word is kept."""
    if _DECORATION.sub(" ", before).split() == _DECORATION.sub(" ", after).split():
        return "format"
    cost = edit_cost(before, after)
    if cost >= OTHER_TOPIC:
        return "topic"
    return "small" if cost < SMALL else "large" if cost > LARGE else "middle"


def similarity(one: str, two: str) -> float:
    """Return the share of character 4-grams that two texts have in common.

    (n1 + n2 - sum |difference of counts|) / (n1 + n2); equality for texts shorter than 4. The
    measure of GitHub's vscode-copilot-chat (editSurvivalTracking).
    """
    if len(one) < _GRAM or len(two) < _GRAM:
        return float(one == two)
    left, right = _grams(one), _grams(two)
    total = left.total() + right.total()
    apart = sum(abs(left[gram] - right[gram]) for gram in left | right)
    return (total - apart) / total


def _grams(text: str) -> Counter[str]:
    return Counter(text[start:start + _GRAM] for start in range(len(text) - _GRAM + 1))


def kept_share(before: str, inserted: str, later: str) -> float:
    """Return how much of an insertion was not undone, 1 to 0 (`no_revert` of the same source).

    1 - max(sim(later, before) - sim(inserted, before), 0) / (1 - sim(inserted, before)).
    """
    start = similarity(inserted, before)
    if start == 1.0:
        return 1.0
    return 1.0 - max(similarity(later, before) - start, 0.0) / (1.0 - start)


def survival_of(event: Event) -> dict[int, float]:
    """Return the surviving share by seconds: as logged, else computed from the snapshots."""
    if event.survival or event.snapshots is None:
        return event.survival
    inserted = event.snapshots.inserted
    return {seconds: similarity(text, inserted) for seconds, text in event.snapshots.later.items()}


def no_revert_of(event: Event) -> float | None:
    """Return the share of the insertion that was not undone, None where nothing tells."""
    if event.no_revert is not None or event.snapshots is None:
        return event.no_revert
    return kept_share(event.snapshots.before, event.snapshots.inserted, _last(event.snapshots))


def _last(snapshots: Snapshots) -> str:
    return snapshots.later[max(snapshots.later)]
