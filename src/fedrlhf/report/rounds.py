"""Rounds and clients as the pages need them: typed, with everything doubtful left out."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fedrlhf.report.artifacts import Artifacts, Facts, facts, finite, numbers, rows

_WARM_UP = ("FedBiscuit", "Ifca")  # strategies that train one selector after the other at first


@dataclass(frozen=True)
class Round:
    """A finished round.

    Attributes:
        number: Counted from 1.
        cohort: Who was asked to train.
        losses: Mean training loss of each client whose update was used.
        validation: Mean validation loss over clients, where it was measured.
        rejected: Each client whose update was not used, with the reason.
        grouping: The selector of each client after the round; empty before the first grouping.
    """

    number: int
    cohort: tuple[str, ...]
    losses: dict[str, float]
    validation: float | None
    rejected: tuple[tuple[str, str], ...]
    grouping: dict[str, int]


@dataclass(frozen=True)
class ClientResult:
    """How judges agree with one client's held-out pairs; rates are shares of 1.

    Attributes:
        client: The client's id.
        group: Its planted group, where there is one.
        selector: The selector that it uses.
        pairs: How many pairs were judged.
        rates: By judge: ``vote``, ``own``, ``length``, ``oracle``.
        known: The pairs behind each rate.
    """

    client: str
    group: str | None
    selector: int
    pairs: float
    rates: dict[str, float]
    known: dict[str, float]


def read_rounds(artifacts: Artifacts) -> list[Round]:
    """Return the finished rounds in order."""
    found = [_round(row) for row in artifacts.rounds if finite(row.get("server_round"))]
    return sorted(found, key=lambda record: record.number)


def _round(row: Facts) -> Round:
    losses = {client: loss for client, values in facts(row.get("client_metrics")).items()
              if (loss := finite(facts(values).get("train_loss"))) is not None}
    cohort = row.get("cohort")
    return Round(
        int(row["server_round"]), tuple(map(str, cohort)) if isinstance(cohort, list) else (),
        losses, finite(facts(row.get("metrics")).get("validation_loss")),
        tuple((str(item.get("client_id")), str(item.get("reason")))
              for item in rows(row.get("rejected"))),
        {client: int(u) for client, u in numbers(row.get("grouping")).items()})


def strategy_name(artifacts: Artifacts) -> str:
    """Return the class name of the strategy."""
    return str(artifacts.strategy.get("_target_") or "").rpartition(".")[2]


def warmup_rounds(artifacts: Artifacts) -> tuple[int, int]:
    """Return the warm-up rounds of each selector and the last round of the whole warm-up."""
    strategy = artifacts.strategy
    each = int(finite(strategy.get("warmup_rounds")) or 0)
    if strategy_name(artifacts) not in _WARM_UP or each < 1:
        return 0, 0
    return each, each * int(finite(strategy.get("selectors")) or 1)


def selector_trained(artifacts: Artifacts, record: Round, client: str) -> int:
    """Return which selector a client trained in a round.

    In the warm-up the round decides, later the grouping; a strategy without groups has either one
    selector or, with local training only, one for each client, which select/grouping.json names.
    """
    each, last = warmup_rounds(artifacts)
    if record.number <= last:
        return (record.number - 1) // each
    return record.grouping.get(client, artifacts.grouping.get(client, 0))


def losses_by_selector(artifacts: Artifacts,
                       rounds: Sequence[Round]) -> dict[int, dict[int, list[float]]]:
    """Return the clients' training losses by selector and round."""
    found: dict[int, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for record in rounds:
        for client, loss in record.losses.items():
            found[selector_trained(artifacts, record, client)][record.number].append(loss)
    return {selector: dict(found[selector]) for selector in sorted(found)}


def client_results(artifacts: Artifacts) -> list[ClientResult]:
    """Return the evaluated clients that have at least one judged pair, by client id."""
    found = []
    for row in artifacts.clients:
        counts = numbers(row)
        pairs = counts.get("num-examples", 0.0)
        if pairs > 0:
            known = {"vote": pairs, "own": pairs, "personal": pairs, "length": pairs,
                     "oracle": counts.get("oracle_known", 0.0)}
            rates = {judge: counts[judge] / total for judge, total in known.items()
                     if total > 0 and judge in counts}
            found.append(ClientResult(
                str(row.get("client_id")), planted_group(row), int(counts.get("selector", 0)),
                pairs, rates, known))
    return sorted(found, key=lambda result: result.client)


def planted_group(row: Facts) -> str | None:
    """Return the planted group that a client's row names."""
    group = row.get("group")
    return None if group is None else str(group)


def planted_groups(artifacts: Artifacts) -> dict[str, str]:
    """Return the planted group of each client that has one."""
    return {str(row.get("client_id")): group for row in artifacts.clients
            if (group := planted_group(row)) is not None}


def pooled_rate(results: Sequence[ClientResult], judge: str) -> float | None:
    """Return the share of agreeing pairs over all clients, None where nothing is known."""
    known = [result for result in results if judge in result.rates]
    total = sum(result.known[judge] for result in known)
    agreed = sum(result.rates[judge] * result.known[judge] for result in known)
    return agreed / total if total else None


def by_group(results: Sequence[ClientResult]) -> dict[str, list[ClientResult]]:
    """Sort clients into their planted groups or, where there are none, by their selectors."""
    planted = any(result.group is not None for result in results)
    found: dict[str, list[ClientResult]] = defaultdict(list)
    for result in results:
        found[f"group {result.group}" if planted else f"selector {result.selector}"].append(result)
    return dict(sorted(found.items()))


def moved(before: Mapping[str, int], after: Mapping[str, int]) -> int:
    """Return how many clients of both groupings have another selector in the second."""
    return sum(after[client] != selector for client, selector in before.items() if client in after)
