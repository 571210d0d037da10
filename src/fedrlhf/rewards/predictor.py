"""The preference predictor as a reward: how much a person values completions of a prompt."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from fedrlhf.config.schema import Model
from fedrlhf.errors import UserError
from fedrlhf.files import read_json
from fedrlhf.models.slot import CONFIG
from fedrlhf.selectors.embeddings import shared_embedder
from fedrlhf.selectors.in_context import InContextJudge, open_predictor
from fedrlhf.selectors.variational import open_variational
from fedrlhf.types import Preference, Prompt

_OF_EMBEDDER = ("kind", "model", "pooling", "max_tokens", "autocast")


class PredictorReward:
    """A trained in-context judge that knows one person by answered preferences.

    Args:
        folder: What the stage `select` saved: ``select/selector_0`` of a run with
            objective=predictor or variational.
        context: The person's answered preferences.
        cache: Folder that keeps texts' vectors for the next process; None keeps none.
    """

    def __init__(self, folder: Path, context: Sequence[Preference],
                 cache: str | None = None) -> None:
        self._judge = open_trained(folder, cache).with_context(context)

    def __call__(self, prompt: Prompt, completions: Sequence[str]) -> np.ndarray:
        """Return the value of each completion of one prompt, shape (completion,).

        Log-odds up to a constant of the prompt: for the predictor, their softmax is the predicted
        division of the person's preference. NaN where a completion does not fit.
        """
        return self._judge.values(prompt, completions)


def open_trained(folder: Path, cache: str | None = None) -> InContextJudge:
    """Open a saved in-context judge; it knows nobody yet.

    Raises:
        UserError: The folder holds no such judge.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise UserError(f"{folder} holds no preference predictor: {CONFIG} is missing; name the "
                        "folder select/selector_0 of a run with objective=predictor")
    told: dict[str, Any] = read_json(path)
    known = {field.name for field in fields(Model)}
    model = Model(**{key: value for key, value in told["model"].items() if key in known})
    embedder = shared_embedder(model, told["pooling"], told["max_tokens"], told["autocast"], cache)
    sizes = {key: value for key, value in told.items() if key not in _OF_EMBEDDER}
    openers: dict[str, Any] = {"predictor": lambda: open_predictor(embedder, sizes),
                               "variational": lambda: open_variational(embedder, **sizes)}
    judge: InContextJudge = openers[told["kind"]]()
    judge.slot.write(judge.slot.load(folder))
    return judge
