"""Flower's ClientApp: what a client answers to each kind of message.

Only adapters and numbers leave this process; the shard is read here and stays here. In a
deployment each message has a process of its own: torch is imported by those that compute.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from flwr.app import ConfigRecord, Context, Message, MessageType, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from fedrlhf.config import load
from fedrlhf.deploy.flwr_run import enter_launcher_folder
from fedrlhf.errors import UserError
from fedrlhf.federation.faults import inject
from fedrlhf.federation.messages import (
    ARRAYS,
    CONFIG,
    ENVELOPE,
    EXAMPLES,
    check_source,
    from_arrays,
    reference_of,
    reply,
    to_arrays,
)
from fedrlhf.federation.site import Site, open_site, own_shard, shard_files
from fedrlhf.seeding import seed_for
from fedrlhf.types import CompletionPair, only_pairs

if TYPE_CHECKING:
    from fedrlhf.objectives.base import LocalTask

app = ClientApp()


@app.query("roll_call")
def roll_call(message: Message, context: Context) -> Message:
    """Say which clients this SuperNode holds and how many pairs each has."""
    enter_launcher_folder()
    check_source(message.content)
    config = load(str(context.run_config.get("overrides", "")))
    shards = [own_shard(path) for path in shard_files(config, context.node_config).values()]
    return Message(RecordDict({ENVELOPE: ConfigRecord({
        "client-ids": [shard.client_id for shard in shards],
        "train": [sum(not pair.tie for pair in shard.train) for shard in shards],
        "validation": [sum(not pair.tie for pair in shard.validation) for shard in shards],
        "test": [len(shard.test) for shard in shards]})}), reply_to=message)


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train the adapter in the message on the client's shard; of several, the best fitting one."""
    site = _open(message, context)
    adapters = from_arrays(message.content.array_records[ARRAYS])
    task = _task(site, message, next(iter(adapters.values())))
    chosen = _best_fitting(site, adapters, task)
    result = site.personal.train(site.objective, site.config, site.shard.train,
                                 replace(task, adapter=adapters[chosen]))
    adapter = inject(site.config.faults.get(site.shard.client_id), result.adapter)
    site.memory.keep(_server_round(message), dict(result.private))
    return reply(message, MetricRecord({EXAMPLES: result.examples, **result.metrics}),
                 to_arrays({chosen: adapter}))


@app.evaluate()
def validate(message: Message, context: Context) -> Message:
    """Measure the validation loss of the selector in the message, and of the client's own."""
    site = _open(message, context)
    shared = next(iter(from_arrays(message.content.array_records[ARRAYS]).values()))
    adapters = {"validation_loss": shared}
    if site.personal.separate:
        adapters["validation_loss_personal"] = personal_adapter(site, message, shared)
    decided = [one for one in site.shard.validation if not one.tie]
    losses = site.objective.losses(site.config, decided, list(adapters.values()),
                                   reference_of(message))
    return reply(message, MetricRecord({EXAMPLES: len(decided), **{
        name: float(loss) for name, loss in zip(adapters, losses, strict=True)}}))


@app.evaluate("rank")
def rank(message: Message, context: Context) -> Message:
    """Measure the validation loss of every selector in the message."""
    site = _open(message, context)
    adapters = from_arrays(message.content.array_records[ARRAYS])
    losses = _losses(site, adapters, _task(site, message, next(iter(adapters.values()))))
    return reply(message, MetricRecord({EXAMPLES: len(site.shard.validation),
                                        "losses": [float(loss) for loss in losses]}))


@app.evaluate("agreement")
def agreement(message: Message, context: Context) -> Message:
    """Compare what was trained with the client's held-out preferences; return counts."""
    from fedrlhf.evaluation.agreement import agreement_counts, personal_counts
    from fedrlhf.selectors.voting import judge_with_all

    site = _open(message, context)
    adapters = from_arrays(message.content.array_records[ARRAYS])
    own = int(message.content.config_records[CONFIG]["own"])  # type: ignore[arg-type]
    pairs = only_pairs(site.shard.test)

    def judge(vectors: Iterable[np.ndarray]) -> Callable[[Sequence[CompletionPair]], np.ndarray]:
        return lambda pairs: judge_with_all(
            site.objective.open(site.config, reference_of(message)), vectors, pairs)

    counts = agreement_counts(pairs, judge(adapters.values()), own=list(adapters).index(own))
    if site.personal.separate:
        personal = personal_adapter(site, message, adapters[own])
        counts |= personal_counts(pairs, judge([personal]))
    return reply(message, MetricRecord({**counts}))


@app.evaluate("rewards")
def rewards(message: Message, context: Context) -> Message:
    """Let the policy answer the client's held-out prompts; return mean rewards."""
    from fedrlhf.evaluation.rewards import reward_numbers
    from fedrlhf.objectives.policy import open_policy

    site = _open(message, context)
    config, adapters = site.config, from_arrays(message.content.array_records[ARRAYS])
    policy = open_policy(config, 1.0, config.evaluate.max_length, reference_of(message))
    return reply(message, MetricRecord({**reward_numbers(
        policy, next(iter(adapters.values())), site.shard.test, site.scorer(), config.evaluate,
        seed_for(config.run.seed, "evaluate rewards", site.shard.client_id))}))


def _open(message: Message, context: Context) -> Site:
    from fedrlhf.models.runtime import prepare_process, quiet_libraries

    quiet_libraries()
    prepare_process(threads=1)
    enter_launcher_folder()
    site = open_site(message, context)
    layout = str(message.content.config_records[ENVELOPE]["layout"])
    if layout and layout != (mine := site.objective.open(site.config).slot.layout.digest):
        part = "tutor" if site.objective.trains == "policy" else "selector"
        raise UserError(f"this client's adapter layout is {mine}, the server's {layout}: "
                        f"{part}.model or {part}.adapter differ between the two")
    return site


def personal_adapter(site: Site, message: Message, shared: np.ndarray) -> np.ndarray:
    """Return the client's own adapter beside a shared one, as the message's round left it.

    Without personal models that is the shared one.
    """
    return site.personal.adapter(site.objective, site.config, site.examples,
                                 _task(site, message, shared, done=True))


def _task(site: Site, message: Message, adapter: np.ndarray, done: bool = False) -> "LocalTask":
    """Return what the message asks of the client.

    Args:
        site: The client.
        message: Its round tells the seed and what the client kept before it.
        adapter: The shared one to start from.
        done: Whether the client has trained in that round, so that it kept that too.
    """
    from fedrlhf.objectives.base import LocalTask

    request: Mapping[str, Any] = message.content.config_records[CONFIG]
    server_round, client = _server_round(message), site.shard.client_id
    trains = site.personal.rebuilds or message.metadata.message_type == MessageType.TRAIN
    return LocalTask(
        adapter, seed_for(site.config.run.seed, "train", server_round, client),
        float(request.get("proximal-mu", 0.0)), reference_of(message),
        site.scorer() if trains and site.objective.needs_reward else None,
        site.memory.recall(server_round + done))


def _server_round(message: Message) -> int:
    return int(message.content.config_records[CONFIG]["server-round"])  # type: ignore[arg-type]


def _best_fitting(site: Site, adapters: dict[int, np.ndarray], task: "LocalTask") -> int:
    if len(adapters) == 1:
        return next(iter(adapters))
    losses = _losses(site, adapters, task)
    if np.isnan(losses).all():
        return min(adapters)
    return list(adapters)[int(np.nanargmin(losses))]


def _losses(site: Site, adapters: dict[int, np.ndarray], task: "LocalTask") -> np.ndarray:
    """Return each adapter's validation loss with the client's own entries in it."""
    completed = [site.personal.complete(site.objective, site.config, site.examples,
                                        replace(task, adapter=adapter))
                 for adapter in adapters.values()]
    return site.objective.losses(site.config, site.shard.validation, completed, task.reference)
