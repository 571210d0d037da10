"""What `fedrlhf traces` prints and draws."""

import re
from pathlib import Path

import pytest

from fedrlhf.cli import main
from fedrlhf.config import build, load
from fedrlhf.data.traces.source import TracesSource
from fedrlhf.report.traces import sections_of, verdict

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "traces.jsonl"


@pytest.fixture(scope="module")
def source() -> TracesSource:
    """Return the source of the documentation's example."""
    made = build(load(["data=traces", f"data.path={EXAMPLE}"]).data, "data")
    assert isinstance(made, TracesSource)
    return made


def test_the_sentence_is_the_documentation_s(source: TracesSource) -> None:
    """The page says what its command prints."""
    assert verdict(source) in (ROOT / "docs" / "traces.md").read_text("utf-8")


def test_the_tables_add_up(source: TracesSource) -> None:
    """Fates sum to the answers; the yield and the users' rows to the preferences."""
    sections = {one.anchor: one for one in sections_of(source)}
    assert sum(int(row[2]) for row in sections["fates"].tables[0].rows) == 72
    found = len(source.preferences())
    assert sum(int(row[1]) for row in sections["yield"].tables[0].rows) == found
    users = sections["users"].tables[0].rows
    assert sum(int(row[3]) + int(row[4]) for row in users) == found
    assert {row[0]: row[1] for row in users} == {"ann": "16", "bob": "16", "cai": "24", "dee": "16"}
    assert dict(sections["rows"].tables[0].rows)["rows set aside"] == "2"


def test_the_policies(source: TracesSource) -> None:
    """All answers but the 8 gamed hints are tutor 1's; tutor 2 is estimated from the same 64."""
    values, estimated = next(one for one in sections_of(source) if one.anchor == "policies").tables
    assert [row[:3] for row in values.rows] == [["tutor 1", "64", "4"]]
    assert [row[:2] for row in estimated.rows] == [["tutor 2", "64"]]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It prints the tables and writes one page that loads nothing and holds no text of a row."""
    page = tmp_path / "page.html"
    assert main(["traces", str(EXAMPLE), "--out", str(page), "data.gap=0.2"]) == 0
    printed = capsys.readouterr().out
    assert "there is no such field" in printed
    assert "final hint reached by gaming" in printed
    assert str(page) in printed
    text = page.read_text("utf-8")
    assert not re.search(r'(src|href)="(?!#)', text)
    assert text.count("<svg") == 3
    assert "Which step is missing" not in text
    assert "groupby" not in text


def test_a_missing_file_is_the_user_s(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and the place where a relative path starts."""
    assert main(["traces", str(tmp_path / "none.jsonl")]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_a_file_of_bad_rows_only_is_shown(tmp_path: Path,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    """There is nothing to draw, and each row's reason is said."""
    bad = tmp_path / "bad.jsonl"
    bad.write_text("{}\n" * 12)
    assert main(["traces", str(bad), "--out", str(tmp_path / "page.html")]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"answer +Field required +bad.jsonl:1 +12", printed)
    assert "<svg" not in (tmp_path / "page.html").read_text("utf-8")
