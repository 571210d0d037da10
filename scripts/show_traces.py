"""Show what the trace pipeline makes of simulated students whose truth is known.

Run: python scripts/show_traces.py --seeds 10

The students of `data=tutor_traces` leave traces; the pipeline reads them; what it finds is compared
with the truth. No model is trained. Each number is a mean over seeds with Student's 95% interval.
docs/simulator.md says what the students do and how to read the tables.
"""

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
from scipy.special import expit
from scipy.stats import rankdata
from trace_studies import (
    Tables,
    expected_rewards,
    features,
    group_recovery,
    linear_reward,
    optimised,
    tables,
)

from fedrlhf.data.traces.channels import Judged, Reward
from fedrlhf.data.traces.em import Counts, Prior, fit, refitted, starting_model
from fedrlhf.data.traces.evidence import design
from fedrlhf.data.traces.reading import Logged
from fedrlhf.data.traces.training_data import Rules, UserData, training_data
from fedrlhf.data.tutor.behaviour import LIKING_NOISE
from fedrlhf.data.tutor.classroom import Observed
from fedrlhf.data.tutor.curriculum import graded, questions
from fedrlhf.data.tutor.learning import BASE, learning
from fedrlhf.data.tutor.school import School, liking_leaks, usual_utility
from fedrlhf.data.tutor.students import group_tastes, make_students
from fedrlhf.data.tutor.styles import StylePolicy, logging_policy
from fedrlhf.evaluation.calibration import calibration_error
from fedrlhf.evaluation.intervals import t_interval
from fedrlhf.evaluation.off_policy import (
    doubly_robust,
    effective_sample_size,
    importance_weights,
    ipw,
    snipw,
)
from fedrlhf.types import PreferencePair, as_text, only_pairs

Numbers = dict[str, float]
Seen = Mapping[str, Sequence[Observed]]
SATISFACTION, BOTH, LEARNING = (Reward(channels=("satisfaction",)), Reward(),
                                Reward(channels=("learning",)))
CHANNELS = {"satisfaction": SATISFACTION, "both": BOTH, "learning": LEARNING}


def make_school(seed: int, students: int = 12, gaming: float = 0.0, leaks: float = 3.0) -> School:
    """Return students in three groups, as `data=tutor_traces` has them."""
    people = make_students(students, group_tastes(3, 1.2), [], 0.1, seed)
    return School(liking_leaks(people, leaks), gaming, 0.3, seed)


def processed(seen: Seen, rules: Rules) -> list[UserData]:
    """Pass the students' rows through the pipeline."""
    logged = [Logged("traces.jsonl", number, row.event) for number, row in enumerate(
        (row for rows in seen.values() for row in rows), 1)]
    return training_data(logged, rules, "tutor_traces")


def answers(seen: Seen, users: Sequence[UserData]) -> list[tuple[Observed, Judged]]:
    """Return each row's truth beside what the pipeline thinks of it."""
    return [pair for one in users for pair in zip(seen[one.user], one.judged, strict=True)]


def kind_of(pair: PreferencePair) -> str:
    """Return where a pair comes from; of two answers, whether a violation decided."""
    kind = str(pair.columns["trace"])
    return f"{kind}, one violates" if "violations" in pair.columns else kind


def pair_accuracy(school: School, seen: Seen) -> Numbers:
    """Share of pairs whose chosen answer is truly better, by kind and by whose truth."""
    own = {student.client_id: (student, usual_utility(student)) for student in school.students}

    def values(pair: PreferencePair, answer: str) -> tuple[float, float, float]:
        student, usual = own[pair.client_id]
        question = as_text(pair.prompt)
        liked = student.taste.utility(question, answer)
        taught = learning(question, answer)
        both = expit((liked - usual) / LIKING_NOISE) + expit(BASE + taught)
        return liked, taught, float(both) / 2

    found: Numbers = {}
    for name, reward in CHANNELS.items():
        users = processed(seen, Rules(reward=reward))
        pairs = only_pairs(one for user in users for one in user.preferences)
        turns = sum(len(rows) for rows in seen.values())
        for kind in sorted({kind_of(pair) for pair in pairs}):
            of_kind = [pair for pair in pairs if kind_of(pair) == kind]
            gaps = np.array([np.subtract(values(pair, pair.chosen), values(pair, pair.rejected))
                             for pair in of_kind])
            right = (gaps > 0).mean(axis=0) + (gaps == 0).mean(axis=0) / 2
            found[f"{name} | {kind} | pairs per 1000 rows"] = 1000 * len(of_kind) / turns
            for truth, share in zip(("own taste", "learning", "both"), right, strict=True):
                found[f"{name} | {kind} | {truth}"] = float(share)
            clear = np.abs(gaps[:, 0]) > 1
            if clear.any():
                found[f"{name} | {kind} | own taste, gap above 1"] = float(
                    (gaps[clear, 0] > 0).mean())
    return found


def calibration(seen: Seen) -> Numbers:
    """Error and ranking of P(good), by the starting table and fitted to each client."""
    found: Numbers = {}
    for name, rules in (("starting table", replace(Rules(), prior=None)), ("fitted", Rules())):
        rows = answers(seen, processed(seen, rules))
        for channel, truth in (("satisfaction", "liked"), ("learning", "taught")):
            chances = np.array([getattr(judged, channel) for _, judged in rows])
            happened = np.array([getattr(row.truth, truth) for row, _ in rows])
            found[f"{channel} | {name} | calibration error"] = calibration_error(
                chances.tolist(), happened.tolist())
            found[f"{channel} | {name} | area under ROC"] = ranking(chances, happened)
            found[f"{channel} | {name} | mean P(good)"] = float(chances.mean())
            found[f"{channel} | {name} | truly good"] = float(happened.mean())
    return found


def table_recovery(seen: Seen) -> Numbers:
    """How far the log-odds of the tables are from those that the truth gives for the same rows."""
    found: Numbers = {}
    users = processed(seen, Rules())
    for channel, truth in (("satisfaction", "liked"), ("learning", "taught")):
        rows = [design([judged.reading.evidence for judged in one.judged], channel)
                for one in users]
        observed = np.concatenate(rows)
        good = np.array([getattr(row.truth, truth) for row, _ in answers(seen, users)])
        counts = Counts(np.stack([observed[good].sum(axis=0), observed[~good].sum(axis=0)]),
                        float(good.sum()), float(len(good)))
        start = starting_model(channel)
        true = refitted(start, counts, channel, Prior(outcomes=1.0)).strengths
        share = observed.sum(axis=0) / observed.sum()
        tables_ = {"starting table": [start.strengths],
                   "fitted to each client": [one.models[channel].strengths for one in users],
                   "fitted to all rows": [fit(start, observed, channel, Prior()).strengths]}
        for name, strengths in tables_.items():
            found[f"{channel} | {name} | mean |error|"] = float(
                np.mean([share @ np.abs(one - true) for one in strengths]))
    return found


def ranking(chances: np.ndarray, happened: np.ndarray) -> float:
    """Return the area under the ROC curve (Mann-Whitney)."""
    ranks, good = rankdata(chances), int(happened.sum())
    return float((ranks[happened].sum() - good * (good + 1) / 2)
                 / (good * (len(happened) - good)))


def groups(school: School, seen: Seen) -> Numbers:
    """Adjusted Rand index of groups found in the pairs, by channel and by kind of pair."""
    truth = {student.client_id: student.group for student in school.students}
    found: Numbers = {}
    for name, reward in CHANNELS.items():
        pairs = only_pairs(one for user in processed(seen, Rules(reward=reward))
                           for one in user.preferences)
        found[f"{name} | all pairs"] = group_recovery(pairs, truth, school.seed)
        direct = [pair for pair in pairs if pair.columns["trace"] != "contexts"]
        if direct:
            found[f"{name} | without contexts"] = group_recovery(direct, truth, school.seed)
    return found


def policies(known: Tables, seen: Seen) -> dict[str, StylePolicy]:
    """Optimise tutors for what the traces of the logging policy's answers say."""
    rows = [(row, judged) for row, judged in answers(seen, processed(seen, Rules()))
            if row.event.propensity is not None]
    seen_features = np.array([features(as_text(row.event.context), row.event.answer)
                              for row, _ in rows])
    thumbs = np.array([row.event.vote is not None for row, _ in rows])
    ups = np.array([row.event.vote == "up" for row, _ in rows], float)

    def of(name: str, reward: Reward) -> StylePolicy:
        return optimised(name, known, seen_features,
                         np.array([reward.of(judged) for _, judged in rows]), np.ones(len(rows)))

    return {"logging": logging_policy(),
            "thumbs only": optimised("thumbs", known, seen_features, ups, thumbs.astype(float)),
            "satisfaction": of("s", replace(SATISFACTION, penalty=0.0)),
            "satisfaction, constrained": of("s-k", SATISFACTION),
            "both": of("both", replace(BOTH, penalty=0.0)),
            "both, constrained": of("both-k", BOTH),
            "learning": of("l", replace(LEARNING, penalty=0.0)),
            "learning, constrained": of("l-k", LEARNING)}


def graded_share(seen: Seen) -> float:
    """Return the share of the tutor's answers that are to graded tasks."""
    asked = [graded(as_text(row.event.context)) for rows in seen.values() for row in rows
             if row.event.propensity is not None]
    return float(np.mean(asked))


def optimisation(school: School, seen: Seen) -> Numbers:
    """True satisfaction, teaching and leaks of tutors that were optimised for the traces."""
    known, share = tables(school), graded_share(seen)
    return {f"{name} | {what}": value for name, policy in policies(known, seen).items()
            for what, value in known.values(policy, share).items()}


def leak_liking(seed: int, students: int, turns: int) -> Numbers:
    """Leaks of the tutor for thumbs and of the constrained one, by how much students like leaks."""
    found: Numbers = {}
    for liking in (0.0, 1.5, 3.0):
        school = make_school(seed, students, leaks=liking)
        made = policies(tables(school), school.observe(questions(), turns))
        for name in ("thumbs only", "both", "both, constrained"):
            found[f"liking {liking:g} | {name}"] = made[name].leaks
    return found


def final_hints(seed: int, students: int, turns: int) -> Numbers:
    """Mean P(good) that the pipeline gives to final hints, by gaming and guard."""
    found: Numbers = {}
    none, some = (make_school(seed, students, gaming=share).observe(questions(), turns)
                  for share in (0.0, 0.3))
    for name, seen, seconds in (("no gaming", none, 2.5), ("30% game, guarded", some, 2.5),
                                ("30% game, no guard", some, 0.0)):
        rows = [(row, judged) for row, judged in answers(
                    seen, processed(seen, Rules(gaming_seconds=seconds)))
                if row.event.hint is not None and row.event.hint.final]
        counted = [judged for _, judged in rows if not judged.reading.gamed]
        for channel in ("satisfaction", "learning"):
            found[f"{name} | {channel}"] = float(np.mean([getattr(j, channel) for j in counted]))
        found[f"{name} | reward"] = float(np.mean([BOTH.of(judged) for judged in counted]))
        found[f"{name} | counted"] = len(counted)
        found[f"{name} | set aside"] = len(rows) - len(counted)
        found[f"{name} | bursts"] = sum(row.truth.gamed for row, _ in rows)
    return found


def off_policy(school: School, seen: Seen, turns: int) -> Numbers:
    """Estimate the reward of a tutor that never answered, and compare with letting it answer.

    The reward is P(good) for satisfaction by the starting table, in which an answer's reward does
    not depend on the answers before it. The truth is its mean over so many rows of each student.
    """
    rules, known = Rules(prior=None), tables(school)
    target = softened(policies(known, seen)["both, constrained"])

    def rewarded(some: Seen) -> list[tuple[Observed, float]]:
        return [(row, judged.satisfaction) for row, judged in answers(some, processed(some, rules))
                if row.event.propensity is not None]

    rows = rewarded(seen)
    texts = [(as_text(row.event.context), row.event.answer) for row, _ in rows]
    rewards = np.array([reward for _, reward in rows])
    weights = importance_weights([target.chance(*text) for text in texts],
                                 [row.event.propensity or 1.0 for row, _ in rows])
    matrix = np.array([features(*text) for text in texts])
    beta = linear_reward(matrix, rewards, np.ones(len(rows)))
    expected = expected_rewards(known, beta, target, matrix_graded(texts))
    predicted = matrix @ beta[:-1] + beta[-1]
    truth = float(np.mean([reward for _, reward in rewarded(
        school.observe(questions(), turns, target))]))
    estimates = {"mean of the log": float(rewards.mean()), "IPW": ipw(rewards, weights),
                 "SNIPW": snipw(rewards, weights),
                 "doubly robust": doubly_robust(rewards, weights, predicted, expected)}
    return {"true value": truth, "rows": float(len(rows)),
            "effective sample size": effective_sample_size(weights), **estimates,
            **{f"|error| of {name}": abs(value - truth) for name, value in estimates.items()}}


def softened(policy: StylePolicy) -> StylePolicy:
    """Mix a policy half and half with the logging policy, so that its answers were all seen."""
    logging = logging_policy()
    return StylePolicy("half and half", *(
        tuple((one + two) / 2 for one, two in zip(ours, theirs, strict=True))
        for ours, theirs in ((policy.ungraded, logging.ungraded), (policy.graded, logging.graded))))


def matrix_graded(texts: Sequence[tuple[str, str]]) -> np.ndarray:
    """Return whether each question is graded."""
    return np.array([graded(question) for question, _ in texts])


STUDIES: dict[str, Callable[[int, int, int], Numbers]] = {
    "pairs": lambda seed, students, turns: pair_accuracy(*_plain(seed, students, turns)),
    "calibration": lambda seed, students, turns: calibration(_plain(seed, students, turns)[1]),
    "table": lambda seed, students, turns: table_recovery(_plain(seed, students, turns)[1]),
    "groups": lambda seed, students, turns: groups(*_plain(seed, students, turns)),
    "policies": lambda seed, students, turns: optimisation(*_plain(seed, students, turns)),
    "leaks": leak_liking,
    "final_hints": final_hints,
    "off_policy": lambda seed, students, turns: off_policy(
        *_plain(seed, students, turns), 5 * turns),
}


@lru_cache(maxsize=1)
def _plain(seed: int, students: int, turns: int) -> tuple[School, Seen]:
    school = make_school(seed, students)
    return school, school.observe(questions(), turns)


def shown(title: str, runs: Iterable[Numbers]) -> str:
    """Return a study's numbers over seeds as a table of text."""
    every = list(runs)
    lines = [f"\n{title}"]
    for name in dict.fromkeys(name for run in every for name in run):
        values = [run[name] for run in every if name in run and np.isfinite(run[name])]
        spread = t_interval(values, 0.95)
        between = "" if spread is None else f"  [{spread[0]:.3f}, {spread[1]:.3f}]"
        lines.append(f"{name:60}{np.mean(values):9.3f}{between}  n={len(values)}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--students", type=int, default=12)
    parser.add_argument("--turns", type=int, default=200, help="rows of each student")
    parser.add_argument("--studies", nargs="+", choices=STUDIES, default=list(STUDIES))
    options = parser.parse_args()
    runs = [{name: STUDIES[name](seed, options.students, options.turns)
             for name in options.studies} for seed in range(options.seeds)]
    for name in options.studies:
        print(shown(name, [run[name] for run in runs]))


if __name__ == "__main__":
    main()
