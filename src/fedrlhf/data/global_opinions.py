"""GlobalOpinionQA: how the people of each country answered survey questions.

Durmus et al., "Towards Measuring the Representation of Subjective Global Opinions in Language
Models", 2023 (arXiv 2306.16388).
"""

import ast
import math
import re
from collections import Counter
from typing import Any

from fedrlhf.data.lines import BadRow, Row, text
from fedrlhf.data.published import PublishedSource
from fedrlhf.errors import DataError
from fedrlhf.types import Rating

UNFIT = "countries whose shares do not fit the options"
REPEATED = "questions without two different options or with one twice"


class GlobalOpinionsSource(PublishedSource):
    """A country's share of each option of each question; a client is a country.

    A row is a question: ``selections``, the text of a table from countries to shares in the order
    of ``options``, the text of a list. The texts are parsed as literals and never run. Shares are
    divided by their sum. Left out and counted are questions without two different options and, for
    one question, a country whose list is not as long as the options or whose shares are no
    probabilities. Columns: ``question`` (the number
    of the row, because the same question was asked with several sets of options) and ``survey``.
    """

    name = "global_opinions"

    def preferences(self) -> list[Rating]:
        """Return the ratings by question, country and option.

        Raises:
            DataError: Nothing can be read there, rows are bad, or no share is usable.
        """
        found: list[Rating] = []
        left_out: Counter[str] = Counter()
        for number, (facts, selections) in enumerate(self.read(_question)):
            options = facts["options"]
            if len(set(options)) < max(2, len(options)):
                left_out[REPEATED] += 1
                continue
            for country, shares in selections.items():
                if _fits(shares, len(options)):
                    found += self._ratings(number, facts, country, shares)
                else:
                    left_out[UNFIT] += 1
        self.left_out = dict(left_out)
        if not found:
            raise DataError(f"{self.path} has no usable row: {self.left_out}")
        return found

    def _ratings(self, number: int, facts: Row, country: str,
                 shares: list[float]) -> list[Rating]:
        total = sum(shares)
        return [Rating(facts["question"], option, share / total, country, self.name, columns={
                    "question": number, "survey": facts["source"]})
                for option, share in zip(facts["options"], shares, strict=True)]


def _question(row: Row) -> tuple[Row, dict[str, Any]]:
    """Read one row.

    Raises:
        BadRow: A field is absent or cannot be parsed.
    """
    selections = _literal(row, "selections", "{", "}")
    options = _literal(row, "options", "[", "]")
    if not isinstance(selections, dict) or not all(isinstance(name, str) for name in selections):
        raise BadRow("selections", row["selections"], "must map countries to lists of shares")
    if not isinstance(options, list):
        raise BadRow("options", row["options"], "must be a list of options")
    return {"question": text(row, "question"), "options": [str(option) for option in options],
            "source": text(row, "source")}, selections


def _literal(row: Row, field: str, opening: str, closing: str) -> Any:
    """Parse the literal inside a field; what stands around it names a Python class.

    A missing share is written nan, which is no literal: it becomes None, which fits no option.
    """
    told = re.sub(r"\bnan\b", "None", text(row, field)) if opening == "{" else text(row, field)
    start, end = told.find(opening), told.rfind(closing)
    try:
        return ast.literal_eval(told[start:end + 1])
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        raise BadRow(field, told, f"must hold one literal in {opening}{closing}") from None


def _fits(shares: object, options: int) -> bool:
    return (isinstance(shares, list) and len(shares) == options
            and all(isinstance(one, int | float) and not isinstance(one, bool)
                    and math.isfinite(one) and one >= 0 for one in shares) and sum(shares) > 0)
