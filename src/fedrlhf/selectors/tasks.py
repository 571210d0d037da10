"""Draw in-context tasks: for target questions, some other answered questions of the same person."""

from collections.abc import Sequence

import torch

from fedrlhf.selectors.predictor import Embedded

Task = tuple[list[Embedded], list[Embedded]]  # context and targets


def draw_tasks(questions: Sequence[Embedded], batch: Sequence[int],
               sizes: Sequence[int]) -> list[Task]:
    """Make a task for each person among the targets, from torch's global generator.

    The number of context questions is uniform between ``sizes[0]`` and ``sizes[1]``, at most all
    but one of the person's. Questions that are no targets come first; where these are too few,
    targets become context and are not asked for in this step.

    Args:
        questions: All questions of the client.
        batch: The places of the targets.
        sizes: The least and the largest number of context questions.
    """
    people = sorted({questions[place].person for place in batch})
    tasks = []
    for person in people:
        own = [place for place, question in enumerate(questions) if question.person == person]
        wanted = set(batch)
        count = min(int(torch.randint(sizes[0], sizes[1] + 1, ())), len(own) - 1)
        shuffled = [own[place] for place in torch.randperm(len(own)).tolist()]
        shuffled.sort(key=lambda place: place in wanted)  # stable: targets last
        context = shuffled[:count]
        targets = [place for place in shuffled[count:] if place in wanted]
        tasks.append(([questions[place] for place in context],
                      [questions[place] for place in targets]))
    return tasks


def by_person(questions: Sequence[Embedded]) -> dict[str, list[Embedded]]:
    """Return each person's questions, people and questions in the order in which they come."""
    found: dict[str, list[Embedded]] = {}
    for question in questions:
        found.setdefault(question.person, []).append(question)
    return found


def with_others(questions: Sequence[Embedded]) -> list[Embedded]:
    """Return the questions of those who answered at least two: one of them has no context."""
    people = by_person(questions)
    return [question for question in questions if len(people[question.person]) > 1]
