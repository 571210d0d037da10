"""What `scripts/show_traces.py` claims of the trace pipeline, at small scale."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from fedrlhf.data.tutor.curriculum import QUESTION_FORMS, questions
from fedrlhf.data.tutor.styles import STYLES, logging_policy
from fedrlhf.types import PreferencePair

SCRIPTS = Path(__file__).parents[1] / "scripts"


@pytest.fixture(scope="module")
def study() -> Iterator[ModuleType]:
    """Return the script as a module."""
    sys.path.insert(0, str(SCRIPTS))
    try:
        import show_traces
        yield show_traces
    finally:
        sys.path.remove(str(SCRIPTS))


@pytest.fixture(scope="module")
def plain(study: ModuleType) -> tuple[object, object]:
    """Return twelve students and 250 rows of each, nobody games."""
    school = study.make_school(0)
    return school, school.observe(questions(), 250)


def test_direct_pairs_tell_the_taste(study: ModuleType, plain: tuple[object, object]) -> None:
    """Votes, edits and regenerates agree with the student's taste; what P(good) pairs, less so.

    An edit is truly better by how it is simulated. Of two answers in the same context the true
    utilities are noise for many: still more than half are right where the gap is clear.
    """
    found = study.pair_accuracy(*plain)
    assert found["satisfaction | edit | own taste"] == 1.0
    assert found["satisfaction | ab | own taste"] > 0.85
    assert found["satisfaction | regenerate | own taste"] > 0.8
    assert found["satisfaction | contexts | own taste, gap above 1"] > 0.5
    assert found["both | contexts, one violates | learning"] == 1.0
    assert not any(name.startswith("learning | ab") for name in found)


def test_the_fit_calibrates_satisfaction(study: ModuleType, plain: tuple[object, object]) -> None:
    """EM lowers the calibration error and keeps the ranking above chance; so is learning's."""
    found = study.calibration(plain[1])
    kept = {name: found[f"satisfaction | {name} | calibration error"]
            for name in ("starting table", "fitted")}
    assert kept["fitted"] < kept["starting table"] < 0.12
    for channel in ("satisfaction", "learning"):
        assert found[f"{channel} | fitted | area under ROC"] > 0.6


def test_planted_groups_are_found(study: ModuleType, plain: tuple[object, object]) -> None:
    """In the students' own comparisons; what teaches is the same for all groups."""
    found = study.groups(*plain)
    assert found["satisfaction | without contexts"] > 0.5
    assert found["learning | all pairs"] < 0.4


def test_only_constraints_stop_leaks(study: ModuleType, plain: tuple[object, object]) -> None:
    """Tutors for thumbs and for two channels leak more than the logging policy.

    With the constraint the two-channel one nearly never does. The learning channel alone gives the
    tutor that teaches most, and the least liked one.
    """
    found = study.optimisation(*plain)
    assert found["logging | leaks"] == pytest.approx(logging_policy().leaks)
    assert found["thumbs only | leaks"] > 1.5 * found["logging | leaks"]
    assert found["both | leaks"] > 1.5 * found["logging | leaks"]
    assert found["both, constrained | leaks"] < 0.01
    taught = [found[f"{name}, constrained | teaches"]
              for name in ("satisfaction", "both", "learning")]
    liked = [found[f"{name}, constrained | satisfaction"]
             for name in ("satisfaction", "both", "learning")]
    assert taught[0] < taught[1] < taught[2]
    assert liked[0] > liked[2]
    assert liked[1] > liked[2]
    assert found["both, constrained | satisfaction"] > found["logging | satisfaction"]
    assert found["both, constrained | teaches"] > found["logging | teaches"]


def test_gaming_does_not_raise_the_final_hint(study: ModuleType) -> None:
    """With 30% gaming students the guard keeps its value; without it the value rises."""
    found = study.final_hints(0, students=12, turns=200)
    usual = found["no gaming | reward"]
    assert found["30% game, guarded | set aside"] == found["30% game, guarded | bursts"] > 50
    assert found["30% game, guarded | reward"] < usual + 0.02
    assert found["30% game, no guard | reward"] > usual + 0.05


def test_off_policy_estimates(study: ModuleType, plain: tuple[object, object]) -> None:
    """Weighted estimates lie nearer to the truth than the log's mean; few rows count fully."""
    found = study.off_policy(*plain, turns=150)
    assert 50 < found["effective sample size"] < found["rows"] / 2
    for name in ("SNIPW", "doubly robust"):
        assert found[f"|error| of {name}"] < 0.04


def test_linear_taste_is_found(study: ModuleType) -> None:
    """Choices by a known linear utility give it back; without pairs it is the centre."""
    import trace_studies as small
    rng = np.random.default_rng(0)
    planted = np.array([2.0, -2.0, 0.0, 1.0, 0.0, 0.0, -1.0, 0.0, 0.0])
    pairs = []
    for number in range(1500):
        topic = small.topics()[number % 42]
        question = QUESTION_FORMS[0].format(topic.name)
        one, two = (small.compose(topic, STYLES[style], rng)
                    for style in rng.choice(len(STYLES), 2, replace=False))
        gap = planted @ (small.features(question, one) - small.features(question, two))
        if rng.random() > 1 / (1 + np.exp(-gap)):
            one, two = two, one
        pairs.append(PreferencePair(question, one, two, "x", "x"))
    found = small.linear_taste(pairs, np.zeros(9))
    assert found[:-2] == pytest.approx(planted[:-2], abs=0.4)
    assert small.linear_taste([], planted) == pytest.approx(planted)
