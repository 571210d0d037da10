"""What a configuration would do, before anything is loaded: shards, bytes, memory, arithmetic."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fedrlhf.config import build, schema
from fedrlhf.data.partition import POOL, partition
from fedrlhf.data.population import Population
from fedrlhf.errors import DataError
from fedrlhf.federation.client_grid import Client
from fedrlhf.federation.rehearsal import Traffic, rehearse
from fedrlhf.models.load import LANGUAGE
from fedrlhf.models.memory import (
    generation_bytes,
    reading_flops,
    training_bytes,
    training_flops,
)
from fedrlhf.models.skeleton import Skeleton, skeleton
from fedrlhf.objectives.base import Objective
from fedrlhf.types import as_text

TERAFLOPS = 200.0  # sustained, in 10^12 operations a second; an assumption, half of an A100's peak
_CHARACTERS = 4.0  # of a token, where no tokenizer is at hand
_UNKNOWN_PAIRS = (100, 10, 20)  # train, validation and test of a client whose data are not here
_COUNTS, _COUNTS_EACH = 20, 3  # numbers in a reply to "agreement", and further ones each selector


@dataclass(frozen=True)
class Line:
    """A fact of the plan: what, how much, and how that is known."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Part:
    """A part of the plan under one heading."""

    title: str
    lines: tuple[Line, ...]


def plan(config: schema.Config, teraflops: float = TERAFLOPS) -> list[Part]:
    """Describe a run without loading a model or writing a file.

    The data are read where they are at hand; the messages are counted by a rehearsal with the
    configured strategy; sizes come from the models' configurations.

    Raises:
        UserError: The configuration or the data are refused, as `fedrlhf run` would refuse them.
    """
    objective: Objective = build(config.objective, "objective", config.trust)
    population, reason = _population(config)
    clients = _clients(config, population)
    texts, source = _text_tokens(population)
    models = _models(config, objective)
    work = _Work(config, objective, clients, models, texts, teraflops)
    return [_data_part(config, clients, population, reason),
            _model_part(config, models), *_federation_part(work), *_server_part(work),
            _memory_part(work, source)]


def show(parts: Sequence[Part]) -> str:
    """Render a plan as text, a line for each fact."""
    lines = []
    for part in parts:
        lines += [part.title, *(f"  {line.name:<21} {line.value:<28} {line.note}".rstrip()
                                for line in part.lines)]
    return "\n".join(lines)


@dataclass(frozen=True)
class _Work:
    """What the parts are made of."""

    config: schema.Config
    objective: Objective
    clients: Sequence[Client]
    models: dict[str, Skeleton]
    texts: dict[str, float]
    teraflops: float

    @property
    def stage(self) -> str:
        return "rlhf" if self.objective.trains == "policy" else "select"

    @property
    def rounds(self) -> schema.Rounds:
        return getattr(self.config, self.stage)  # type: ignore[no-any-return]

    @property
    def trained(self) -> str:
        return "tutor" if self.stage == "rlhf" else "selector"

    @property
    def sends_reference(self) -> bool:
        """Whether the clients need the reference policy: it is no base model after sft."""
        return self.stage == "rlhf" and "sft" in self.config.run.stages

    @property
    def longest(self) -> int:
        """The most tokens of a sequence in training."""
        return int(getattr(self.objective, "max_length", self.config.selector.max_tokens))

    @property
    def pair(self) -> float:
        """Mean tokens that a step of the objective reads of a pair, in all its sequences."""
        return self.tokens(self.objective.reads, self.longest)

    def tokens(self, sequences: Sequence[Sequence[str]], longest: int) -> float:
        """Return the mean tokens of sequences made of these texts, none longer than allowed."""
        return sum(min(longest, sum(self.texts.get(name, longest) for name in names))
                   for names in sequences)

    def hours(self, flops: float) -> str:
        hours = flops / self.teraflops / 1e12 / 3600
        return f"{flops:.2e} operations, {hours:,.2f} h" if hours >= 0.01 else (
            f"{flops:.2e} operations, {3600 * hours:,.1f} s")


def _population(config: schema.Config) -> tuple[Population | None, str]:
    source = build(config.data, "data", config.trust)
    try:
        return partition(source.preferences(), config.partition, config.run.seed), ""
    except DataError as error:
        return None, str(error).split(". ")[0][:200]


def _clients(config: schema.Config, population: Population | None) -> list[Client]:
    if population is not None:
        return [Client(shard.client_id, 1, sum(not pair.tie for pair in shard.train),
                       sum(not pair.tie for pair in shard.validation), len(shard.test))
                for shard in population.shards]
    if config.partition.clients is None:
        raise DataError("the data are not here and partition.clients is not set, so nothing says "
                        "how many clients there are; set partition.clients, or data.path to a "
                        "local copy")
    count, (train, validation, test) = config.partition.clients, _UNKNOWN_PAIRS
    if config.partition.pool_training:
        return [*(Client(f"client_{i:04d}", 1, 0, 0, test) for i in range(count)),
                Client(POOL, 1, count * train, count * validation, 0)]
    return [Client(f"client_{i:04d}", 1, train, validation, test) for i in range(count)]


def _text_tokens(population: Population | None) -> tuple[dict[str, float], str]:
    """Return the mean tokens of prompts, chosen and rejected completions; none if unknown."""
    if population is None:
        return {}, "every text as long as it may be"
    pairs = [pair for shard in population.shards for pair in shard.pairs]
    characters = {"prompt": [len(as_text(pair.prompt)) for pair in pairs],
                  "chosen": [len(pair.chosen) for pair in pairs],
                  "rejected": [len(pair.rejected) for pair in pairs]}
    return {name: float(np.mean(found)) / _CHARACTERS for name, found in characters.items()}, (
        "four characters a token")


def _models(config: schema.Config, objective: Objective) -> dict[str, Skeleton]:
    found = {"tutor": skeleton(config.tutor.model, config.tutor.adapter, LANGUAGE)}
    if objective.trains == "judge" and {"select", "label"} & set(config.run.stages):
        found["selector"] = skeleton(config.selector.model, config.selector.adapter, objective.head)
    return found


def _data_part(config: schema.Config, clients: Sequence[Client], population: Population | None,
               reason: str) -> Part:
    name = str(config.data["_target_"]).rpartition(".")[2]
    lines = [Line("source", name, str(config.data.get("path") or ""))]
    if population is None:
        lines += [Line("clients", str(len(clients)), "as partition.clients says"),
                  Line("pairs", "unknown", f"the data are not here: {reason}")]
        return Part("Data", tuple(lines))
    lines.append(Line("clients", str(len(clients)), _spread([c.train for c in clients])))
    for split in ("train", "validation", "test"):
        lines.append(Line(f"pairs to {split}", f"{sum(getattr(c, split) for c in clients):,}"))
    lines += [Line(key.replace("_", " "), f"{count:,}", "left out or lacking")
              for key, count in population.counts.items()]
    return Part("Data", tuple(lines))


def _spread(sizes: Sequence[int]) -> str:
    return f"{min(sizes):,} to {max(sizes):,} pairs to train on, median {np.median(sizes):,.0f}"


def _model_part(config: schema.Config, models: dict[str, Skeleton]) -> Part:
    lines = []
    for part, model in models.items():
        spec = getattr(config, part).model
        lines += [
            Line(part, spec.path, f"{model.kind}, {model.parameters:,} parameters"),
            Line("… weights", _memory(model.weights),
                 f"{spec.dtype}, quantization {spec.quantization}"),
            Line("… adapter", f"{model.adapter:,} values",
                 f"{_size(4 * model.adapter)} in float32")]
    return Part("Models", tuple(lines))


def _federation_part(work: _Work) -> Iterator[Part]:
    if work.stage not in work.config.run.stages:
        return
    config, model = work.config, work.models[work.trained]
    strategy = build(config.strategy, "strategy", config.trust)
    name = type(strategy).__name__
    count = getattr(strategy, "count", lambda clients: 1)(len(work.clients))
    traffic = rehearse(work.clients, strategy, work.rounds, config.run.seed, work.sends_reference)
    if "evaluate" in config.run.stages:
        traffic["evaluate.agreement"] = _agreement(work, strategy, count)
    lines = [Line("strategy", name, f"{count} {'adapters' if count > 1 else 'adapter'}"),
             Line("rounds", f"{work.rounds.rounds}",
                  f"{min(work.rounds.clients_per_round, len(work.clients))} clients each")]
    for kind, of_kind in traffic.items():
        lines.append(Line(f"… {kind.rpartition('.')[2]}", f"{of_kind.messages:,} messages",
                          f"down {_size(of_kind.down(model.adapter))}, "
                          f"up {_size(of_kind.up(model.adapter))}"))
    lines += [Line(f"bytes {way}", f"{total:,}", _size(total)) for way, total in (
        ("to clients", sum(t.down(model.adapter) for t in traffic.values())),
        ("from clients", sum(t.up(model.adapter) for t in traffic.values())))]
    lines.append(Line("training", work.hours(_client_flops(work, traffic)),
                      f"at {work.teraflops:g} TFLOP/s"))
    yield Part(f"Stage {work.stage}", tuple(lines))


def _agreement(work: _Work, strategy: object, count: int) -> Traffic:
    asked = sum(client.test > 0 for client in work.clients)
    each = count if getattr(strategy, "shared", True) else 1
    return Traffic(asked, asked * (each + work.sends_reference), 0,
                   8 * asked * (_COUNTS + _COUNTS_EACH * each))


def _client_flops(work: _Work, traffic: dict[str, Traffic]) -> float:
    """Estimate all training, with the pairs read under the reference, and all ranking."""
    objective, model = work.objective, work.models[work.trained]
    trained = traffic["train"].messages
    size = float(np.mean([client.train for client in work.clients if client.train]))
    steps = objective.local_steps or objective.local_epochs * -(-int(size) // objective.batch_size)
    flops = training_flops(model, trained * steps * objective.batch_size * work.pair,
                           _checkpointing(work, work.trained))
    ranked = sum(t.adapters_down for kind, t in traffic.items() if kind == "evaluate.rank")
    validation = float(np.mean([client.validation for client in work.clients]))
    read = ranked * validation + (trained * size if objective.reads_reference else 0)
    return flops + reading_flops(model, read * work.pair)


def _server_part(work: _Work) -> Iterator[Part]:
    """Describe sft, label and align: what is written, judged and trained on, at most."""
    stages = work.config.run.stages
    if "sft" in stages:
        yield _sft_part(work)
    if not {"label", "align"} & set(stages):
        return
    count, each = work.config.label.instructions, work.config.label.completions
    pairs = each * (each - 1) // 2
    lines = [Line("instructions", "all of the source" if count is None else f"at most {count:,}",
                  f"{each} completions each, so at most {pairs} pairs")]
    if count is not None:
        lines += _label_lines(work, count, pairs) if "label" in stages else []
        lines += _align_lines(work, count * pairs) if "align" in stages else []
    yield Part("Stages label and align", tuple(lines))


def _label_lines(work: _Work, count: int, pairs: int) -> list[Line]:
    label = work.config.label
    written = count * label.completions
    return [Line("completions", f"{written:,}",
                 f"at most {written * label.sampling.max_new_tokens:,} tokens"),
            Line("pairs", f"at most {count * pairs:,}", "both orders by every selector"),
            Line("judging", work.hours(reading_flops(
                work.models["selector"], count * pairs * work.pair)), "by one selector")]


def _align_lines(work: _Work, pairs: int) -> list[Line]:
    settings, model = work.config.align, work.models["tutor"]
    steps = settings.max_steps or max(1, int(settings.epochs * -(-pairs // settings.batch_size)))
    each = work.tokens((("prompt", "chosen"), ("prompt", "rejected")), settings.max_length)
    return [Line("DPO steps", f"at most {steps:,}", f"{settings.batch_size} pairs each"),
            Line("DPO", work.hours(
                training_flops(model, steps * settings.batch_size * each,
                               _checkpointing(work, "tutor"))
                + reading_flops(model, pairs * each)),
                f"with the reference, at {work.teraflops:g} TFLOP/s")]


def _sft_part(work: _Work) -> Part:
    settings = work.config.sft
    lines = [Line("demonstrations", str(settings.path), f"split {settings.split}")]
    if settings.max_steps is not None:
        tokens = settings.max_steps * settings.batch_size * settings.max_length
        lines += [Line("steps", f"{settings.max_steps:,}", f"{settings.batch_size} rows each"),
                  Line("training", work.hours(training_flops(
                      work.models["tutor"], tokens, _checkpointing(work, "tutor"))),
                      f"rows of {settings.max_length} tokens, at {work.teraflops:g} TFLOP/s")]
    return Part("Stage sft", tuple(lines))


def _memory_part(work: _Work, lengths: str) -> Part:
    """Estimate the peak of each kind of work on one GPU."""
    config, tutor = work.config, work.models["tutor"]
    lines = []
    if work.stage in config.run.stages:
        tokens = _forward_tokens(work)
        lines.append(Line(f"{work.stage}: training", _memory(training_bytes(
            work.models[work.trained], tokens, work.objective.optimizer,
            _checkpointing(work, work.trained))), f"{tokens:,} tokens in a forward pass"))
    if "sft" in config.run.stages:
        rows = config.sft.micro_batch_size
        lines.append(Line("sft: training", _memory(training_bytes(
            tutor, rows * config.sft.max_length, config.sft.optimizer,
            _checkpointing(work, "tutor"))), f"{rows} rows of {config.sft.max_length} tokens"))
    if "label" in config.run.stages:
        sampling = config.label.sampling
        batch = sampling.batch_prompts * config.label.completions
        longest = config.selector.max_tokens + sampling.max_new_tokens
        lines.append(Line("label: writing", _memory(generation_bytes(tutor, batch, longest)),
                          f"{batch} texts at once, prompts of {config.selector.max_tokens} tokens"))
    if "align" in config.run.stages:
        dpo = 2 * config.align.micro_batch_size * config.align.max_length
        lines.append(Line("align: training", _memory(training_bytes(
            tutor, dpo, config.align.optimizer, _checkpointing(work, "tutor"))),
            f"{config.align.micro_batch_size} pairs of {config.align.max_length} tokens at once"))
    lines.append(Line("how", "formulas", f"models/memory.py; fragmentation and the libraries' own "
                      f"memory come on top; lengths: {lengths}"))
    return Part("GPU memory, estimated", tuple(lines))


def _forward_tokens(work: _Work) -> int:
    """Return the padded tokens of a forward pass: the budget, or a whole batch if that is less.

    The sequences of the longest pair are read together where each is a completion of its own.
    """
    sequences = len(work.objective.reads)
    least = sequences if work.objective.reads[0] != work.objective.reads[-1] else 1
    return max(least * work.longest, min(work.config.selector.tokens_per_forward,
                                         sequences * work.objective.batch_size * work.longest))


def _checkpointing(work: _Work, part: str) -> bool:
    return bool(getattr(work.config, part).model.gradient_checkpointing)


def _memory(number: float) -> str:
    return f"{number / 2**30:.1f} GiB" if number >= 2**30 else f"{number / 2**20:.1f} MiB"


def _size(number: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:,.0f} {unit}" if unit == "B" else f"{number:,.1f} {unit}"
        number /= 1000
    return f"{number:,.2f} TB"

