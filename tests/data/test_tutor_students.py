"""Simulated students: what they do follows from the planted truth by the tables of behaviour."""

import math
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from fedrlhf.data.traces.reading import read_events, write_events
from fedrlhf.data.tutor import behaviour as acts
from fedrlhf.data.tutor.answers import compose, leaks, read
from fedrlhf.data.tutor.behaviour import Habits, draw_habits
from fedrlhf.data.tutor.classroom import HINTS, Observed
from fedrlhf.data.tutor.curriculum import Topic, asked_topic, questions, topics
from fedrlhf.data.tutor.learner import Impression, Learner
from fedrlhf.data.tutor.learning import learns
from fedrlhf.data.tutor.school import School, liking_leaks, usual_utility
from fedrlhf.data.tutor.students import group_tastes, make_students
from fedrlhf.data.tutor.styles import STYLES, logging_policy, rewritten, softmax_policy
from fedrlhf.errors import ConfigError, DataError

SCRIPT = Path(__file__).parents[2] / "scripts/make_student_traces.py"


def school(gaming: float = 0.0, seed: int = 0, clients: int = 8) -> School:
    """Return eight students in two groups."""
    students = make_students(clients, group_tastes(2, 1.2), [], 0.1, seed)
    return School(liking_leaks(students, 3.0), gaming, 0.3, seed)


@pytest.fixture(scope="module")
def rows() -> list[Observed]:
    """Return 8 times 400 rows, half of the students game."""
    seen = school(gaming=0.5).observe(questions(), 400)
    return [row for of_one in seen.values() for row in of_one]


def agrees(happened: int, of: int, chance: float) -> bool:
    """Tell whether a count is one that the chance gives in all but 1 of 1000 draws."""
    return bool(stats.binomtest(happened, of, chance).pvalue > 1e-3)


def test_the_logging_policy_is_a_distribution() -> None:
    """Every style has a chance, the chances sum to 1 and depend on the count alone."""
    policy = logging_policy()
    assert len(STYLES) == 1 + 7 + 21 + 35
    assert sum(policy.graded) == sum(policy.ungraded) == pytest.approx(1)
    assert policy.graded[0] == 0.1
    # One of 7 attributes, two of them, three of them.
    assert policy.leaks == pytest.approx(0.35 * 1 / 7 + 0.35 * 2 / 7 + 0.2 * 3 / 7)


def test_a_drawn_style_has_the_chance_that_is_logged() -> None:
    """`chance` reads back from the text what `draw` returns; a style it never shows has none."""
    policy, rng, topic = logging_policy(), np.random.default_rng(0), topics()[3]
    question = f"What is {topic.name}?"
    for _ in range(50):
        answer, chance = policy.draw(question, topic, rng)
        assert policy.chance(question, answer) == pytest.approx(chance)
    everything = compose(topic, ["example", "code", "steps", "caveat"], rng)
    assert policy.chance(question, everything) == 0.0


def test_softmax_policy() -> None:
    """Two styles whose values differ by log 3 times the temperature differ threefold in chance."""
    values = np.full(len(STYLES), -1e9)
    values[:2] = 0.5 * math.log(3), 0.0
    policy = softmax_policy("x", values, np.zeros(len(STYLES)), 0.5)
    assert policy.ungraded[:2] == pytest.approx((0.75, 0.25))
    assert policy.graded[0] == pytest.approx(1 / len(STYLES))


@pytest.mark.parametrize("chosen", topics(), ids=lambda topic: topic.name)
def test_a_rewritten_answer_keeps_the_words_of_what_stays(chosen: Topic) -> None:
    """The style is the new one; sentences of parts in both are the same, openers included."""
    rng = np.random.default_rng(1)
    old = compose(chosen, ["example", "code", "caveat"], rng)
    for style in STYLES[:40]:
        new = rewritten(chosen, old, style, rng)
        assert read("", new).attributes == style
        for name in {"example", "caveat"} & style:
            sentence = getattr(chosen, name)
            assert new.partition(sentence)[0][-5:] == old.partition(sentence)[0][-5:]


def test_the_same_seed_gives_the_same_traces() -> None:
    """Another seed gives others; one student's traces do not depend on who else is there."""
    asked = questions()[:40]
    first, again, other = (school(seed=seed).observe(asked, 20) for seed in (0, 0, 1))
    assert first == again != other
    fewer = school(clients=2).observe(asked, 20)
    assert fewer["student_001"] == first["student_001"]


def test_every_row_is_valid_and_unique(rows: list[Observed], tmp_path: Path) -> None:
    """Written and read back, nothing is set aside."""
    events = [row.event for row in rows]
    write_events(tmp_path / "x.jsonl", events)
    logged, rejected = read_events(tmp_path / "x.jsonl")
    assert [one.event for one in logged] == events
    assert rejected == []


def test_satisfaction_follows_from_utility(rows: list[Observed]) -> None:
    """P(liked) = sigmoid((utility - usual) / 0.5): their residuals are a normal draw."""
    usual = {s.client_id: usual_utility(s) for s in school().students}
    answered = [row for row in rows if not row.truth.gamed]
    chance = np.array([1 / (1 + math.exp((usual[row.event.user] - row.truth.utility) / 0.5))
                       for row in answered])
    liked = np.array([row.truth.liked for row in answered])
    assert abs((liked - chance).sum() / math.sqrt((chance * (1 - chance)).sum())) < 3.3
    assert 0.3 < liked.mean() < 0.7


def test_teaching_follows_from_learning(rows: list[Observed]) -> None:
    """The same for P(taught); a burst through hints teaches nobody."""
    answered = [row for row in rows if not row.truth.gamed]
    chance = np.array([learns(row.event.context, row.event.answer) for row in answered])
    taught = np.array([row.truth.taught for row in answered])
    assert abs((taught - chance).sum() / math.sqrt((chance * (1 - chance)).sum())) < 3.3
    assert not any(row.truth.taught for row in rows if row.truth.gamed)


@pytest.mark.parametrize(("done", "asked", "channel", "chance"), [
    (lambda e: e.copied is not None, lambda e: not leaks(e.context, e.answer), "liked", acts.COPY),
    (lambda e: e.followup is not None, lambda e: True, "liked",
     acts.Chance(acts.FOLLOWUP, acts.FOLLOWUP)),
    (lambda e: e.run.outcome == "ok", lambda e: e.run is not None and e.run.changed_code, "taught",
     acts.RAN_OK),
], ids=["copied", "followup", "run"])
def test_traces_have_the_chances_of_the_table(rows: list[Observed], done: object, asked: object,
                                              channel: str, chance: acts.Chance) -> None:
    """After good, bad and half-read answers, each count is one that its chance gives."""
    counted = [row for row in rows if not row.truth.gamed and row.event.alternative is None
               and asked(row.event)]  # type: ignore[operator]
    for good in (True, False, None):
        found = [done(row.event) for row in counted  # type: ignore[operator]
                 if getattr(row.truth, f"seen_{channel}") is good]
        assert len(found) > 40
        assert agrees(sum(found), len(found), chance.of(good)), good


def test_votes_lean_by_generosity() -> None:
    """logit P(up) = logit of the table + generosity; P(vote) is the student's own."""
    student = school().students[0]
    topic = topics()[0]
    question, rng = f"What is {topic.name}?", np.random.default_rng(0)
    seen = Impression(0.0, 0.0, liked=True, taught=False, attentive=True)
    generous = Learner(student, Habits(0.2, 1.0, 5.0, 0.1, 0.2, gaming=False), 0.0)
    votes = [generous.reactions(question, topic.definition, seen, rng).get("vote")
             for _ in range(4000)]
    cast = [vote for vote in votes if vote]
    up = 1 / (1 + math.exp(-math.log(0.85 / 0.15) - 1.0))
    assert agrees(len(cast), len(votes), 0.2)
    assert agrees(cast.count("up"), len(cast), up)


def test_quizzes_ask_what_is_known() -> None:
    """A mastered topic fails by slip, another one passes by guess."""
    topic, rng = topics()[0], np.random.default_rng(0)
    learner = Learner(school().students[0], Habits(0.1, 0.0, 5.0, 0.1, 0.2, gaming=False), 0.0)
    for known, chance in ((set(), 0.2), ({topic.name}, 0.9)):
        learner.mastered = known
        quizzes = [quiz for _ in range(2000) for quiz in learner.quizzes(topic, rng)]
        assert agrees(sum(quiz.correct for quiz in quizzes), len(quizzes), chance)


def test_students_learn_from_what_teaches() -> None:
    """A hint with steps and an analogy is learnt by sigmoid(-2.5 + 3.5) of the attentive."""
    topic, rng = topics()[0], np.random.default_rng(0)
    answer = compose(topic, ["hint", "steps", "analogy"], rng)
    learned = 0
    for _ in range(2000):
        learner = Learner(school().students[0], draw_habits(False, rng), 0.0)
        learner.impression(f"What is {topic.name}?", answer, rng)
        learned += topic.name in learner.mastered
    assert agrees(learned, 2000, acts.ATTENTIVE / (1 + math.exp(-1.0)))


def test_hints_climb_and_bursts_are_rapid(rows: list[Observed]) -> None:
    """Levels go 1, 2, 3 in a session; only gaming students burst, and always to the last hint."""
    gaming = school(gaming=0.5).gaming()
    assert len(gaming) == 4
    hints = [row for row in rows if row.event.hint]
    for row in hints:
        hint = row.event.hint
        assert hint is not None
        assert hint.final == (hint.level == len(HINTS))
        assert read("", row.event.answer).attributes == set(HINTS[hint.level - 1])
        assert (hint.latency_seconds < 2) == row.truth.gamed
        if row.truth.gamed:
            assert row.event.user in gaming
    for before, after in pairwise(hints):
        assert after.event.hint is not None
        if after.event.hint.level > 1:
            assert (before.event.session, before.event.turn + 1) == (
                after.event.session, after.event.turn)
    cut = sum(before.truth.gamed and not before.event.hint.final  # type: ignore[union-attr]
              for before, after in pairwise(hints) if after.event.hint.level == 1)  # type: ignore[union-attr]
    assert cut <= len(gaming)  # a burst at the end of the rows


def test_bad_numbers_are_refused() -> None:
    """The message names the key of the configuration."""
    for changes, message in (((1.5, 0.3), "data.gaming_share .* got 1.5"),
                             ((0.0, 0.0), "data.label_noise .* got 0.0")):
        with pytest.raises(ConfigError, match=message):
            School(school().students, *changes, seed=0)
    with pytest.raises(DataError, match="'What is love' names no topic"):
        asked_topic("What is love")


def test_the_script_writes_a_file(tmp_path: Path) -> None:
    """Three students of five rows each."""
    out = tmp_path / "x.jsonl"
    done = subprocess.run([sys.executable, SCRIPT, "--students", "3", "--turns", "5", "--out", out],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "15 rows of 3 students" in done.stdout
    assert len(read_events(out)[0]) == 15
