"""Stanford Human Preferences: which of two comments on a question forum readers prefer.

Ethayarajh et al., "Understanding dataset difficulty with V-usable information", ICML 2022.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

from fedrlhf.data.lines import BadRow, Row, number, text
from fedrlhf.data.published import Outcome, PublishedSource
from fedrlhf.errors import ConfigError
from fedrlhf.types import PreferencePair

_SPLITS = ("train", "validation", "test")

CONTRADICTION = "rows whose label contradicts the scores"
WEAK = "rows whose scores are closer than wanted"
SECOND_DOMAIN = "rows whose post is in another domain as well"
MANY = "rows beyond the number wanted of a post"


class ShpSource(PublishedSource):
    """One preference pair for each row: readers' votes, no person's, so ``client_id`` is "".

    ``labels`` = 1 means that comment A is preferred, 0 that B is. The prompt is the post. Columns:
    ``domain`` (the forum; the data set's name of it without the split), ``post_id``,
    ``score_ratio`` and ``upvote_ratio``. A post has one domain: what a second forum has of the
    same text is left out, so that posts can be given to clients as a whole.
    """

    name = "shp"

    def __init__(self, path: str, revision: str | None,  # noqa: PLR0913  # the configuration's keys
                 split: str, limit: int | None, *,
                 min_score_ratio: float | None, max_per_post: int | None,
                 instructions: str | None = None, instructions_revision: str | None = None,
                 instructions_split: str = "train", instructions_limit: int | None = None) -> None:
        """Name the data set, the server's prompts and which rows are wanted.

        Args:
            path: See `PublishedSource`, as for the others.
            revision: Version on the hub.
            split: Split to read.
            limit: Read at most so many rows.
            min_score_ratio: Leave out rows whose comments' scores are closer; None: keep all.
            max_per_post: Keep so many rows of a post, the first ones; None: keep all.
            instructions: The server's prompts.
            instructions_revision: Their version on the hub.
            instructions_split: Their split.
            instructions_limit: Read at most so many of their rows.

        Raises:
            ConfigError: A limit is too small.
        """
        super().__init__(path, revision, split, limit, instructions, instructions_revision,
                         instructions_split, instructions_limit)
        if max_per_post is not None and max_per_post < 1:
            raise ConfigError(f"data.max_per_post must be at least 1, got {max_per_post}")
        self._min_score_ratio, self._max_per_post = min_score_ratio, max_per_post

    def preferences(self) -> list[PreferencePair]:
        """Return the preferences in the order of the rows.

        Raises:
            DataError: Nothing can be read there, rows are bad or none is usable.
        """
        return self.kept(self._limited(self.read(self._outcome)))

    def _outcome(self, row: Row) -> Outcome:
        pair = _pair(row)
        if pair is not None and self._min_score_ratio is not None and (
                pair.columns["score_ratio"] < self._min_score_ratio):
            return WEAK
        return pair or CONTRADICTION

    def _limited(self, outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
        domains: dict[str, str] = {}
        rows: Counter[str] = Counter()
        for outcome in outcomes:
            if isinstance(outcome, str):
                yield outcome
                continue
            post = str(outcome.prompt)
            if domains.setdefault(post, outcome.columns["domain"]) != outcome.columns["domain"]:
                yield SECOND_DOMAIN
                continue
            rows[post] += 1
            beyond = self._max_per_post is not None and rows[post] > self._max_per_post
            yield MANY if beyond else outcome


def _pair(row: Row) -> PreferencePair | None:
    """Make a pair of a row; None where the preferred comment has the lower score."""
    label = number(row, "labels")
    if label not in (0, 1):
        raise BadRow("labels", label, "must be 1 (A is preferred) or 0 (B is)")
    better, worse = ("A", "B") if label == 1 else ("B", "A")
    texts = [text(row, f"human_ref_{letter}") for letter in (better, worse)]
    scores = [number(row, f"score_{letter}") for letter in (better, worse)]
    if scores[0] < scores[1]:
        return None
    prompt = text(row, "history")
    if not prompt.strip():
        raise BadRow("history", prompt, "it is empty; a preference needs the post")
    return PreferencePair(
        prompt, texts[0], texts[1], client_id="", source=ShpSource.name, columns={
            "domain": _forum(text(row, "domain")), "post_id": row.get("post_id"),
            "score_ratio": number(row, "score_ratio"), "upvote_ratio": row.get("upvote_ratio")})


def _forum(domain: str) -> str:
    """Return a domain such as ``askculinary_train`` without the split."""
    forum, _, split = domain.rpartition("_")
    return forum if forum and split in _SPLITS else domain
