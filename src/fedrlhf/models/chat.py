"""Prompts as a model's chat template takes them."""

from collections.abc import Sequence

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from fedrlhf.errors import UserError
from fedrlhf.types import Prompt, Turn, as_text, as_turns


def model_prompt(tokenizer: PreTrainedTokenizerBase, prompt: Prompt) -> Prompt:
    """Return a prompt in the form for this model: a text without chat template, else turns.

    A template that refuses system turns (Gemma's) gets their text at the head of the first turn of
    the user, which is how such models are meant to be instructed.
    """
    if tokenizer.chat_template is None:
        return as_text(prompt)
    turns = as_turns(prompt)
    if any(turn["role"] == "system" for turn in turns) and not takes_system(tokenizer):
        turns = _folded(turns)
    return tuple(turns)


def render(tokenizer: PreTrainedTokenizerBase, turns: Sequence[Turn]) -> str:
    """Render turns by the chat template, up to where the assistant's answer begins.

    Raises:
        UserError: The template refuses the turns.
    """
    try:
        return str(tokenizer.apply_chat_template(
            list(turns), tokenize=False, add_generation_prompt=True))  # type: ignore[arg-type]
    except TemplateError as error:
        roles = ", ".join(turn["role"] for turn in turns)
        raise UserError(f"the chat template of {tokenizer.name_or_path} refuses a prompt with the "
                        f"turns {roles}: {error}; change the prompt") from error


def takes_system(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Say whether the chat template takes a system turn."""
    try:
        tokenizer.apply_chat_template([{"role": "system", "content": "s"},
                                       {"role": "user", "content": "u"}], tokenize=False)
    except TemplateError:
        return False
    return True


def _folded(turns: Sequence[Turn]) -> list[Turn]:
    system = [turn["content"] for turn in turns if turn["role"] == "system"]
    others = [turn for turn in turns if turn["role"] != "system"]
    for index, turn in enumerate(others):
        if turn["role"] == "user":
            content = "\n\n".join([*system, turn["content"]])
            return [*others[:index], Turn(role="user", content=content), *others[index + 1:]]
    return [Turn(role="user", content="\n\n".join(system)), *others]
