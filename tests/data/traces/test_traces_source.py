"""The source data=traces on the documentation's example, and that the documentation is true."""

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest

from fedrlhf.cli import main
from fedrlhf.config import build, load
from fedrlhf.data.source import Source, left_out
from fedrlhf.data.traces.drafts import KINDS
from fedrlhf.data.traces.events import Event
from fedrlhf.data.traces.evidence import TABLE
from fedrlhf.data.traces.reading import read_events
from fedrlhf.data.traces.source import BAD_ROWS, TracesSource
from fedrlhf.data.traces.training_data import fate_counts
from fedrlhf.errors import ConfigError, DataError

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "docs" / "traces.jsonl"
PAGE = (ROOT / "docs" / "traces.md").read_text("utf-8")


def source(path: Path = EXAMPLE, *overrides: str) -> TracesSource:
    """Build the source of the configuration."""
    made = build(load(["data=traces", f"data.path={path}", *overrides]).data, "data")
    assert isinstance(made, TracesSource)
    return made


def test_the_example() -> None:
    """Each row has a fate or is set aside, and preferences come from three of the four students."""
    made: Any = source()
    protocol: Source = made
    found = protocol.preferences()
    assert len(read_events(EXAMPLE)[0]) == fate_counts(made.users).total() == 72
    assert {one.client_id for one in found} == {"ann", "bob", "dee"}
    assert {one.columns["trace"] for one in found} == {
        "ab", "edit", "regenerate", "contexts", "rating"}
    assert protocol.truth() is None
    fates = fate_counts(made.users)
    unused = {fate: count for fate, count in fates.items() if fate not in KINDS}
    assert left_out(protocol) == {
        name.replace(" ", "_"): count for name, count in {BAD_ROWS: 2, **unused}.items()}
    assert {one.line for one in made.rejected} == {73, 74}


def test_a_user_s_file_alone_gives_the_same(tmp_path: Path) -> None:
    """A site that holds one user's rows makes what the whole file makes for that user."""
    rows = [line for line in EXAMPLE.read_text("utf-8").splitlines() if '"user": "dee"' in line]
    alone = tmp_path / "traces.jsonl"
    alone.write_text("\n".join(rows), "utf-8")
    whole = [one for one in source().preferences() if one.client_id == "dee"]
    for one, other in zip(source(alone).preferences(), whole, strict=True):
        assert (one.prompt, one.weight) == (other.prompt, other.weight)
        assert {**one.columns, "rows": 0} == {**other.columns, "rows": 0}


def test_settings_reach_the_rules() -> None:
    """Without the fit the table is as written; a cap of one leaves one preference for each user."""
    made = source(EXAMPLE, "data.fit=false", "data.cap_per_user=1", "data.reward_lambda=1")
    assert len(made.preferences()) == 3
    vote = next(iter(made.users)).models["satisfaction"].strengths[0]
    assert vote == pytest.approx(1.5)


@pytest.mark.parametrize("override", [
    "data.reward_lambda=2", "data.kappa=-1", "data.gap=1", "data.gap=nan",
    "data.cap_per_user=0", "data.feedback_clip=0", "data.gaming_seconds=-1",
    "data.channels=[fun]", "data.channels=[]"])
def test_refused_settings(override: str) -> None:
    """The message names the key."""
    with pytest.raises(ConfigError, match=override.partition("=")[0]):
        source(EXAMPLE, override)


def test_a_file_that_teaches_nothing_is_an_error(tmp_path: Path) -> None:
    """The message says what became of the rows."""
    path = tmp_path / "none.jsonl"
    row = {"user": "u", "session": "s", "turn": 0, "prompt": "?", "answer": "a",
           "policy": {"id": "p"}}
    path.write_text(f"{json.dumps(row)}\n{{}}\n")
    with pytest.raises(DataError, match="1 rows set aside, 1 no trace"):
        source(path).preferences()


def test_the_example_is_what_its_script_writes() -> None:
    """The same bytes."""
    path = ROOT / "scripts" / "make_trace_example.py"
    spec = importlib.util.spec_from_file_location("make_trace_example", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.text() == EXAMPLE.read_text("utf-8")


def test_the_page_s_table_is_the_code_s() -> None:
    """Each trace, its channel and its starting log-odds."""
    shown = {(trace, channel, float(value)) for trace, channel, value in re.findall(
        r"^\| (\w+: \w+) \| (\w+) \| ([+-]?[\d.]+) \|", PAGE, re.MULTILINE)}
    assert shown == {(f"{family.name}: {outcome}", family.channel, value)
                     for family in TABLE for outcome, value in family.strengths.items()}


def test_the_page_names_every_field_and_kind() -> None:
    """In its two tables; its example row is one."""
    assert set(Event.model_fields) <= set(re.findall(r"`(\w+)`", PAGE))
    assert set(KINDS) <= set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    row, = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert Event.model_validate_json(row).user == "ann"


def test_the_page_names_every_default() -> None:
    """Each setting of the source with the value that it has."""
    settings = load(["data=traces", "data.path=x"]).data
    for key, value in re.findall(r"data\.(\w+)=([\d.]+|true|false)`?", PAGE):
        if (key, value) != ("reward_lambda", "1"):  # the second command changes it
            assert str(settings[key]).lower() in (value, f"{value}.0"), key


def test_a_site_is_told_what_its_file_did_not_give(tmp_path: Path,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    """`fedrlhf shard` names every fate that gave nothing; the server never hears of them."""
    assert main(["shard", "data=traces", f"data.path={EXAMPLE}", "partition.min_pairs=5",
                 "--client-id", "ann", "--out", str(tmp_path / "ann.jsonl")]) == 0
    printed = capsys.readouterr().out
    assert "ann: 4 train, 3 validation, 1 test preferences in" in printed
    assert "left out of the source: rows set aside (2)" in printed
    assert "left out of the source: no trace (12)" in printed
