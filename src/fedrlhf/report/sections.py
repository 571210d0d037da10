"""What the page says about the federation: shards, selectors, groups, agreement."""

from collections import defaultdict
from collections.abc import Sequence

from fedrlhf.report import plots
from fedrlhf.report.artifacts import Artifacts, Facts, facts, finite, numbers, rows
from fedrlhf.report.parts import Fact, Section, Table
from fedrlhf.report.rewards import reward_curve
from fedrlhf.report.rounds import (
    Round,
    losses_by_selector,
    planted_groups,
    read_rounds,
    strategy_name,
    warmup_rounds,
)
from fedrlhf.report.verdict import selector_count
from fedrlhf.report.words import counted, listed, number, percent, plain
from fedrlhf.types import SPLITS

_MOST_ROWS = 200  # of a table; the files hold the rest
_REASONS = {
    "below_min_pairs": "with fewer pairs than partition.min_pairs",
    "not_chosen": "not among the chosen ones (partition.clients)",
    "without_training": "all of whose choices are held out",
    "without_validation": "without a prompt to validate on",
    "without_test": "without a prompt to test on",
    "only_in_pool": "only in the pool of training pairs",
    "unseen": "withheld from training (partition.unseen)",
}


def shards(artifacts: Artifacts) -> Section:
    """Describe the clients' shards by numbers and what was left out of them."""
    summary = facts(artifacts.population.get("summary"))
    clients = rows(summary.get("rows"))
    sizes = [{split: sizes.get(split, 0.0) for split in SPLITS}
             for row in clients if (sizes := numbers(row.get("sizes")))]
    longer, first = (_shares(clients, name) for name in ("longer", "chosen_first"))
    what = "preferences" if "ratings" in summary else "preference pairs"
    pictures = [plots.shard_sizes(sizes, what)] if sizes else []
    if longer or first:
        pictures.append(plots.tastes(longer, first, planted_groups(artifacts)))
    return Section(
        "shards", "The shards", "A shard is what one client holds; it never leaves the client.",
        _shard_facts(summary), _left_out(artifacts.population), pictures)


def _shares(clients: Sequence[Facts], name: str) -> dict[str, float]:
    return {str(row.get("client_id")): value for row in clients
            if (value := finite(row.get(name))) is not None}


def _shard_facts(summary: Facts) -> list[Fact]:
    plain_numbers, sizes = numbers(summary), facts(summary.get("sizes"))
    longer = numbers(summary.get("longer"))
    found = [Fact(name, number(plain_numbers[key])) for key, name in (
        ("clients", "clients"),
        ("pairs", "preferences" if "ratings" in plain_numbers else "preference pairs"),
        ("ratings", "of them ratings of single answers"), ("ties", "ties, never trained on"))
        if key in plain_numbers]
    totals = {split: numbers(sizes.get(split)).get("total") for split in SPLITS}
    if all(total is not None for total in totals.values()):
        found.append(Fact(" / ".join(SPLITS), " / ".join(
            number(total) for total in totals.values() if total is not None)))
    if "chosen_first" in plain_numbers:
        found.append(Fact("chosen was shown first", percent(plain_numbers["chosen_first"])))
    if {"median", "std"} <= set(longer):
        found.append(Fact("prefer the longer completion", percent(longer["median"]),
                          f"median; standard deviation over clients {percent(longer['std'])}"))
    if "divergence" in plain_numbers:
        found.append(Fact("divergence between clients", f"{plain_numbers['divergence']:.3f} bits",
                          f"of “{plain(summary.get('divergence_column'), 30)}”, mean "
                          "Jensen-Shannon divergence from everyone, 0 to 1"))
    return found


def _left_out(population: Facts) -> list[str]:
    """Say what the partition left out and why, in words."""
    counts = numbers(population.get("counts"))
    if not counts:  # what a deployment's sites left out stays with them
        divided = any(entry.get("file") for entry in rows(population.get("shards")))
        return ["Nothing was left out."] if divided else []
    found = []
    for name, count in sorted(counts.items()):
        noun, _, reason = name.partition("_")
        words = _REASONS.get(reason, plain(reason.replace("_", " ")))
        found.append(f"{counted(count, noun.removesuffix('s'))} {words}" if noun.endswith("s")
                     else f"{plain(noun)} {words} ({count:,.0f})")
    return [f"Left out or incomplete: {'; '.join(found)}."]


def selectors(artifacts: Artifacts) -> Section:
    """Show how the selectors learned and whose updates were not used."""
    rounds = read_rounds(artifacts)
    losses = losses_by_selector(artifacts, rounds)
    validation = {record.number: record.validation for record in rounds
                  if record.validation is not None}
    chance = str(artifacts.setting("objective._target_")).endswith((".Choice", ".Reward", ".Dpo"))
    # The loss of a policy gradient says nothing; the section of the rewards shows what it did.
    drawn = bool(losses) and not reward_curve(artifacts)
    pictures = [plots.learning_curves(losses, validation, warmup_rounds(artifacts)[1],
                                      chance, artifacts.federated == "rlhf")] if drawn else []
    rejected = _rejections(rounds)
    title, trained, sent = "The selectors", "a selector", "adapters"
    if artifacts.federated == "rlhf":
        title, trained = "The federated rounds", "the tutor"
    elif artifacts.in_context:
        title, trained, sent = "The federated rounds", "a small network", "its tensors"
    return Section(
        "selectors", title,
        f"In each round, some clients train {trained} on their shards; only {sent} and numbers "
        "come back.", _selector_facts(artifacts, rounds), _selector_notes(artifacts, rounds),
        pictures, [rejected] if rejected.rows else [])


def _selector_facts(artifacts: Artifacts, rounds: Sequence[Round]) -> list[Fact]:
    if not rounds:
        return []
    asked = sum(len(record.cohort) for record in rounds)
    lost = sum(len(record.rejected) for record in rounds)
    wanted = finite(artifacts.setting(f"{artifacts.federated}.rounds"))
    return [
        Fact("strategy", plain(strategy_name(artifacts) or "?", 30),
             "" if artifacts.federated == "rlhf" else
             counted(selector_count(artifacts), "selector")),
        Fact("rounds", f"{len(rounds)} of {wanted:g}" if wanted else str(len(rounds))),
        Fact("clients asked to train", f"{asked:,}", f"{asked / len(rounds):.1f} in a round"),
        Fact("updates not used", f"{lost:,}")]


def _selector_notes(artifacts: Artifacts, rounds: Sequence[Round]) -> list[str]:
    if not rounds:
        return []
    everybody = {str(entry.get("client_id")) for entry in rows(artifacts.population.get("shards"))}
    drawn = {client for record in rounds for client in record.cohort}
    named = artifacts.setting("partition.unseen")
    unseen = everybody & set(map(str, named if isinstance(named, list) else ()))
    idle = sorted(everybody - drawn - unseen)
    notes = []
    if not any(record.rejected for record in rounds):
        notes.append("Every update was used: no client failed and none was rejected.")
    if unseen:
        notes.append("Served without training (partition.unseen): "
                     f"{listed([plain(client) for client in sorted(unseen)])}.")
    if idle:
        notes.append(f"Never drawn to train: {listed([plain(client) for client in idle])}.")
    cut = sorted({client for row in artifacts.rounds
                  for client, found in facts(row.get("client_metrics")).items()
                  if numbers(found).get("left_out_pairs")})
    if cut:
        notes.append(f"Pairs longer than {_limit(artifacts)} were left out at "
                     f"{listed([plain(client) for client in cut])}.")
    return notes


def _limit(artifacts: Artifacts) -> str:
    return "objective.max_length" if artifacts.federated == "rlhf" else "selector.max_tokens"


def _rejections(rounds: Sequence[Round]) -> Table:
    """Name each client whose updates were not used, with the rounds and the reason."""
    found: dict[tuple[str, str], list[int]] = defaultdict(list)
    for record in rounds:
        for client, reason in record.rejected:
            found[client, reason].append(record.number)
    shown = [[plain(client), plain(", ".join(map(str, places)), 80), plain(reason, 300)]
             for (client, reason), places in sorted(found.items())]
    more = f" The first {_MOST_ROWS} of {len(shown)}." if len(shown) > _MOST_ROWS else ""
    return Table(("client", "rounds", "reason"), shown[:_MOST_ROWS],
                 f"Updates that were not used: the client failed or the screen rejected it.{more}",
                 text_columns=(0, 1, 2), wide=True)
