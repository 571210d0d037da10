"""Read what wandb wrote: a log of records in the format of LevelDB."""

import struct
from collections.abc import Iterator
from pathlib import Path

from wandb.proto import wandb_internal_pb2

_BLOCK, _FILE_HEADER, _HEADER = 32768, 7, 7
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


def read_records(path: Path) -> list[wandb_internal_pb2.Record]:
    """Return the records of a .wandb file."""
    records = []
    content = b""
    for kind, piece in _pieces(path.read_bytes()):
        content = piece if kind in (_FULL, _FIRST) else content + piece
        if kind in (_FULL, _LAST):
            records.append(wandb_internal_pb2.Record.FromString(content))
    return records


def _pieces(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the type and the bytes of each piece; none crosses the end of a block.

    A block's last bytes are zeros where no header fits. Each header: checksum, length, type.
    """
    assert data[:4] == b":W&B"
    place = _FILE_HEADER
    while place + _HEADER <= len(data):
        if _BLOCK - place % _BLOCK < _HEADER:
            place += _BLOCK - place % _BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", data[place:place + _HEADER])
        if not kind:  # room that was made and never filled
            return
        yield kind, data[place + _HEADER:place + _HEADER + length]
        place += _HEADER + length
