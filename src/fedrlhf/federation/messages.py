"""What travels between server and clients: records, their keys and their size in bytes.

An adapter is one flat float32 array; hundreds of small arrays cost several times more than their
bytes, and bfloat16 cannot be sent. A message holds only the selectors that its client needs.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict

from fedrlhf.errors import UserError
from fedrlhf.types import Prompt, Turn

ARRAYS, CONFIG, METRICS = "arrays", "config", "metrics"  # Flower's own names of the records
ENVELOPE = "fedrlhf"  # our record in each message: client, round, code version, adapter layout
REFERENCE = "reference"  # record of the reference policy's adapter, where that is not the base
TEXTS = "texts"  # record of the server's prompts and completions that clients judge
EXAMPLES = "num-examples"  # Flower's default weight of a reply

ROLL_CALL, RANK = "query.roll_call", "evaluate.rank"
AGREEMENT, REWARDS = "evaluate.agreement", "evaluate.rewards"
LABELS, RATINGS = "evaluate.labels", "evaluate.ratings"
SCORE = "evaluate.score"


def selector_key(index: int) -> str:
    """Return the array's name of selector `index` in a record: ``selector_0``."""
    return f"selector_{index}"


def selector_index(key: str) -> int:
    """Return the selector's number from its array's name."""
    return int(key.removeprefix("selector_"))


def to_arrays(adapters: Mapping[int, np.ndarray]) -> ArrayRecord:
    """Pack adapters by selector number."""
    return ArrayRecord({selector_key(index): Array(np.ascontiguousarray(vector, np.float32))
                        for index, vector in sorted(adapters.items())})


def from_arrays(record: ArrayRecord) -> dict[int, np.ndarray]:
    """Unpack adapters by selector number."""
    return {selector_index(key): array.numpy() for key, array in record.items()}


def reference_of(message: Message) -> np.ndarray | None:
    """Return the reference policy's adapter from a message; None: the base model."""
    record = message.content.array_records.get(REFERENCE)
    return None if record is None else from_arrays(record)[0]


def tensor_bytes(content: RecordDict) -> int:
    """Count the bytes of all arrays in a message: values times bytes a value."""
    return sum(_bytes(array) for record in content.array_records.values()
               for array in record.values())


def _bytes(array: Array) -> int:
    try:
        return int(np.prod(array.shape)) * np.dtype(array.dtype).itemsize
    except TypeError:  # a client may declare anything; the screen rejects it later
        return len(array.data)


def number_bytes(content: RecordDict) -> int:
    """Count the bytes of all metrics in a message: eight for each number."""
    return sum(8 * (len(value) if isinstance(value, list) else 1)
               for record in content.metric_records.values() for value in record.values())


def to_texts(asked: Sequence[tuple[Prompt, Sequence[str]]]) -> ConfigRecord:
    """Pack prompts with their completions; all of it is the server's own text."""
    return ConfigRecord({
        "prompts": [json.dumps(prompt) for prompt, _ in asked],
        "counts": [len(completions) for _, completions in asked],
        "completions": [text for _, completions in asked for text in completions]})


def from_texts(record: ConfigRecord) -> list[tuple[Prompt, list[str]]]:
    """Unpack prompts with their completions."""
    told: Mapping[str, Any] = record
    texts = iter(told["completions"])
    return [(_prompt(json.loads(prompt)), [next(texts) for _ in range(count)])
            for prompt, count in zip(told["prompts"], told["counts"], strict=True)]


def _prompt(read: Any) -> Prompt:
    return read if isinstance(read, str) else tuple(
        Turn(role=turn["role"], content=turn["content"]) for turn in read)


def text_bytes(content: RecordDict) -> int:
    """Count the bytes of the prompts and completions in a message, in UTF-8."""
    record: Mapping[str, Any] = content.config_records.get(TEXTS, ConfigRecord())
    return sum(len(text.encode()) for value in record.values() if isinstance(value, list)
               for text in value if isinstance(text, str))


def reply(message: Message, metrics: MetricRecord, arrays: ArrayRecord | None = None) -> Message:
    """Answer a message with numbers and, after training, arrays."""
    content = RecordDict({METRICS: metrics})
    if arrays is not None:
        content[ARRAYS] = arrays
    return Message(content, reply_to=message)


def envelope(client_id: str, layout: str, memory: str = "") -> ConfigRecord:
    """Address a message to a client and say which code and adapter layout it is made for.

    Args:
        client_id: The client.
        layout: Digest of the adapter's layout; "" where no adapter is meant.
        memory: The federation that the message belongs to, so that the client finds what it kept.
    """
    return ConfigRecord({"client-id": client_id, "source": source_hash(), "layout": layout,
                         "memory": memory})


def check_source(content: RecordDict) -> None:
    """Refuse a message of a server that runs other code than this client.

    Raises:
        UserError: The hashes of the two packages differ.
    """
    theirs = str(content.config_records[ENVELOPE]["source"])
    if theirs != source_hash():
        raise UserError(
            f"this client runs fedrlhf source {source_hash()}, the server {theirs}: install the "
            "same version on both; in simulation, stop the SuperLink that an older checkout "
            "started")


@lru_cache(maxsize=1)
def source_hash() -> str:
    """Hash the package's Python files, so that mixed versions are found out."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
