"""The schema of the preference sources and their defaults; the rest is in `schema.py`."""

from dataclasses import dataclass, field

from omegaconf import MISSING


@dataclass
class TutorSource:
    """Simulated students of a data-science tutor, with known tastes (data/tutor)."""

    _target_: str = "fedrlhf.data.tutor.source.TutorSource"
    clients: int = 12
    groups: int = 3
    group_shares: list[float] = field(default_factory=list)  # empty: equal groups
    pairs_per_client: int = 400
    heterogeneity: float = 1.2  # size of the tastes that differ between groups
    personal_noise: float = 0.1  # standard deviation of a student's own deviation
    label_noise: float = 0.3  # temperature of the Bradley-Terry choice, in units of utility
    seed: int = 0


@dataclass
class ServerPrompts:
    """The prompts that the server owns, for the sources that have none of their own."""

    instructions: str | None = None  # file, folder or hub name: prompts or demonstrations
    instructions_revision: str | None = None  # on the hub
    instructions_split: str = "train"
    instructions_limit: int | None = None  # rows to read; null: all


@dataclass
class JsonlSource(ServerPrompts):
    """A JSON-lines file: pairs in TRL's columns or judged ones, and ratings of single answers."""

    _target_: str = "fedrlhf.data.jsonl.JsonlSource"
    path: str = MISSING


@dataclass
class TracesSource(ServerPrompts):
    """What students did with the tutor's answers: a file or a folder of events (data/traces)."""

    _target_: str = "fedrlhf.data.traces.source.TracesSource"
    path: str = MISSING
    reward_lambda: float = 0.5  # share of learning in the reward; the rest is satisfaction
    kappa: float = 1.0  # penalty of a violation
    channels: list[str] = field(default_factory=lambda: ["satisfaction", "learning"])
    gap: float = 0.1  # of rewards, beyond which two answers to one prompt make a pair
    cap_per_user: int = 500  # preferences
    feedback_clip: float = 10.0  # the largest 1 / P(feedback)
    gaming_seconds: float = 2.5  # a hint that was asked for sooner was clicked through to
    fit: bool = True  # the table of evidence, to each user's events; false: starting values


@dataclass
class SitesSource:
    """For a server whose sites hold the preferences: prompts for its own stages, or nothing."""

    _target_: str = "fedrlhf.data.sites.SitesSource"
    instructions: str | None = None  # JSON lines with a `prompt`


@dataclass
class UkpConvArgSource:
    """Votes on which of two arguments convinces more (Habernal and Gurevych, 2016)."""

    _target_: str = "fedrlhf.data.ukp_convarg.UkpConvArgSource"
    path: str = MISSING


@dataclass
class TuluHumanEvalSource:
    """Human comparisons of two models' completions (Wang et al., 2023)."""

    _target_: str = "fedrlhf.data.tulu_human_eval.TuluHumanEvalSource"
    path: str = MISSING


@dataclass
class RealHumanEvalSource:
    """What programmers copied from a model's answers (Mozannar et al., 2024): ratings, no pairs."""

    _target_: str = "fedrlhf.data.realhumaneval.RealHumanEvalSource"
    path: str = MISSING
    copied: float = 0.7  # P(the answer is good | something was copied); its weight is |2P - 1|
    not_copied: float = 0.4  # P(the answer is good | nothing was copied)


@dataclass
class PublishedSource(ServerPrompts):
    """A data set on the hub, or a local copy of it."""

    path: str = MISSING
    revision: str | None = None  # on the hub: a commit fixes what is read
    split: str = "train"
    limit: int | None = None  # rows to read; null: all


@dataclass
class HhRlhfSource(PublishedSource):
    """Helpful and harmless dialogues (Bai et al., 2022)."""

    _target_: str = "fedrlhf.data.hh_rlhf.HhRlhfSource"
    path: str = "Anthropic/hh-rlhf"


@dataclass
class TldrComparisonsSource(PublishedSource):
    """Comparisons of two summaries of a forum post (Stiennon et al., 2020)."""

    _target_: str = "fedrlhf.data.tldr_comparisons.TldrComparisonsSource"
    path: str = "openai/summarize_from_feedback"
    split: str = "train"  # train | validation | valid1 | valid2


@dataclass
class ShpSource(PublishedSource):
    """Which of two comments forum readers prefer (Ethayarajh et al., 2022)."""

    _target_: str = "fedrlhf.data.shp.ShpSource"
    path: str = "stanfordnlp/SHP"
    min_score_ratio: float | None = None  # leave out pairs whose scores are closer
    max_per_post: int | None = None


@dataclass
class UltraFeedbackSource(PublishedSource):
    """Completions rated on four aspects (Cui et al., 2024), weighed by simulated people."""

    _target_: str = "fedrlhf.data.ultrafeedback.UltraFeedbackSource"
    path: str = "openbmb/UltraFeedback"
    clients: int = 12
    groups: int = 4  # 1 to 4: one for each aspect
    pairs_per_client: int = 200
    focus: float = 0.9  # share of a group's weight on its own aspect; 0: all groups alike
    concentration: float | None = 50.0  # of people around their group; null: exactly its weights
    temperature: float = 0.5  # of the Bradley-Terry choice, in points of rating
    seed: int = 0


@dataclass
class PrismSource(PublishedSource):
    """People's ratings in their own conversations (Kirk et al., 2024)."""

    _target_: str = "fedrlhf.data.prism.PrismSource"
    path: str = "HannahRoseKirk/prism-alignment"


@dataclass
class ChatbotArenaSource(PublishedSource):
    """People's votes on two unnamed models' answers (Zheng et al., 2023)."""

    _target_: str = "fedrlhf.data.chatbot_arena.ChatbotArenaSource"
    path: str = "lmsys/chatbot_arena_conversations"


@dataclass
class OpinionsSource:
    """Simulated groups that divide their preference among the same questions' options."""

    _target_: str = "fedrlhf.data.opinions.OpinionsSource"
    groups: int = 14
    questions: int = 120  # at most those of the curriculum
    options: int = 4
    heterogeneity: float = 1.5  # standard deviation of a group's taste for each attribute
    temperature: float = 1.0  # of the shares, in units of utility
    seed: int = 0


@dataclass
class GlobalOpinionsSource(PublishedSource):
    """How the people of each country answered survey questions (Durmus et al., 2023)."""

    _target_: str = "fedrlhf.data.global_opinions.GlobalOpinionsSource"
    path: str = "Anthropic/llm_global_opinions"
