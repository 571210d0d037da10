"""Files are whole or absent, whatever kills the process."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fedrlhf.files import read_json, replaced_folder, write_bytes, write_json, write_text


def names(folder: Path) -> list[str]:
    """Return everything in a folder, hidden files too."""
    return sorted(path.name for path in folder.iterdir())


def test_round_trips(tmp_path: Path) -> None:
    """Bytes, text and JSON come back, folders are made, nothing else is left behind."""
    write_bytes(tmp_path / "a" / "b" / "x.bin", b"\x00\xff")
    assert (tmp_path / "a" / "b" / "x.bin").read_bytes() == b"\x00\xff"
    write_text(tmp_path / "x.txt", "Zürich\n")
    assert (tmp_path / "x.txt").read_text("utf-8") == "Zürich\n"
    write_json(tmp_path / "x.json", {"é": [1, None, 0.5]})
    assert read_json(tmp_path / "x.json") == {"é": [1, None, 0.5]}
    assert "é" in (tmp_path / "x.json").read_text("utf-8")
    assert names(tmp_path) == ["a", "x.json", "x.txt"]


def test_mode_follows_the_umask(tmp_path: Path) -> None:
    """A temporary file is private; the result is what `open` would have made: 666 without 027."""
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "file", "x")
        with replaced_folder(tmp_path / "folder"):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o750


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    """Content that cannot be written leaves the old file and no temporary one."""
    write_text(tmp_path / "x", "old")
    with pytest.raises(TypeError):
        write_bytes(tmp_path / "x", "no bytes")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        write_json(tmp_path / "x", {"set": {1}})
    assert (tmp_path / "x").read_text() == "old" and names(tmp_path) == ["x"]


def test_replaced_folder(tmp_path: Path) -> None:
    """The new folder takes the old one's place as a whole: the old file is gone."""
    target = tmp_path / "shards"
    target.mkdir()
    (target / "old").touch()
    with replaced_folder(target) as folder:
        (folder / "new").touch()
        assert names(target) == ["old"]
    assert names(target) == ["new"] and names(tmp_path) == ["shards"]


def test_an_error_keeps_the_old_folder(tmp_path: Path) -> None:
    """A block that fails changes nothing and leaves no temporary folder."""
    target = tmp_path / "shards"
    target.mkdir()
    (target / "old").touch()
    with pytest.raises(RuntimeError), replaced_folder(target) as folder:
        (folder / "new").touch()
        raise RuntimeError
    assert names(target) == ["old"] and names(tmp_path) == ["shards"]


def test_a_kill_leaves_a_whole_file(tmp_path: Path) -> None:
    """A process that rewrites a file over and over is killed; one of the two contents is there."""
    code = ("import sys, itertools; from pathlib import Path\n"
            "from fedrlhf.files import write_text\n"
            "for i in itertools.count(): write_text(Path(sys.argv[1]), 'ab'[i % 2] * 200_000)\n")
    path = tmp_path / "x"
    process = subprocess.Popen([sys.executable, "-c", code, str(path)],
                               env={**os.environ, "PYTHONPATH": ":".join(sys.path)})
    try:
        while not path.exists():
            time.sleep(0.01)
        time.sleep(0.3)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert path.read_text() in ("a" * 200_000, "b" * 200_000)


def test_a_replaced_folders_files_are_readable_as_the_umask_says(tmp_path: Path) -> None:
    """Rights of 0600, as safetensors leaves them, become the usual ones: 0666 & ~umask."""
    with replaced_folder(tmp_path / "made") as folder:
        (folder / "weights").write_bytes(b"x")
        (folder / "weights").chmod(0o600)
    (tmp_path / "usual").write_bytes(b"x")
    assert (tmp_path / "made" / "weights").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_signal_just_after_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is there; the caller sees the signal's exception, not one about a temporary file."""
    rename = os.replace

    def rename_and_stop(source: str, target: Path) -> None:
        rename(source, target)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", rename_and_stop)
    with pytest.raises(KeyboardInterrupt):
        write_text(tmp_path / "x", "new")
    assert (tmp_path / "x").read_text() == "new"
    assert names(tmp_path) == ["x"]
