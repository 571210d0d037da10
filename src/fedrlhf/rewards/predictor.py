"""In-context judges as rewards: how much a person values completions of a prompt."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from fedrlhf.config import schema
from fedrlhf.data.source import Source
from fedrlhf.errors import ConfigError, RunFailed
from fedrlhf.files import read_json
from fedrlhf.models.slot import CONFIG
from fedrlhf.rewards.base import Client, Reward, Score
from fedrlhf.selectors.embeddings import shared_embedder
from fedrlhf.selectors.in_context import InContextJudge, open_predictor
from fedrlhf.selectors.variational import open_variational
from fedrlhf.types import Prompt

_OF_EMBEDDER = ("kind", "model", "pooling", "max_tokens", "autocast")


class PredictorReward(Reward):
    """The value of a completion in a trained judge that knows the person who asked by answers.

    Log-odds up to a constant of the prompt: for the predictor, the softmax over completions is the
    predicted division of the person's preference among them. The person's answers are those of the
    client's training split; they stay there, as do the values and the variational latent.

    Args:
        folder: What a stage `select` with objective=predictor or variational saved, such as
            ``runs/opinions/select/selector_0``.
        cache: Folder that keeps texts' vectors for the next process; None keeps none.
    """

    def __init__(self, *, folder: str, cache: str | None) -> None:
        self.folder, self.cache = Path(folder).expanduser(), cache

    def check(self, config: schema.Config, source: Source) -> None:
        """Refuse a folder without a judge, unless sites hold it."""
        if config.runtime.engine != "deployment":
            _settings(self.folder)

    def open(self, client: Client) -> Score:
        """Load the judge; each person's context is read when that person first asks."""
        judge = open_trained(self.folder, self.cache)
        contexts: dict[str, InContextJudge] = {}

        def score(prompt: Prompt, completions: Sequence[str], person: str) -> np.ndarray:
            if person not in contexts:
                own = [one for one in client.train if one.client_id == person]
                if not own:
                    # The server reads this, and it need not know the people of a client.
                    raise RunFailed("a person of this client has no answer that the predictor "
                                    "could know it by; choose another reward/personal")
                contexts[person] = judge.for_person(own)
            # A completion that does not fit is worth the mean of the others.
            values = contexts[person].values(prompt, completions)
            known = values[~np.isnan(values)]
            return np.nan_to_num(values, nan=float(known.mean()) if len(known) else 0.0)

        return score


def open_trained(folder: Path, cache: str | None) -> InContextJudge:
    """Open a saved in-context judge; it knows nobody yet.

    Raises:
        ConfigError: The folder holds no such judge.
        UserError: Its tensors do not fit its settings.
    """
    told = _settings(folder)
    known = {field.name for field in fields(schema.Model)}
    model = schema.Model(**{key: value for key, value in told["model"].items() if key in known})
    embedder = shared_embedder(model, told["pooling"], told["max_tokens"], told["autocast"], cache)
    sizes = {key: value for key, value in told.items() if key not in _OF_EMBEDDER}
    judge: InContextJudge = (open_predictor(embedder, sizes) if told["kind"] == "predictor"
                             else open_variational(embedder, **sizes))
    judge.slot.write(judge.slot.load(folder))
    return judge


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    if not path.is_file():
        raise ConfigError(f"the reward's folder {folder} holds no {CONFIG}; name the folder of a "
                          "trained predictor, such as runs/opinions/select/selector_0")
    return read_json(path)  # type: ignore[no-any-return]
