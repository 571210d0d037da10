"""What a client keeps: by round, atomically, in a folder of its own."""

from pathlib import Path

import numpy as np
import pytest

from fedrlhf.errors import UserError
from fedrlhf.federation.memory import Memory, client_folder


def state(value: float) -> dict[str, np.ndarray]:
    """Return arrays of several kinds and shapes, with a name that no file could have."""
    return {"a/b c": np.full((2, 3), value, np.float32), "step": np.array(value, np.float64),
            "empty": np.zeros(0, np.float32)}


def test_a_round_reads_what_an_earlier_one_left(tmp_path: Path) -> None:
    """Rounds 2 and 5 were kept: rounds 1 and 2 find nothing, 3 to 5 find 2's, later ones 5's.

    So round 5, repeated because the server has no checkpoint of it, begins as it did before.
    """
    memory = Memory(tmp_path / "client", files=4)
    for number in (2, 5):
        memory.keep(number, state(number))
    found = [memory.recall(number).get("step") for number in range(1, 8)]
    assert found == [None, None, 2, 2, 2, 5, 5]
    again = memory.recall(6)
    for name, value in state(5).items():
        assert again[name].dtype == value.dtype and again[name].shape == value.shape
        np.testing.assert_array_equal(again[name], value)


def test_files_of_a_time_that_is_gone_are_removed(tmp_path: Path) -> None:
    """With three files, rounds 1 to 5 leave 3, 4 and 5; round 4, repeated, leaves 3 and 4."""
    memory = Memory(tmp_path, files=3)
    for number in (1, 2, 3, 4, 5):
        memory.keep(number, state(number))
    assert memory.rounds() == [3, 4, 5]
    memory.keep(4, state(-4))
    assert memory.rounds() == [3, 4] and memory.recall(9)["step"] == -4


def test_nothing_to_keep(tmp_path: Path) -> None:
    """A client that keeps nothing leaves no trace; one that gives all up is not given it back."""
    memory = Memory(tmp_path / "client", files=2)
    memory.keep(1, {})
    assert not memory.folder.exists()
    memory.keep(2, state(2))
    memory.keep(3, {})
    assert memory.recall(4) == {}


def test_what_cannot_be_read_or_written(tmp_path: Path) -> None:
    """A damaged file and a folder that cannot be made are named, with what to do."""
    memory = Memory(tmp_path / "client", files=2)
    memory.keep(1, state(1))
    (tmp_path / "client" / "000001.safetensors").write_bytes(b"half")
    with pytest.raises(UserError, match="000001.safetensors cannot be read.*or remove it"):
        memory.recall(2)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="memory=… in its node configuration"):
        Memory(tmp_path / "file" / "client", files=2).keep(1, state(1))


def test_folders_of_clients() -> None:
    """Any id makes a plain name; another client or another federation has another folder."""
    names = [client_folder(key, client) for key in ("k", "kk") for client in (
        "anna", "../anna", "a/b\0c", "Ä" * 500, "")]
    assert len(set(names)) == len(names)
    assert all(name.isalnum() and len(name) == 16 for name in names)
    assert client_folder("k", "kanna") != client_folder("kk", "anna")
