"""What a client keeps between its rounds and sends to nobody."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from fedrlhf.errors import UserError
from fedrlhf.files import write_bytes

_SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Memory:
    """Named arrays of one client, one file for each round in which it trained.

    A round reads what an earlier one left, never its own file: a round that is repeated, because
    something was killed before the server had its checkpoint, begins as it did the first time.

    Attributes:
        folder: The client's own; it appears with the first file.
        files: How many rounds are kept: one more than a resumed stage may repeat.
    """

    folder: Path
    files: int

    def recall(self, server_round: int) -> dict[str, np.ndarray]:
        """Return what was kept in the last round before this one; empty where there is none.

        Raises:
            UserError: The file cannot be read.
        """
        earlier = [number for number in self.rounds() if number < server_round]
        if not earlier:
            return {}
        path = self._file(max(earlier))
        try:
            return load_file(path)
        except (OSError, SafetensorError) as error:
            raise UserError(f"{path} cannot be read ({error}); restore it, or remove it: the "
                            "client then goes on from the round before") from error

    def keep(self, server_round: int, arrays: dict[str, np.ndarray]) -> None:
        """Keep the arrays of a round; files of later rounds and old ones are removed.

        Nothing is written for a client that never keeps anything.

        Raises:
            UserError: The folder cannot be written.
        """
        if not arrays and not self.folder.is_dir():
            return
        try:
            write_bytes(self._file(server_round), save(
                {name: np.array(value, order="C") for name, value in arrays.items()}))
            past = [number for number in self.rounds() if number <= server_round]
            for number in set(self.rounds()) - set(past[-self.files:]):
                self._file(number).unlink()
        except OSError as error:
            raise UserError(f"what this client keeps for itself cannot be written to {self.folder} "
                            f"({error.strerror}); give the SuperNode a folder that it may write: "
                            "memory=… in its node configuration") from error

    def rounds(self) -> list[int]:
        """Return the rounds that are kept, in order."""
        found = self.folder.glob(f"[0-9]*{_SUFFIX}") if self.folder.is_dir() else ()
        return sorted(int(path.name.removesuffix(_SUFFIX)) for path in found)

    def _file(self, server_round: int) -> Path:
        return self.folder / f"{server_round:06d}{_SUFFIX}"


def client_folder(key: str, client_id: str) -> str:
    """Return the name of a client's folder: ids may hold any characters.

    Args:
        key: Another one for each federation, so that no other run's state is read.
        client_id: The client.
    """
    return hashlib.sha256(json.dumps([key, client_id]).encode()).hexdigest()[:16]
