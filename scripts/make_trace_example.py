"""Write docs/traces.jsonl, the example of docs/traces.md: four students whom we made up.

``python scripts/make_trace_example.py`` writes the same file each time. Two of its rows are bad on
purpose. Nothing in it was observed: it shows the schema and what becomes of each kind of trace.
"""

import json
import math
import random
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parents[1] / "docs" / "traces.jsonl"
_TASKS = {
    "mean-by-city": ("How do I get the mean price of each city?", "groupby",
                     "out = df.groupby('city')['price'].mean()"),
    "missing": ("My column has missing values. What now?", "missing-values",
                "df['age'] = df['age'].fillna(df['age'].median())"),
    "merge": ("How do I join the two tables on id?", "merge",
              "both = left.merge(right, on='id', how='left')"),
    "plot": ("How can I see the distribution of the prices?", "plots",
             "df['price'].plot.hist(bins=30)"),
}
_GOOD = "Which step is missing? Say first what one row of the result stands for, then {hint}."
_HINTS = {"mean-by-city": "group the rows by what you compare", "missing": "count the gaps",
          "merge": "decide which rows must stay", "plot": "choose a histogram"}
_VAGUE = "There are several ways to do this. Read the documentation of the library."
_DAY = "2026-03-{day:02d}T09:{minute:02d}:00Z"

Row = dict[str, Any]


def rows() -> list[Row]:
    """Return the rows: each student works on every task twice."""
    rng = random.Random(4)
    made: list[Row] = []
    for number, user in enumerate(("ann", "bob", "cai", "dee")):
        for day in range(2):
            for place, task in enumerate(_TASKS):
                made += _session(rng, user, f"{task}-{day}", task, 2 + 7 * day + place, number)
    return made


def _session(rng: random.Random, user: str, session: str, task: str, day: int,
             number: int) -> list[Row]:
    """Return the answers of one session: an explanation, then hints where the student asks."""
    made: list[Row] = []
    for turn in range(3 if user == "cai" else 2):
        quality = rng.random() < 0.6
        final = turn == 2
        text = (f"Here is the solution:\n```python\n{_TASKS[task][2]}\n```" if final else
                _GOOD.format(hint=_HINTS[task]) if quality else _VAGUE)
        row: Row = {
            "user": user, "session": session, "turn": turn,
            "time": _DAY.format(day=day, minute=10 * number + 3 * turn),
            "prompt": _TASKS[task][0], "answer": text,
            "policy": {"id": "tutor", "version": "1"}, "decoding": {"temperature": 0.7},
            "propensity": round(rng.uniform(0.1, 0.6), 2), "task": task,
            "skills": [_TASKS[task][1]], "graded": True, "reference_solution": _TASKS[task][2],
            "dwell_ms": rng.randrange(4_000, 60_000), "tokens": len(text.split())}
        # A second version would say the vague answers half as often and the others more often.
        chance = row["propensity"] * (0.5 if text == _VAGUE else 1.5)
        row["other_log_probs"] = {"tutor 2": round(math.log(chance), 3)}
        if turn:
            row["hint"] = {"level": turn, "final": final,
                           "latency_seconds": rng.choice((0.8, 1.4)) if user == "cai" else 40.0}
        made.append(row | {"ann": _ann, "bob": _bob, "cai": _cai, "dee": _dee}[user](
            rng, row, quality))
    return made


def _ann(rng: random.Random, row: Row, quality: bool) -> Row:
    """Votes often and kindly, compares answers, says thanks."""
    traces: Row = {}
    if rng.random() < 0.4:
        traces["vote"] = "up" if quality or rng.random() < 0.6 else "down"
    if rng.random() < 0.3:
        other = _VAGUE if quality else _GOOD.format(hint=_HINTS[row["task"]])
        traces |= {"alternative": {"answer": other, "side": rng.choice(("first", "second"))},
                   "ab": "chosen" if quality else "other"}
    if rng.random() < 0.4:
        traces["followup"] = {"text": "Thanks!" if quality else "I mean something else.",
                              "kind": "thanks" if quality else "rephrase", "confidence": 0.8}
    return traces


def _bob(rng: random.Random, row: Row, quality: bool) -> Row:
    """Rarely satisfied: votes down, rewrites, asks again; once by accident."""
    traces: Row = {}
    if rng.random() < 0.3:
        traces["vote"] = "up" if quality and rng.random() < 0.3 else "down"
    if rng.random() < 0.3:
        traces["edit"] = row["answer"].replace("Which step is missing? ", "")
    if not quality:
        accepted = _GOOD.format(hint=_HINTS[row["task"]]) if rng.random() < 0.5 else None
        traces["regenerate"] = {"after_seconds": rng.choice((0.6, 12.0)),
                                "accepted_answer": accepted}
    return traces


def _cai(rng: random.Random, row: Row, quality: bool) -> Row:
    """Clicks through the hints to the solution, likes it and copies it."""
    if row["turn"] < 2:
        return {}
    return {"vote": "up", "copied": {"characters": 40, "block": 0},
            "quizzes": [{"item": f"{row['task']}-check", "skill": row["skills"][0],
                         "correct": True, "latency_seconds": 3.0}]}


def _dee(rng: random.Random, row: Row, quality: bool) -> Row:
    """Says nothing, runs code, takes quizzes; a week later as well."""
    traces: Row = {}
    if rng.random() < 0.7:
        traces["run"] = {"outcome": "ok" if quality else "same_error", "changed_code": True}
    if rng.random() < 0.6:
        traces |= {"inserted": True, "survival": {"30": 1.0, "600": 0.9 if quality else 0.3}}
    if row["turn"] == 1:
        traces["quizzes"] = [
            {"item": f"{row['task']}-{days}", "skill": row["skills"][0],
             "correct": rng.random() < (0.8 if quality else 0.4), "days_later": days}
            for days in (0, 7)]
        traces["abandon"] = {"reason": "completed" if quality else "gave_up"}
    return traces


def bad_rows() -> list[Row]:
    """Return a row with a misspelt trace and one without its answer."""
    row = {"user": "dee", "session": "bad", "turn": 0, "prompt": "?", "answer": "Yes.",
           "policy": {"id": "tutor"}}
    return [row | {"vtoe": "up"}, {**row, "turn": 1, "answer": ""}]


def text() -> str:
    """Return the file's content."""
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in [*rows(), *bad_rows()])


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    target.write_text(text(), "utf-8")
    print(f"{target}: {len(text().splitlines())} rows")
