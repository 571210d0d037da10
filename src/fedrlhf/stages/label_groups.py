"""label, where the clients judge: each scores the server's completions, the server joins them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import ConfigRecord, Message, MetricRecord, RecordDict

from fedrlhf.data.partition import POOL
from fedrlhf.errors import RunFailed
from fedrlhf.federation.client_grid import ClientGrid, Cost
from fedrlhf.federation.messages import (
    ARRAYS,
    CONFIG,
    METRICS,
    SCORE,
    TEXTS,
    to_arrays,
    to_texts,
)
from fedrlhf.files import read_json, write_json
from fedrlhf.models.runtime import all_cores, prepare_process
from fedrlhf.rewards.shares import DOES_NOT_FIT, fault
from fedrlhf.stages.context import Context
from fedrlhf.stages.join_groups import Joiner, joiner
from fedrlhf.stages.select import load_selectors, own_selectors
from fedrlhf.types import Prompt

COSTS = "costs.json"
Asked = Sequence[tuple[Prompt, list[str]]]  # prompts, each with different completions
Told = Mapping[str, list[float]]  # each client's shares, the prompts one after the other


@dataclass(frozen=True)
class Joined:
    """What the groups say of one prompt's completions.

    Attributes:
        groups: Who answered: the rows of ``shares``, in the order of client ids.
        shares: Shape (group, completion).
        reward: Their joint reward, shape (completion,); NaN where a completion does not fit.
    """

    groups: list[str]
    shares: np.ndarray
    reward: np.ndarray


def joint_rewards(context: Context, folder: Path, asked: Asked) -> list[Joined]:
    """Let every client score the completions and join the scores; one entry for each prompt.

    What a batch of prompts was told is on disk before the next one is asked, so that an interrupted
    stage goes on with what it has; joining begins anew from the first batch and is cheap.

    Raises:
        RunFailed: Too many clients failed on a batch.
    """
    settings, size = context.config.label, context.config.label.sampling.batch_prompts
    assert settings.aggregate is not None
    batches = [asked[start:start + size] for start in range(0, len(asked), size)]
    told = _told(context, folder, batches)
    join = joiner(settings.aggregate, settings.adaptive)
    found: list[Joined] = []
    for batch, of_batch in zip(batches, told, strict=True):
        groups = sorted(of_batch)
        sizes = [len(completions) for _, completions in batch]
        rows = np.array([of_batch[group] for group in groups])
        found += _joined(groups, np.split(rows, np.cumsum(sizes)[:-1], axis=1), join)
    return found


def _joined(groups: list[str], shares: Sequence[np.ndarray], join: Joiner) -> list[Joined]:
    """Join a batch; what does not fit for one group fits for none."""
    fits = [part[0] != DOES_NOT_FIT for part in shares]
    known = [part[:, fit] for part, fit in zip(shares, fits, strict=True) if fit.any()]
    rewards = iter(join(groups, known) if known else [])
    found = []
    for part, fit in zip(shares, fits, strict=True):
        whole = np.full(len(fit), np.nan)
        if fit.any():
            whole[fit] = next(rewards)
        found.append(Joined(groups, part, whole))
    return found


def pair_gaps(joined: Sequence[Joined]) -> list[tuple[float, np.ndarray]]:
    """Return for each pair of a prompt's completions how much more the first is worth.

    Returns:
        In the order of `itertools.combinations`, prompt by prompt: the gap of the joint rewards,
        NaN where a completion does not fit, and that of each group's shares, shape (group,).
    """
    return [(float(one.reward[i] - one.reward[j]), one.shares[:, i] - one.shares[:, j])
            for one in joined for i, j in combinations(range(len(one.reward)), 2)]


def _told(context: Context, folder: Path, batches: Sequence[Asked]) -> list[Told]:
    """Return each batch's shares by client; a batch that is on disk is not asked again."""
    ask = _Asking(context)
    told: list[Told] = []
    costs = Cost()
    with context.progress.task("label: score", len(batches)) as task:
        for number, batch in enumerate(batches):
            path = folder / "scored" / f"{number:05d}.json"
            if not path.exists():
                write_json(path, ask(batch))
            found = read_json(path)
            told.append(found["shares"])
            costs = Cost(**{name: value + found["cost"][name]
                            for name, value in asdict(costs).items()})
            task.advance()
    write_json(folder / COSTS, {SCORE: asdict(costs)})
    prepare_process(threads=all_cores())  # a client in this process has used one
    return told


class _Asking:
    """Asks all clients for a batch's shares; the selectors are read when the first is asked."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.grid: ClientGrid | None = None

    def __call__(self, batch: Asked) -> dict[str, Any]:
        """Return the shares by client and what the messages cost."""
        grid = self._opened()
        grid.costs.clear()
        texts, sizes = to_texts(batch), [len(completions) for _, completions in batch]
        request = ConfigRecord({"server-round": self.context.rounds.rounds})
        asked = [Message(RecordDict({ARRAYS: to_arrays({index: self.adapters[index]}),
                                     CONFIG: request, TEXTS: texts}), node, SCORE)
                 for node, index in self.judges.items()]
        found: dict[str, list[float]] = {}
        wrong: dict[str, str] = {}
        for reply in grid.send_and_receive(asked):
            client = grid.client(reply.metadata.src_node_id).client_id
            if reply.has_error():
                wrong[client] = (reply.error.reason or "unknown").splitlines()[-1]
                continue
            record: Mapping[str, Any] = reply.content.metric_records.get(METRICS, MetricRecord())
            told: Any = record.get("shares")
            if reason := fault(told, sizes):
                wrong[client] = reason
            else:
                found[client] = [float(value) for value in told]
        wrong |= unlike_the_others(found)
        self._report(wrong, len(asked))
        return {"shares": {client: values for client, values in found.items()
                           if client not in wrong}, "cost": asdict(grid.costs[SCORE])}

    def _opened(self) -> ClientGrid:
        if self.grid is None:
            slot = self.context.objective.open(self.context.config).slot
            self.adapters = load_selectors(self.context, slot)
            self.grid = self.context.client_grid(slot.layout.digest)
            own = own_selectors(self.context)
            self.judges = {node: own[name] for node in self.grid.nodes
                           if (name := self.grid.client(node).client_id) != POOL}
        return self.grid

    def _report(self, wrong: Mapping[str, str], asked: int) -> None:
        for client, reason in sorted(wrong.items()):
            self.context.progress.message(f"label: {client} was left out of a batch: {reason}")
        most = self.context.rounds.screen.max_failures
        if len(wrong) == asked or len(wrong) > most * asked:
            first = "; ".join(f"{client}: {reason}" for client, reason in sorted(wrong.items())[:3])
            raise RunFailed(f"{len(wrong)} of {asked} clients did not score a batch of completions "
                            f"(select.screen.max_failures={most:g}): {first}")


def unlike_the_others(told: Told) -> dict[str, str]:
    """Return the clients that say of other completions than most do that they do not fit.

    What fits is decided by the common base model and `selector.max_tokens`, so all must agree.
    """
    patterns = {client: tuple(value == DOES_NOT_FIT for value in values)
                for client, values in told.items()}
    usual = Counter(patterns.values()).most_common(1)
    return {client: "it says of other completions than most clients that they do not fit"
            for client, pattern in patterns.items() if pattern != usual[0][0]}
