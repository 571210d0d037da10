"""Write the traces of simulated students to a file that `fedrlhf traces` and data=traces read.

Run: python scripts/make_student_traces.py --students 12 --turns 200 --out student_traces.jsonl
"""

import argparse
from pathlib import Path

from fedrlhf.data.traces.reading import write_events
from fedrlhf.data.tutor.curriculum import questions
from fedrlhf.data.tutor.school import School, liking_leaks
from fedrlhf.data.tutor.students import group_tastes, make_students


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--students", type=int, default=12)
    parser.add_argument("--groups", type=int, default=3)
    parser.add_argument("--turns", type=int, default=200, help="rows of each student")
    parser.add_argument("--gaming", type=float, default=0.0, help="share of the students who game")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    students = make_students(options.students, group_tastes(options.groups, heterogeneity=1.2), [],
                             noise=0.1, seed=options.seed)
    school = School(liking_leaks(students, 3.0), options.gaming, choice_noise=0.3,
                    seed=options.seed)
    observed = school.observe(questions(), options.turns)
    events = [row.event for rows in observed.values() for row in rows]
    write_events(options.out, events)
    print(f"{len(events)} rows of {len(observed)} students in {options.out}")


if __name__ == "__main__":
    main()
