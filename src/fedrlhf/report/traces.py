"""What became of a file of traces: tables for the console, and the same with pictures on a page."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from fedrlhf.data.traces.channels import Judged
from fedrlhf.data.traces.drafts import KINDS
from fedrlhf.data.traces.evidence import CHANNELS, FAMILIES, NONE, Channel, columns_of
from fedrlhf.data.traces.histories import evidence_counts
from fedrlhf.data.traces.reading import Rejected
from fedrlhf.data.traces.source import TracesSource
from fedrlhf.data.traces.training_data import UserData, fate_counts
from fedrlhf.evaluation.off_policy import effective_sample_size
from fedrlhf.report import plots_traces as plots
from fedrlhf.report.parts import Picture, Section, Table
from fedrlhf.report.render import render, save
from fedrlhf.report.traces_policies import policy_section
from fedrlhf.report.words import counted, fixed, percent, plain, signed
from fedrlhf.types import Preference, only_pairs, only_ratings

PAGE = "traces.html"
_MOST_USERS, _MOST_REASONS = 20, 12
_SAID = {"ab": "A/B vote", "edit": "edit", "correction": "correction",
         "regenerate": "accepted regenerate", "contexts": "two answers to one prompt",
         "rating": "single answer", "violation": "violation without traces"}
_GAVE: dict[str, str] = {kind: "rating" if kind in ("rating", "violation") else "pair"
                         for kind in KINDS}


def write_traces(source: TracesSource, name: str, target: Path) -> Path:
    """Write the page about a source's traces.

    Args:
        source: The traces.
        name: What to call them.
        target: The page.

    Raises:
        DataError: They cannot be read.
        UserError: The page cannot be written.
    """
    pictures = _pictures(source.users)
    sections = [replace(one, pictures=pictures.get(one.anchor, ())) for one in sections_of(source)]
    page = render("traces.html.j2", title=f"{plain(name)} · traces · fedrlhf", name=plain(name),
                  verdict=verdict(source), sections=[one for one in sections if one.filled])
    return save(page, target)


def verdict(source: TracesSource) -> str:
    """Say in a sentence how much came of how much."""
    events = _events(source.users)
    found = _preferences(source.users)
    pairs, ratings = len(only_pairs(found)), len(only_ratings(found))
    size = effective_sample_size([one.weight for one in found])
    return (f"{counted(len(events), 'answer')} of {counted(len(source.users), 'user')} gave "
            f"{counted(pairs, 'pair')} and {counted(ratings, 'rating')}, worth "
            f"{size:.1f} equally weighted ones; "
            f"{counted(len(source.rejected), 'row was', 'rows were')} set aside.")


def sections_of(source: TracesSource) -> list[Section]:
    """Return the tables; the console shows the same ones."""
    users = source.users
    return [
        Section("rows", "Rows", tables=_filled([_rows(source), _rejected(source.rejected)])),
        Section("fates", "What became of each answer", tables=_filled([_fates(users)])),
        Section("yield", "Yield and P(good)", tables=_filled([_yield(users)])),
        Section("evidence", "Evidence", "Strengths are log-odds of a good answer: starting values, "
                "guessed and to be fitted, and the mean of the users' fits.",
                tables=_filled([_evidence(users), _ignored(users), _violations(users)])),
        policy_section(users, source.reward),
        Section("users", "Users", tables=_filled([_coverage(users)]))]


def _filled(tables: Sequence[Table]) -> list[Table]:
    return [table for table in tables if table.rows]


def _events(users: Sequence[UserData]) -> list[Judged]:
    return [one for user in users for one in user.judged]


def _preferences(users: Sequence[UserData]) -> list[Preference]:
    return [one for user in users for one in user.preferences]


def _rows(source: TracesSource) -> Table:
    events = _events(source.users)
    logged = sum(one.reading.event.behaviour_log_prob is not None for one in events)
    heard = {channel: sum(one.heard(channel) for one in events) for channel in CHANNELS}
    return Table(("", ""), [
        ["rows read", f"{len(events) + len(source.rejected):,}"],
        ["rows set aside", f"{len(source.rejected):,}"],
        ["answers", f"{len(events):,}"],
        ["with evidence of satisfaction", _of(heard["satisfaction"], len(events))],
        ["with evidence of learning", _of(heard["learning"], len(events))],
        ["with a logged probability", _of(logged, len(events))]])


def _of(count: int, total: int) -> str:
    return f"{count:,} ({percent(count / total)})" if total else f"{count:,}"


def _rejected(found: Sequence[Rejected]) -> Table:
    """Return why rows are set aside, the commonest reasons first; a row may have several."""
    places: dict[tuple[str, str], list[str]] = defaultdict(list)
    for one in found:
        for problem in one.problems:
            places[problem.field, problem.reason].append(f"{one.file}:{one.line}")
    reasons = sorted(places, key=lambda reason: (-len(places[reason]), reason))
    more = f"; the {_MOST_REASONS} commonest reasons" if len(reasons) > _MOST_REASONS else ""
    return Table(("field", "reason", "first row", "rows"), [
        [plain(reason[0], 40), plain(reason[1], 100), places[reason][0],
         f"{len(places[reason]):,}"] for reason in reasons[:_MOST_REASONS]],
        f"Rows that cannot be used{more}", text_columns=(0, 1, 2))


def _fates(users: Sequence[UserData]) -> Table:
    found = plots.fate_list(fate_counts(users), _GAVE)
    total = sum(fate.count for fate in found)
    return Table(("answers", "gave", "number", "share"), [
        [_SAID.get(fate.name, fate.name), fate.gave, f"{fate.count:,}",
         percent(fate.count / total)] for fate in found], text_columns=(0, 1))


def _yield(users: Sequence[UserData]) -> Table:
    counts = Counter(one.columns["trace"] for one in _preferences(users))
    weights = {kind: [one.weight for one in _preferences(users) if one.columns["trace"] == kind]
               for kind in counts}
    answers = len(_events(users))
    rows = [[_SAID[kind], f"{counts[kind]:,}", f"{1000 * counts[kind] / answers:.0f}",
             f"{effective_sample_size(weights[kind]):.1f}"] for kind in KINDS if counts[kind]]
    return Table(("preferences from", "number", "per 1,000 answers", "effective number"), rows)


def _evidence(users: Sequence[UserData]) -> Table:
    counts = evidence_counts(one.reading for one in _events(users))
    rows: list[list[str]] = []
    for channel in CHANNELS:
        found = [(family, outcome) for family, outcome in columns_of(channel)
                 if counts[family, outcome]]
        rows += [[channel]] if found else []
        rows += [[_label(*one), f"{counts[one]:,}", signed(_start(channel, *one)),
                  signed(float(np.mean(_fits(users, channel, *one))))] for one in found]
    return Table(("trace", "number", "starting", "fitted"), rows)


def _label(family: str, outcome: str) -> str:
    return f"{family}: {outcome}".replace("_", " ")


def _start(channel: Channel, family: str, outcome: str) -> float:
    return FAMILIES[family].strengths[outcome]


def _fits(users: Sequence[UserData], channel: Channel, family: str, outcome: str) -> list[float]:
    """Return the log-odds that were fitted to the users who left a trace."""
    columns = columns_of(channel)
    place = columns.index((family, outcome))
    found = []
    for user in users:
        if any(one.family == family and one.outcome == outcome
               for judged in user.judged for one in judged.reading.evidence):
            values = user.models[channel].strengths
            absent = values[columns.index((family, NONE))] if (family, NONE) in columns else 0.0
            found.append(float(values[place] - absent))
    return found


def _ignored(users: Sequence[UserData]) -> Table:
    counts = Counter(why for one in _events(users) for why in one.reading.ignored)
    return Table(("traces set aside", "answers"),
                 [[why, f"{count:,}"] for why, count in counts.most_common()])


def _violations(users: Sequence[UserData]) -> Table:
    counts = Counter(wrong for one in _events(users) for wrong in one.reading.violations)
    return Table(("violation", "answers"), [[wrong.replace("_", " "), f"{count:,}"]
                                            for wrong, count in counts.most_common()])


def _coverage(users: Sequence[UserData]) -> Table:
    largest = sorted(users, key=lambda user: (-len(user.judged), user.user))
    more = (f"The {_MOST_USERS} users with the most answers, of {len(users):,}"
            if len(users) > _MOST_USERS else "")
    return Table(("user", "answers", "with evidence", "pairs", "ratings", "effective number"),
                 [_user(user) for user in largest[:_MOST_USERS]], more)


def _user(user: UserData) -> list[str]:
    heard = sum(any(one.heard(channel) for channel in CHANNELS) for one in user.judged)
    return [plain(user.user, 24), f"{len(user.judged):,}", _of(heard, len(user.judged)),
            f"{len(only_pairs(user.preferences)):,}", f"{len(only_ratings(user.preferences)):,}",
            fixed(effective_sample_size([one.weight for one in user.preferences]), 1)]


def _pictures(users: Sequence[UserData]) -> dict[str, list[Picture]]:
    """Return the drawings by the anchors of their sections."""
    events = _events(users)
    counts = fate_counts(users)
    satisfied = [one.satisfaction for one in events if one.heard("satisfaction")]
    learned = [one.learning for one in events if one.heard("learning")]
    found: dict[str, list[Picture]] = {}
    if counts:
        found["fates"] = [plots.fates([
            replace(fate, name=_SAID.get(fate.name, fate.name))
            for fate in plots.fate_list(counts, _GAVE)])]
    if satisfied or learned:
        found["evidence"] = [plots.strengths(_strengths(users))]
        found["yield"] = [plots.probabilities(satisfied, learned)]
    return found


def _strengths(users: Sequence[UserData]) -> list[plots.Strength]:
    counts = evidence_counts(one.reading for one in _events(users))
    return [plots.Strength(_label(*one), _start(channel, *one), _fits(users, channel, *one))
            for channel in CHANNELS for one in columns_of(channel) if counts[one]]
