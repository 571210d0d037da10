"""What `show_traces.py` measures with: the students' truth as tables, and small linear fits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.cluster.vq import kmeans2
from scipy.special import expit

from fedrlhf.data.tutor.answers import ATTRIBUTES, compose, leaks, read
from fedrlhf.data.tutor.curriculum import QUESTION_FORMS, topics
from fedrlhf.data.tutor.learning import learns
from fedrlhf.data.tutor.school import School
from fedrlhf.data.tutor.styles import STYLES, StylePolicy, softmax_policy
from fedrlhf.evaluation.groups import adjusted_rand_index
from fedrlhf.seeding import generator
from fedrlhf.types import PreferencePair, as_text

_FORMS = (QUESTION_FORMS[0], QUESTION_FORMS[-1])  # not graded, graded
_TEMPERATURE = 0.25  # of an optimised policy, in standard deviations of the fitted reward


@dataclass(frozen=True)
class Tables:
    """The truth of each style, a mean over topics and (satisfaction) students.

    Attributes:
        features: Of each style, shape [2, style, feature]; first not graded, then graded.
        satisfaction: Utility by taste, shape [2, style].
        teaches: Probability to learn, shape [2, style].
    """

    features: np.ndarray
    satisfaction: np.ndarray
    teaches: np.ndarray

    def values(self, policy: StylePolicy, graded_share: float) -> dict[str, float]:
        """Return a policy's true satisfaction and teaching, and how often it leaks."""
        chances = np.array([policy.ungraded, policy.graded])
        shares = np.array([1 - graded_share, graded_share])[:, None]
        return {"satisfaction": float((shares * chances * self.satisfaction).sum()),
                "teaches": float((shares * chances * self.teaches).sum()), "leaks": policy.leaks}


def features(question: str, answer: str) -> np.ndarray:
    """Return what a linear reward sees: the attributes, ten words, a leak."""
    reading = read(question, answer)
    return np.array([*(name in reading.attributes for name in ATTRIBUTES), reading.words / 10,
                     leaks(question, answer)], float)


def tables(school: School) -> Tables:
    """Return the truth of every style, for two question forms and every topic."""
    rng = generator(school.seed, "tables")
    texts = [[[(form.format(topic.name), compose(topic, style, rng)) for topic in topics()]
              for style in STYLES] for form in _FORMS]

    def liked(question: str, answer: str) -> float:
        return float(np.mean([s.taste.utility(question, answer) for s in school.students]))

    return Tables(*(np.array([[np.mean([value(*text) for text in of_style], axis=0)
                               for of_style in row] for row in texts])
                    for value in (features, liked, learns)))


def linear_reward(seen: np.ndarray, rewards: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the coefficients of the features and the intercept: weighted ridge regression."""
    design = np.column_stack([seen, np.ones(len(seen))])
    scaled = design * weights[:, None]
    return np.linalg.solve(design.T @ scaled + np.eye(design.shape[1]), scaled.T @ rewards)


def optimised(name: str, known: Tables, seen: np.ndarray, rewards: np.ndarray,
              weights: np.ndarray) -> StylePolicy:
    """Return the softmax policy of a linear reward that was fitted to rated answers.

    Its temperature is a share of the spread of the fitted reward over styles (not graded), so that
    noisy and clear rewards are optimised alike.

    Args:
        name: Of the policy.
        known: For the features of the styles.
        seen: Features of the rated answers, shape [row, feature].
        rewards: In [0, 1], shape [row].
        weights: Of the rows, shape [row].
    """
    beta = linear_reward(seen, rewards, weights)
    ungraded, graded = known.features @ beta[:-1]
    return softmax_policy(name, ungraded, graded, _TEMPERATURE * float(ungraded.std()))


def linear_taste(pairs: Sequence[PreferencePair], centre: np.ndarray) -> np.ndarray:
    """Return a linear utility: weighted logistic regression on differences, ridge to a centre."""
    prompts = [as_text(pair.prompt) for pair in pairs]
    gaps = np.array([features(x, pair.chosen) - features(x, pair.rejected)
                     for x, pair in zip(prompts, pairs, strict=True)]).reshape(-1, len(centre))
    weights = np.array([pair.weight for pair in pairs])
    beta = centre.copy()
    for _ in range(20):  # Newton's method
        wins = expit(gaps @ beta)
        slope = gaps.T @ (weights * (1 - wins)) - (beta - centre)
        curve = (gaps.T * (weights * wins * (1 - wins))) @ gaps + np.eye(len(beta))
        beta += np.linalg.solve(curve, slope)
    return beta


def group_recovery(pairs: Sequence[PreferencePair], truth: Mapping[str, int], seed: int) -> float:
    """Return the adjusted Rand index of k-means on the tastes fitted to each person's pairs.

    A person's taste is drawn to the taste that is fitted to everybody's pairs.
    """
    everybody = linear_taste(pairs, np.zeros(len(ATTRIBUTES) + 2))
    people = sorted(truth)
    tastes = np.array([linear_taste([pair for pair in pairs if pair.client_id == person], everybody)
                       for person in people])[:, :len(ATTRIBUTES)]
    groups = len(set(truth.values()))
    runs = [kmeans2(tastes, groups, minit="++", rng=generator(seed, "k-means", number))
            for number in range(20)]
    best = min(runs, key=lambda run: float(((tastes - run[0][run[1]]) ** 2).sum()))
    return adjusted_rand_index(best[1].tolist(), [truth[person] for person in people])


def expected_rewards(known: Tables, beta: np.ndarray, policy: StylePolicy,
                     of_graded: np.ndarray) -> np.ndarray:
    """Return a linear reward's mean over a policy's answers, for each row: graded or not."""
    values = known.features @ beta[:-1] + beta[-1]
    means = (np.array([policy.ungraded, policy.graded]) * values).sum(axis=1)
    return means[of_graded.astype(int)]
