"""The embedded source of traces: simulated students work with a tutor, the traces are read."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar

from fedrlhf.data.source import Instructions
from fedrlhf.data.traces.channels import Reward
from fedrlhf.data.traces.drafts import KINDS
from fedrlhf.data.traces.em import Prior
from fedrlhf.data.traces.evidence import Channel
from fedrlhf.data.traces.reading import Logged
from fedrlhf.data.traces.training_data import Rules, UserData, fate_counts, training_data
from fedrlhf.data.tutor.classroom import Observed
from fedrlhf.data.tutor.school import School, liking_leaks
from fedrlhf.data.tutor.source import TutorTruth, server_prompts, shared_out
from fedrlhf.data.tutor.students import group_tastes, make_students
from fedrlhf.errors import ConfigError, DataError
from fedrlhf.types import Preference, PreferencePair, as_text


@dataclass
class TutorTracesSource:
    """Pairs and ratings from the traces of simulated students, whose truth is known.

    The fields are the keys of `config.sources.TutorTracesSource`. The students are those of
    `data=tutor`; what they leave goes through the same steps as a file of `data=traces`, as a file
    named by the student. Beside what those steps say of it, a pair has the truth's columns of
    `data=tutor`: group, oracle_margin (its own student's) and consensus_margin.

    Attributes:
        left_out: After `preferences`: how many rows gave none, by why.
    """

    name: ClassVar[str] = "tutor_traces"

    clients: int
    groups: int
    group_shares: list[float]
    turns_per_client: int
    heterogeneity: float
    personal_noise: float
    label_noise: float
    leak_liking: float
    gaming_share: float
    reward_lambda: float
    kappa: float
    channels: Sequence[Channel]
    gap: float
    cap_per_user: int
    feedback_clip: float
    gaming_seconds: float
    fit: bool
    seed: int
    left_out: dict[str, int] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        """Make the students.

        Raises:
            ConfigError: A key is out of range or does not fit another one.
        """
        for key in ("heterogeneity", "personal_noise", "leak_liking"):
            if not 0 <= getattr(self, key) < float("inf"):
                raise ConfigError(f"data.{key} must be at least 0, got {getattr(self, key)}")
        if self.turns_per_client < 1:
            raise ConfigError("data.turns_per_client must be at least 1, "
                              f"got {self.turns_per_client}")
        tastes = group_tastes(self.groups, self.heterogeneity)
        students = make_students(self.clients, tastes, self.group_shares, self.personal_noise,
                                 self.seed)
        self.school = School(liking_leaks(students, self.leak_liking), self.gaming_share,
                             self.label_noise, self.seed)
        self._rules = Rules(
            Reward(self.reward_lambda, self.kappa, tuple(self.channels)), self.gap,
            self.cap_per_user, self.feedback_clip, self.gaming_seconds,
            Prior() if self.fit else None)

    @cached_property
    def observed(self) -> dict[str, list[Observed]]:
        """What each student did, with the truth behind it."""
        return self.school.observe(shared_out(self.seed)[0], self.turns_per_client)

    @cached_property
    def users(self) -> list[UserData]:
        """What became of each student's rows."""
        logged = [Logged(f"{name}.jsonl", line, row.event) for name, rows in self.observed.items()
                  for line, row in enumerate(rows, 1)]
        return training_data(logged, self._rules, self.name)

    def preferences(self) -> list[Preference]:
        """Return every student's pairs and ratings.

        Raises:
            DataError: No row gives one.
        """
        fates = fate_counts(self.users)
        self.left_out = {fate: count for fate, count in sorted(fates.items())
                         if fate not in KINDS}
        truth = self.truth()
        found = [_with_truth(one, truth) for user in self.users for one in user.preferences]
        if not found:
            raise DataError(f"none of the {sum(fates.values())} simulated rows gives a preference "
                            f"({self.left_out}); raise data.turns_per_client")
        return found

    def instructions(self) -> Instructions:
        """Return the questions that no student of the population asks."""
        return server_prompts(self.seed)

    def truth(self) -> TutorTruth:
        """Return the planted tastes, groups and learning."""
        return TutorTruth(list(self.school.students))


def _with_truth(one: Preference, truth: TutorTruth) -> Preference:
    columns = {**one.columns, "group": truth.groups[one.client_id]}
    if isinstance(one, PreferencePair):
        question = as_text(one.prompt)
        own = truth.students[one.client_id].taste
        columns |= {
            "oracle_margin": own.utility(question, one.chosen) - own.utility(question,
                                                                            one.rejected),
            "consensus_margin": truth.utility(question, one.chosen) - truth.utility(question,
                                                                                   one.rejected)}
    return replace(one, columns=columns)
