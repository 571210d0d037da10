"""One row of a trace file: an answer of the assistant and what the student did with it.

Every field that is not listed here is refused, so that a misspelt trace is reported instead of
ignored. `docs/traces.md` explains each field with an example.
"""

import math
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    Tag,
    model_validator,
)

from fedrlhf.types import Prompt, Turn

Share = Annotated[float, Field(ge=0, le=1)]
Text = Annotated[str, Field(min_length=1, pattern=r"\S")]
Seconds = Annotated[float, Field(ge=0)]
LogProb = Annotated[float, Field(le=0)]  # natural
Violation = Literal["leaked_answer", "unsafe_code"]


class _Record(BaseModel):
    """Frozen, strictly typed (no "1" for 1), finite numbers only, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Message(_Record):
    """One turn of the conversation before the answer."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str


def _form(prompt: Any) -> str:
    return "(text)" if isinstance(prompt, str) else "(turns)"


AnyPrompt = Annotated[
    Annotated[Text, Tag("(text)")]
    | Annotated[tuple[Message, ...], Tag("(turns)")], Discriminator(_form)]


class Policy(_Record):
    """Which model answered."""

    id: Text
    version: str = ""


class Alternative(_Record):
    """The other answer that the student saw beside this one.

    Attributes:
        answer: Its text.
        side: Where it stood; the row's own answer stood on the other side.
    """

    answer: Text
    side: Literal["first", "second"]


class Copied(_Record):
    """Text copied out of the answer.

    Attributes:
        characters: How many.
        block: Which code block of the answer, from 0; None: not a code block.
    """

    characters: Annotated[int, Field(ge=1)]
    block: Annotated[int, Field(ge=0)] | None = None


class Snapshots(_Record):
    """The document around inserted text; gives `survival` and `no_revert` where they are absent.

    Attributes:
        before: The region before the insertion.
        inserted: The region just after it.
        later: The region so many whole seconds later.
    """

    before: str = ""
    inserted: Text
    later: Annotated[dict[Annotated[int, Field(ge=0)], str], Field(min_length=1)]


class Run(_Record):
    """What happened when the student ran their code after the answer.

    Attributes:
        outcome: `same_error`: the error that the student had asked about is still there.
        changed_code: Whether the student changed the code before running it.
    """

    outcome: Literal["ok", "error", "same_error"]
    changed_code: bool


class Regenerate(_Record):
    """The student asked for another answer to the same prompt.

    Attributes:
        after_seconds: How long after this answer was shown.
        accepted_answer: The new answer, where the student kept it.
    """

    after_seconds: Seconds
    accepted_answer: Text | None = None


class Followup(_Record):
    """The student's next message.

    Attributes:
        text: What they wrote.
        kind: What a classifier or the interface says that it is.
        confidence: The classifier's, 0 to 1.
        correction: The whole answer as the student corrected it (kind `correction` only).
    """

    text: str | None = None
    kind: Literal["rephrase", "correction", "thanks", "next_step", "clarification"]
    confidence: Share = 1.0
    correction: Text | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.correction is not None and self.kind != "correction":
            raise ValueError("a correction needs the kind 'correction'")
        return self


class Hint(_Record):
    """This answer is a hint that the student asked for.

    Attributes:
        level: 1 for the first hint of a task, then 2, 3, …
        latency_seconds: How long before asking the student had the answer before it on screen.
        final: Whether it is the last hint, which gives the solution away.
    """

    level: Annotated[int, Field(ge=1)]
    latency_seconds: Seconds
    final: bool = False


class Quiz(_Record):
    """A question that the student answered after this answer and before the next one.

    Attributes:
        item: Its id.
        skill: What it asks for, a knowledge component.
        correct: Whether the student was right.
        attempt: 1 for the first try.
        latency_seconds: How long the student took.
        days_later: Days after the answer; from half a day on it counts as a delayed quiz.
        solved_alone: Whether no help was asked for; None: unknown.
    """

    item: Text
    skill: Text
    correct: bool
    attempt: Annotated[int, Field(ge=1)] = 1
    latency_seconds: Seconds | None = None
    days_later: Annotated[float, Field(ge=0)] = 0.0
    solved_alone: bool | None = None


class Abandon(_Record):
    """The session ended with this answer."""

    reason: Literal["gave_up", "end_of_class", "completed"]


class Event(_Record):
    """One answer of the assistant, where it came from and the traces that it left.

    Attributes:
        user: The student's pseudonymous id.
        session: The conversation's id, unique for the user.
        turn: The answer's place in it, from 0.
        time: When it was shown, with a time zone.
        prompt: What was asked, as a text or as the turns of a conversation.
        answer: What was shown.
        policy: Which model answered.
        decoding: Its sampling settings.
        alternative: The second answer of an A/B comparison.
        propensity: The policy's probability of this answer (among its candidates).
        log_prob: Its natural logarithm, instead of `propensity`.
        other_log_probs: The same logarithm for policies that did not answer, by their names.
        task: Id of the exercise.
        skills: The knowledge components that it needs.
        graded: Whether the student's own solution of the task is graded.
        reference_solution: The solution that the answer must not give away.
        vote: Thumb up or down.
        ab: Which answer of an A/B comparison the student took: this one (`chosen`), the `other`.
        rating: Stars, 1 to 5.
        edit: The answer as the student rewrote it.
        copied: What the student copied.
        inserted: Whether the answer was put into the student's document.
        survival: Share of inserted or copied text that is still there, by whole seconds after.
        no_revert: Share of the insertion that was not undone.
        snapshots: The document, to compute the two above from.
        run: What happened when the student ran their code.
        regenerate: The student asked for another answer.
        followup: The student's next message.
        hint: This answer is a hint that the student asked for.
        dwell_ms: Milliseconds that the answer was on screen.
        tokens: The answer's length, needed with `dwell_ms`.
        quizzes: Questions answered after it.
        abandon: The session ended with it.
        violations: What is wrong with the answer; computed where absent, empty: nothing.
    """

    user: Text
    session: Text
    turn: Annotated[int, Field(ge=0)]
    time: AwareDatetime | None = None
    prompt: AnyPrompt
    answer: Text
    policy: Policy
    decoding: dict[str, JsonValue] = Field(default_factory=dict)
    alternative: Alternative | None = None
    propensity: Annotated[float, Field(gt=0, le=1)] | None = None
    log_prob: LogProb | None = None
    other_log_probs: dict[Text, LogProb] = Field(default_factory=dict)
    task: Text | None = None
    skills: tuple[Text, ...] = ()
    graded: bool = False
    reference_solution: Text | None = None

    vote: Literal["up", "down"] | None = None
    ab: Literal["chosen", "other", "tie"] | None = None
    rating: Annotated[int, Field(ge=1, le=5)] | None = None
    edit: Text | None = None
    copied: Copied | None = None
    inserted: bool = False
    survival: dict[Annotated[int, Field(ge=0)], Share] = Field(default_factory=dict)
    no_revert: Share | None = None
    snapshots: Snapshots | None = None
    run: Run | None = None
    regenerate: Regenerate | None = None
    followup: Followup | None = None
    hint: Hint | None = None
    dwell_ms: Annotated[float, Field(gt=0)] | None = None
    tokens: Annotated[int, Field(ge=1)] | None = None
    quizzes: tuple[Quiz, ...] = ()
    abandon: Abandon | None = None
    violations: tuple[Violation, ...] | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        """Refuse traces of something that did not happen."""
        if not self.prompt:
            raise ValueError("prompt has no turns")
        if self.propensity is not None and self.log_prob is not None:
            raise ValueError("give propensity or log_prob, not both")
        if self.other_log_probs and self.behaviour_log_prob is None:
            raise ValueError("other_log_probs needs propensity or log_prob beside it")
        if self.ab is not None and self.alternative is None:
            raise ValueError("ab needs the alternative that was shown beside the answer")
        if self.dwell_ms is not None and self.tokens is None:
            raise ValueError("dwell_ms needs tokens, the answer's length")
        kept = self.survival or self.no_revert is not None or self.snapshots is not None
        if kept and not self.inserted and self.copied is None:
            raise ValueError("survival, no_revert and snapshots need copied or inserted")
        return self

    @property
    def context(self) -> Prompt:
        """The prompt in the project's type."""
        if isinstance(self.prompt, str):
            return self.prompt
        return tuple(Turn(role=one.role, content=one.content) for one in self.prompt)

    @property
    def behaviour_log_prob(self) -> float | None:
        """The policy's log-probability of the answer, or None where it was not logged."""
        return self.log_prob if self.propensity is None else math.log(self.propensity)

    @property
    def key(self) -> tuple[str, str, int]:
        """What names the row: user, session and turn."""
        return self.user, self.session, self.turn

    def line(self) -> str:
        """Return the row as a line of a trace file, without what is at its default."""
        return self.model_dump_json(exclude_defaults=True)
