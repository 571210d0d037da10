"""Helpful and harmless dialogues: turns, rows left out, files of a split, the real file."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fedrlhf.data import hh_rlhf
from fedrlhf.data.hh_rlhf import HhRlhfSource, dialogue_of, outcome_of
from fedrlhf.errors import DataError
from fedrlhf.types import PreferencePair, Turn

OPEN = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: 2 + 2?"
TURNS = (Turn(role="user", content="Hi"), Turn(role="assistant", content="Hello"),
         Turn(role="user", content="2 + 2?"))
ROW = {"chosen": f"{OPEN}\n\nAssistant: 4", "rejected": f"{OPEN}\n\nAssistant: 5"}


def written(path: Path, *rows: dict[str, str]) -> Path:
    """Write rows, compressed where the name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "\n".join(map(json.dumps, rows)).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def test_a_row_becomes_turns_and_two_answers(tmp_path: Path) -> None:
    """The shared turns are the prompt, without the blanks after the markers."""
    source = HhRlhfSource(str(written(tmp_path / "part_test.jsonl", ROW)), None, "train", None)
    assert source.preferences() == [PreferencePair(
        TURNS, "4", "5", "", "hh_rlhf", columns={"turns": 3, "file": "part_test"})]
    assert source.left_out == {}


def test_markers_inside_a_line_are_text() -> None:
    """Only a marker after an empty line begins a turn."""
    text = "\n\nHuman: Say Human: twice\nAssistant: no\n\nAssistant: ok"
    assert dialogue_of(text) == ({"role": "user", "content": "Say Human: twice\nAssistant: no"},
                                 {"role": "assistant", "content": "ok"})


@pytest.mark.parametrize(("chosen", "rejected", "reason"), [
    ("Hello", ROW["rejected"], hh_rlhf.NO_DIALOGUE),
    ("\n\nAssistant: a", "\n\nAssistant: b", hh_rlhf.NO_DIALOGUE),
    ("\n\nHuman: x\n\nAssistant: a", "\n\nHuman: y\n\nAssistant: a", hh_rlhf.EARLIER_DIFFERENCE),
    (OPEN, OPEN, hh_rlhf.NO_ANSWER),
    (ROW["chosen"] + "\n\nAssistant: a", ROW["chosen"] + "\n\nAssistant: b",
     hh_rlhf.NOT_ALTERNATING)])
def test_rows_without_a_pair_say_why(chosen: str, rejected: str, reason: str) -> None:
    """Each flaw has its own reason, which is what `left_out` counts by."""
    assert outcome_of({"chosen": chosen, "rejected": rejected}, {}) == reason


def test_left_out_rows_are_counted_and_limit_counts_rows(tmp_path: Path) -> None:
    """Of the first three rows two have no dialogue; the fourth is beyond the limit."""
    bad = {"chosen": "?", "rejected": "!"}
    path = written(tmp_path / "x.jsonl.gz", bad, ROW, bad, ROW)
    source = HhRlhfSource(str(path), None, "train", 3)
    assert len(source.preferences()) == 1
    assert source.left_out == {hh_rlhf.NO_DIALOGUE: 2}


def test_folder_gives_the_files_of_the_split(tmp_path: Path) -> None:
    """Files count as the split's by their whole name or by its end after - _ or a dot."""
    for name in ("b/train.jsonl.gz", "a_train.jsonl", "b/test.jsonl", "strain.jsonl"):
        written(tmp_path / name, ROW)
    pairs = HhRlhfSource(str(tmp_path), None, "train", None).preferences()
    assert [pair.columns["file"] for pair in pairs] == ["a_train", "b/train"]
    with pytest.raises(DataError, match="no file of the split 'dev'; its files: a_train.jsonl, b/"):
        HhRlhfSource(str(tmp_path), None, "dev", None).preferences()


def test_a_file_without_any_pair_is_refused(tmp_path: Path) -> None:
    """Nothing usable is an error that shows the counts, not an empty list."""
    path = written(tmp_path / "x.jsonl", {"chosen": "?", "rejected": "!"})
    with pytest.raises(DataError, match=r"no usable row: \{.*human's turn.*: 1\}"):
        HhRlhfSource(str(path), None, "train", None).preferences()


def test_a_row_without_texts_is_refused(tmp_path: Path) -> None:
    """A missing dialogue is a broken file, not a row to leave out."""
    path = written(tmp_path / "x.jsonl", {"chosen": ROW["chosen"]})
    with pytest.raises(DataError, match="line 1: rejected is missing"):
        HhRlhfSource(str(path), None, "train", None).preferences()


def test_a_revision_needs_the_hub(tmp_path: Path) -> None:
    """A local file has no revisions; ignoring the setting would hide a mistake."""
    path = written(tmp_path / "x.jsonl", ROW)
    with pytest.raises(DataError, match="revision=main"):
        HhRlhfSource(str(path), "main", "train", None).preferences()


def test_a_name_that_is_nowhere_says_so(tmp_path: Path) -> None:
    """Without a network a name on the hub ends in an error that names it and its split."""
    code = ("from fedrlhf.data.hh_rlhf import HhRlhfSource\n"
            "from fedrlhf.errors import DataError\n"
            "try: HhRlhfSource('some/where', None, 'train', None).preferences()\n"
            "except DataError as error: print(error)")
    # The variable is read when the library is imported, so it needs a process of its own.
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                            env={**os.environ, "HF_HUB_OFFLINE": "1"}, cwd=tmp_path, check=True)
    assert "some/where is neither here" in result.stdout
    assert "split train" in result.stdout


def test_facts_of_the_real_file(shared: Path) -> None:
    """Of 2,312 rows, 5 differ before the last turn and 4 have two answers in a row."""
    source = HhRlhfSource(str(shared / "data/hh_harmless_test"), None, "test", None)
    pairs = source.preferences()
    assert len(pairs) == 2303
    assert source.left_out == {hh_rlhf.EARLIER_DIFFERENCE: 5, hh_rlhf.NOT_ALTERNATING: 4}
    assert all(pair.prompt[-1]["role"] == "user" for pair in pairs)  # type: ignore[index]
    assert {pair.client_id for pair in pairs} == {""}
    assert source.instructions().label == ()
    assert source.truth() is None
