"""Records, their size in bytes, and the hash of the package."""

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from toy_federation import vector

import fedrlhf
from fedrlhf.errors import UserError
from fedrlhf.federation import messages
from fedrlhf.federation.messages import (
    ARRAYS,
    CONFIG,
    ENVELOPE,
    METRICS,
    check_source,
    envelope,
    from_arrays,
    number_bytes,
    reply,
    selector_index,
    selector_key,
    source_hash,
    tensor_bytes,
    to_arrays,
)


def test_adapters_round_trip_bit_by_bit() -> None:
    """Subnormal, negative zero and the largest value survive; keys come in the selectors' order."""
    adapters = {10: vector(1e-45, -0.0), 2: vector(3.4028235e38, -1.5)}
    record = to_arrays(adapters)
    assert list(record) == ["selector_2", "selector_10"]
    back = from_arrays(record)
    for index, adapter in adapters.items():
        assert back[index].tobytes() == adapter.tobytes() and back[index].dtype == np.float32


def test_what_is_sent_is_float32() -> None:
    """A float64 vector is rounded once, here; a view is copied to a flat block."""
    record = to_arrays({0: np.arange(6, dtype=np.float64)[::2]})
    assert record["selector_0"].dtype == "float32"
    np.testing.assert_array_equal(from_arrays(record)[0], [0, 2, 4])


def test_keys() -> None:
    """``selector_7`` and back."""
    assert selector_key(7) == "selector_7" and selector_index("selector_7") == 7


def test_bytes_are_counted_by_values() -> None:
    """3 + 2 float32 and 4 float64 are 5 x 4 + 4 x 8 = 52 bytes; 1 + 3 numbers are 32 bytes."""
    content = RecordDict({
        ARRAYS: to_arrays({0: vector(1, 2, 3), 1: vector(1, 2)}),
        "more": ArrayRecord({"x": Array(np.zeros((2, 2)))}),
        METRICS: MetricRecord({"loss": 0.5, "losses": [1.0, 2.0, 3.0]}),
        CONFIG: ConfigRecord({"server-round": 1})})
    assert tensor_bytes(content) == 52
    assert number_bytes(content) == 32
    assert tensor_bytes(RecordDict()) == number_bytes(RecordDict()) == 0


def test_an_unknown_dtype_is_counted_by_its_bytes() -> None:
    """What a client declares must not stop the count: 100 bytes are 100 bytes."""
    array = Array(dtype="nonsense", shape=(4,), stype="numpy.ndarray", data=bytes(100))
    assert tensor_bytes(RecordDict({ARRAYS: ArrayRecord({"selector_0": array})})) == 100


def test_reply_answers_the_sender() -> None:
    """Without arrays there is no record of them."""
    asked = Message(RecordDict(), 5, "evaluate")
    numbers = reply(asked, MetricRecord({"loss": 1.0}))
    both = reply(asked, MetricRecord({"loss": 1.0}), to_arrays({0: vector(1)}))
    assert list(numbers.content) == [METRICS] and set(both.content) == {METRICS, ARRAYS}
    assert both.metadata.src_node_id == 5


def test_envelope() -> None:
    """It says for whom, by which code, for which adapters and in which federation."""
    record = envelope("anna", "layout0", "key0")
    assert dict(record) == {"client-id": "anna", "source": source_hash(), "layout": "layout0",
                            "memory": "key0"}
    check_source(RecordDict({ENVELOPE: record}))


def test_other_code_is_refused() -> None:
    """The message names both versions and what to do."""
    record = ConfigRecord({**envelope("anna", ""), "source": "0123456789abcdef"})
    with pytest.raises(UserError, match=f"{source_hash()}, the server 0123456789abcdef: install"):
        check_source(RecordDict({ENVELOPE: record}))


def hash_of(package: Path) -> str:
    """Return the hash that a copy of the package finds for itself."""
    path = package / "federation" / "messages.py"
    spec = importlib.util.spec_from_file_location("copied_messages", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return str(module.source_hash())


def test_the_hash_changes_with_the_code(tmp_path: Path) -> None:
    """A copy has the same hash; a changed, a renamed and a further file give others, no text."""
    original = Path(fedrlhf.__file__).parent
    copy = tmp_path / "fedrlhf"
    shutil.copytree(original, copy, ignore=lambda folder, names: [
        name for name in names if not (Path(folder) / name).is_dir() and not name.endswith(".py")])
    assert hash_of(copy) == messages.source_hash() and len(messages.source_hash()) == 16
    found = [hash_of(copy)]
    (copy / "errors.py").write_text((copy / "errors.py").read_text() + "\n")
    found.append(hash_of(copy))
    (copy / "errors.py").rename(copy / "errors_.py")
    found.append(hash_of(copy))
    (copy / "more.py").touch()
    found.append(hash_of(copy))
    assert len(set(found)) == 4
    (copy / "notes.txt").write_text("no code")
    assert hash_of(copy) == found[-1]
