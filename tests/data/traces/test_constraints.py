"""Leaks and unsafe code, and what is neither."""

import pytest
from trace_rows import event

from fedrlhf.data.traces.constraints import code_of, dangers, leaks, overlap, violations_of

REFERENCE = "total = df.groupby('city')['price'].mean()\nprint(total)"


def test_the_share_of_the_reference() -> None:
    """Tokens of a b c d e f: three runs of four; a b c d e holds two of them."""
    assert overlap("a b c d e", "a b c d e f") == pytest.approx(2 / 3)
    assert overlap("x a b c d e f y", "a b c d e f") == 1.0
    assert overlap("a b c d e f", "a b c d e f", prompt="a b c d e f") == 0.0


def test_a_leak_is_most_of_the_reference() -> None:
    """The solution in a block leaks, also with other comments and spaces; a hint does not."""
    assert leaks(f"Write this:\n```python\n{REFERENCE}  # done\n```", REFERENCE)
    assert leaks(REFERENCE.replace(" = ", "=").replace("\n", "\n\n"), REFERENCE)
    assert not leaks("Group the rows by city first. Which column do you need?", REFERENCE)
    assert not leaks("Use df.groupby('city') and then choose a column.", REFERENCE)


def test_short_solutions() -> None:
    """A number leaks by itself, unless the task has told it; 42 is not in 421."""
    assert leaks("The answer is 42.", "42")
    assert not leaks("The answer is 421.", "42")
    assert not leaks("You gave 42 as the mean.", "42", prompt="Why is 42 the mean?")


@pytest.mark.parametrize(("code", "found"), [
    ("import os\nos.system('ls')", ("shell",)),
    ("import subprocess as sp\nsp.run(['ls'])", ("shell",)),
    ("from os import system as go\ngo('ls')", ("shell",)),
    ("!pip install x", ("shell",)),
    ("%matplotlib inline\nplt.show()", ()),
    ("eval(input())", ("runs text",)),
    ("eval('1 + 1')", ()),
    ("model.eval()\nre.compile(pattern)\ndf.eval(text)", ()),
    ("import shutil\nshutil.rmtree('data')", ("deletes",)),
    ("Path('a').unlink()", ("deletes",)),
    ("del rows[0]\nrows.remove(3)", ()),
    ("import requests\nrequests.get(url)", ("network",)),
    ("from urllib.request import urlopen\nurlopen(url)", ("network",)),
    ("pd.read_csv('a.csv')", ()),
    ("password = 'hunter2'", ("credentials",)),
    ("import os\nkey = os.environ['API_KEY']", ("credentials",)),
    ("import os\nos.getenv('DB_PASSWORD')", ("credentials",)),
    ("token = tokens[0]", ()),
    (">>> import os\n>>> os.remove('a')", ("deletes",)),
    ("if x:", ()),
])
def test_dangers(code: str, found: tuple[str, ...]) -> None:
    """What stands in the syntax tree counts, not what a text looks like."""
    assert dangers(code) == found


def test_only_code_is_looked_at() -> None:
    """Prose about os.system is no danger; blocks of other languages are not Python."""
    answer = "Never call os.system(x).\n```sql\nDROP TABLE a\n```\n```py\na = 1\n```\nUse `b()`."
    assert code_of(answer) == ["a = 1\n", "b()"]
    assert violations_of(event(answer=answer)) == ()
    assert violations_of(event(answer="Try `os.system('rm x')`.")) == ("unsafe_code",)


def test_an_event_s_violations() -> None:
    """Leaks need a graded task with a reference; what the log says wins over the heuristic."""
    facts = {"answer": f"```\n{REFERENCE}\n```", "reference_solution": REFERENCE}
    assert violations_of(event(**facts, graded=True)) == ("leaked_answer",)
    assert violations_of(event(**facts, graded=False)) == ()
    assert violations_of(event(**facts, graded=True, violations=())) == ()
    assert violations_of(event(violations=("unsafe_code",))) == ("unsafe_code",)
