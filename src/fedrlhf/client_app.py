"""Flower's ClientApp: what a client answers to each kind of message.

Only adapters and numbers leave this process; the shard is read here and stays here. In a
deployment each message has a process of its own: torch is imported by those that compute.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from flwr.app import ConfigRecord, Context, Message, MetricRecord, RecordDict
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
from fedrlhf.types import only_pairs

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
    from fedrlhf.objectives.base import LocalTask

    site = _open(message, context)
    adapters = from_arrays(message.content.array_records[ARRAYS])
    request: Mapping[str, Any] = message.content.config_records[CONFIG]
    chosen = _best_fitting(site, adapters, reference_of(message))
    result = site.objective.train(site.config, site.shard.train, LocalTask(
        adapters[chosen],
        seed_for(site.config.run.seed, "train", int(request["server-round"]), site.shard.client_id),
        float(request.get("proximal-mu", 0.0)), reference_of(message),
        site.scorer() if site.objective.needs_reward else None))
    adapter = inject(site.config.faults.get(site.shard.client_id), result.adapter)
    return reply(message, MetricRecord({EXAMPLES: result.examples, **result.metrics}),
                 to_arrays({chosen: adapter}))


@app.evaluate()
def validate(message: Message, context: Context) -> Message:
    """Measure the validation loss of the selector in the message."""
    site = _open(message, context)
    adapters = from_arrays(message.content.array_records[ARRAYS])
    decided = [one for one in site.shard.validation if not one.tie]
    loss = site.objective.losses(site.config, decided, list(adapters.values()),
                                 reference_of(message))[0]
    return reply(message, MetricRecord({EXAMPLES: len(decided), "validation_loss": float(loss)}))


@app.evaluate("rank")
def rank(message: Message, context: Context) -> Message:
    """Measure the validation loss of every selector in the message."""
    site = _open(message, context)
    adapters = from_arrays(message.content.array_records[ARRAYS])
    losses = site.objective.losses(site.config, site.shard.validation, list(adapters.values()),
                                   reference_of(message))
    return reply(message, MetricRecord({EXAMPLES: len(site.shard.validation),
                                        "losses": [float(loss) for loss in losses]}))


@app.evaluate("agreement")
def agreement(message: Message, context: Context) -> Message:
    """Compare what was trained with the client's held-out preferences; return counts."""
    from fedrlhf.evaluation.agreement import agreement_counts
    from fedrlhf.selectors.voting import judge_with_all

    site = _open(message, context)
    adapters = from_arrays(message.content.array_records[ARRAYS])
    request: Mapping[str, Any] = message.content.config_records[CONFIG]
    counts = agreement_counts(
        only_pairs(site.shard.test),
        lambda pairs: judge_with_all(site.objective.open(site.config, reference_of(message)),
                                     adapters.values(), pairs),
        own=list(adapters).index(int(request["own"])))
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


def _best_fitting(site: Site, adapters: dict[int, np.ndarray],
                  reference: np.ndarray | None) -> int:
    if len(adapters) == 1:
        return next(iter(adapters))
    losses = site.objective.losses(site.config, site.shard.validation, list(adapters.values()),
                                   reference)
    if np.isnan(losses).all():
        return min(adapters)
    return list(adapters)[int(np.nanargmin(losses))]
