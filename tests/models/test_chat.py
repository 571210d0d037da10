"""Chat templates: system turns, refusals, and the same tokens in generation and in training."""

import shutil
from pathlib import Path

import pytest
from datasets import Dataset
from transformers import PreTrainedTokenizerBase
from trl import DPOConfig, DPOTrainer

from fedrlhf.config.schema import Adapter, Model
from fedrlhf.errors import UserError
from fedrlhf.models.adapters import attach
from fedrlhf.models.chat import model_prompt, render, takes_system
from fedrlhf.models.generate import policy_prompt
from fedrlhf.models.load import Base, load_base, load_tokenizer
from fedrlhf.types import Prompt, Turn

# As Gemma's: no system turn, user and assistant in turn.
STRICT = ("{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}"
          "{% elif (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles') }}"
          "{% endif %}<|{{ 'user' if m.role == 'user' else 'tutor' }}|>{{ m.content }}"
          "{% if m.role != 'user' %}<|end|>{% endif %}{% endfor %}"
          "{% if add_generation_prompt %}<|tutor|>{% endif %}")
SYSTEM = (Turn(role="system", content="Be brief."), Turn(role="user", content="Why?"))


@pytest.fixture
def strict() -> PreTrainedTokenizerBase:
    tokenizer = load_tokenizer(Model())
    tokenizer.chat_template = STRICT
    return tokenizer


def test_a_refused_system_turn_goes_to_the_user(strict: PreTrainedTokenizerBase) -> None:
    """Its text stands at the head of the first question; without one it becomes a question."""
    assert not takes_system(strict)
    assert model_prompt(strict, SYSTEM) == (Turn(role="user", content="Be brief.\n\nWhy?"),)
    assert render(strict, model_prompt(strict, SYSTEM)) == "<|user|>Be brief.\n\nWhy?<|tutor|>"
    assert model_prompt(strict, SYSTEM[:1]) == (Turn(role="user", content="Be brief."),)


def test_a_system_turn_that_is_taken_stays(strict: PreTrainedTokenizerBase) -> None:
    """A template with a place for it (Llama, Qwen) gets the turns as they are."""
    strict.chat_template = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
    assert takes_system(strict)
    assert model_prompt(strict, SYSTEM) == SYSTEM


def test_other_refusals_name_the_turns(strict: PreTrainedTokenizerBase) -> None:
    """Two questions in a row cannot be mended by rearranging."""
    with pytest.raises(UserError, match="user, user: roles"):
        render(strict, model_prompt(strict, (SYSTEM[1], SYSTEM[1])))


def test_without_a_template_a_prompt_is_a_text(strict: PreTrainedTokenizerBase) -> None:
    strict.chat_template = None
    assert model_prompt(strict, SYSTEM) == "System: Be brief.\n\nUser: Why?"


@pytest.fixture(params=["template", "strict", "plain"])
def base(request: pytest.FixtureRequest, tiny_llama: Path, tmp_path: Path) -> Base:
    """Return a model with the embedded template, with a strict one, and without any."""
    folder = shutil.copytree(tiny_llama, tmp_path / "model")
    if request.param == "plain":
        (folder / "chat_template.jinja").unlink()
    if request.param == "strict":
        (folder / "chat_template.jinja").write_text(STRICT)
    return load_base(Model(path=str(folder)))


@pytest.mark.parametrize("prompt", ["What is recall?", SYSTEM, (
    Turn(role="user", content="Hi"), Turn(role="assistant", content="Yes?"),
    Turn(role="user", content="Why?"))], ids=["text", "system", "turns"])
def test_training_reads_what_generation_reads(base: Base, prompt: Prompt, tmp_path: Path) -> None:
    """TRL's tokens of a prompt are those that the tutor continues when it writes."""
    tokenizer = base.tokenizer
    form = model_prompt(tokenizer, prompt)
    talks = not isinstance(form, str)
    answers = [[{"role": "assistant", "content": text}] if talks else text for text in ("a", "b")]
    trainer = DPOTrainer(
        attach(base, Adapter(rank=1), 0).model, processing_class=tokenizer,
        args=DPOConfig(str(tmp_path / "out"), use_cpu=True, bf16=False, report_to=[]),
        train_dataset=Dataset.from_list([{
            "prompt": list(form) if talks else form, "chosen": answers[0],
            "rejected": answers[1]}]))
    read = tokenizer(policy_prompt(base, prompt), add_special_tokens=not talks).input_ids
    assert trainer.train_dataset[0]["prompt_ids"] == read
