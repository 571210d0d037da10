"""partition: preferences become shards, one for each client."""

from dataclasses import replace

from fedrlhf.data.partition import partition
from fedrlhf.data.population import write_population
from fedrlhf.data.source import left_out
from fedrlhf.data.summary import summarise
from fedrlhf.stages.context import Context


def run(context: Context) -> None:
    """Divide the source's preferences into shards and save them.

    In a simulation this stands for what is so by nature in a deployment, where each site has its
    own file and the server never sees one.
    """
    config = context.config
    population = partition(context.source.preferences(), config.partition, config.run.seed)
    missing = left_out(context.source)
    population = replace(population, counts={**missing, **population.counts})
    summary = summarise(population)
    write_population(context.run.folder("partition"), population, summary)
    context.progress.message(
        f"partition: {len(population.shards)} clients, "
        f"{sum(len(shard.preferences) for shard in population.shards)} "
        f"{'preferences' if summary.get('ratings') else 'pairs'}"
        + (f"; left out: {_in_words(missing)}" if missing else ""))


def _in_words(counts: dict[str, int]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} ({count})" for name, count in counts.items())
