"""What the page says about held-out ratings of single completions."""

from collections.abc import Mapping

from fedrlhf.report.artifacts import Artifacts
from fedrlhf.report.parts import Fact, Section, Table
from fedrlhf.report.verdict import shows_difference
from fedrlhf.report.words import bounds, counted, fixed, interval, number, percent, signed

GAIN = "ratings.gain"
_LOSSES = (("population_rate", "everybody's share of good ones"),
           ("person_rate", "the person's own share"),
           ("link", "the person's own share and the score"))
_ORDERS = (("auc_within", "a person's own answers, by the score"),
           ("auc_within_length", "… by length: the longer one"),
           ("auc_score", "answers of all people together, by the score"),
           ("auc_person_rate", "… by the person's own share"),
           ("auc_link", "… by both"))


def ratings(artifacts: Artifacts) -> Section:
    """Show whether scores predict held-out ratings better than each person's own share."""
    results = artifacts.results
    title = "Ratings of single completions"
    if not results.get("ratings.held_out"):
        return Section("ratings", title)
    judge = "the tutor's implicit reward" if artifacts.federated == "rlhf" else "the reward model"
    return Section(
        "ratings", title,
        f"How well a score, {judge}, predicts which answers a person found good, on prompts of "
        "that person which were held out.", _facts(results),
        _notes(results) + _order_notes(results), (),
        [_losses(results), _orders(results)])


def _facts(results: Mapping[str, float]) -> list[Fact]:
    found = [Fact("held-out ratings", number(results["ratings.held_out"]),
                  f"of {counted(results['ratings.clients'], 'client')}"),
             Fact("good in training", percent(results["ratings.population_rate"])),
             Fact("clients with one kind only", number(results["ratings.clients_one_label"]),
                  "their own answers have no order to predict")]
    if results["ratings.left_out"]:
        found.append(Fact("too long for the model", number(results["ratings.left_out"]),
                          "left out"))
    return found


def _notes(results: Mapping[str, float]) -> list[str]:
    if GAIN not in results:
        return []
    gain = f"{_nats(results[GAIN])}{interval(results, GAIN, _nats)} nats a rating"
    if not shows_difference(results, GAIN, 0.0):
        return [f"The score is not shown to add anything to the person's own share: {gain}."]
    better = "better" if results[GAIN] > 0 else "worse"
    return [f"With the score, predictions are {better} than by the person's own share alone: "
            f"{gain}."]


def _order_notes(results: Mapping[str, float]) -> list[str]:
    """Say so where a score orders a person's answers the wrong way round."""
    name = "ratings.auc_within"
    if results.get(name, 1.0) > 0.5 or not shows_difference(results, name, 0.5):
        return []
    return ["Within a person the score stands against the ratings, worse than chance: AUC "
            f"{fixed(results[name], 3)}{interval(results, name, lambda value: fixed(value, 3))}. "
            "An implicit reward is a sum over tokens: of a policy that lost likelihood everywhere "
            "it is lower for longer answers, whatever they say."]


def _nats(value: float) -> str:
    return signed(value, 3)


def _losses(results: Mapping[str, float]) -> Table:
    return Table(("prediction from", "log-loss", "interval"), [
        [words, fixed(results[name], 3), _between(results, name)]
        for key, words in _LOSSES if (name := f"ratings.log_loss_{key}") in results],
        "Mean log-loss of the predicted probability, in nats; lower is better. Shares are those "
        "of the training split, a person's is drawn towards everybody's.", wide=True)


def _orders(results: Mapping[str, float]) -> Table:
    return Table(("order of", "AUC", "interval"), [
        [words, fixed(results[name], 3), _between(results, name)]
        for key, words in _ORDERS if (name := f"ratings.{key}") in results],
        "How often a good answer stands above a bad one; 0.5 is chance.", wide=True)


def _between(results: Mapping[str, float], name: str) -> str:
    found = bounds(results, name)
    return "" if found is None else f"{fixed(found[0], 3)} to {fixed(found[1], 3)}"
