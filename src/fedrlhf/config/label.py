"""The schema of labelling, of what the tutor writes and of how groups' judgements are joined."""

from dataclasses import dataclass, field

AGGREGATIONS = ("mean", "min", "max", "adaptive", "borda")


@dataclass
class Sampling:
    """How completions are drawn. Paper: temperature 1.0."""

    temperature: float = 1.0
    top_p: float = 1.0
    max_new_tokens: int = 96
    batch_prompts: int = 32


@dataclass
class Adaptive:
    """aggregate=adaptive: the mean while groups are served evenly, else for the worst served."""

    threshold: float = 0.9  # of the fairness index; below it the worst served count for more
    temperature: float = 0.1  # T: near 0 the worst served group counts alone
    decay: float = 0.8  # of the past in the moving average of how each group was served


@dataclass
class Label:
    """The tutor writes completions; the selectors' vote makes preference pairs, or the clients."""

    instructions: int | None = 128  # how many prompts; null: all
    completions: int = 4  # for each instruction; all pairs of different ones are judged
    # drop pairs whose mean log-odds (aggregate: gap of joint rewards) is nearer to zero than this
    margin: float = 0.0
    # null: the vote at the server | mean | min | max | adaptive | borda of the clients' own scores
    aggregate: str | None = None
    adaptive: Adaptive = field(default_factory=Adaptive)
    sampling: Sampling = field(default_factory=Sampling)
