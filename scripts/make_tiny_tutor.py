"""Make the embedded tiny tutor from a seed: tokenizer, weights, chat template and model card.

    python scripts/make_tiny_tutor.py --out src/fedrlhf/models/tiny_tutor

The model learns two things from generated text: to answer the curriculum's questions with answers
of varying attributes, and to judge two answers by a criterion that is named after them ("likes
code, dislikes hint"). The criterion is absent when a selector is trained later: an adapter has to
supply the taste. No preference of any simulated student is used here.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from fedrlhf.data.tutor import answers, curriculum
from fedrlhf.models.runtime import prepare_process
from fedrlhf.seeding import generator

PAD, END, USER, TUTOR, FIRST, SECOND, JUDGE, CHOICE = SPECIAL = (
    "<|pad|>", "<|end|>", "<|user|>", "<|tutor|>",
    "<|first|>", "<|second|>", "<|judge|>", "<|choice|>",
)
LETTERS = (" A", " B")
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}<|user|>{{ message['content'] }}"
    "{% elif message['role'] == 'assistant' %}<|tutor|>{{ message['content'] }}<|end|>"
    "{% else %}{{ raise_exception('the tiny tutor knows the roles user and assistant only') }}"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|tutor|>{% endif %}"
)
CRITERIA = (*answers.ATTRIBUTES, "length")


@dataclass(frozen=True)
class Stage:
    """How hard the criteria are: at most `most` names, a share `dislikes` of them negative."""

    until: float
    most: int
    dislikes: float


# A small transformer does not find the sign and the names at once: likes first, then dislikes,
# then several together.
CURRICULUM = (
    Stage(0.2, 1, 0.0), Stage(0.3, 1, 0.2), Stage(0.45, 1, 0.5), Stage(0.65, 2, 0.5),
    Stage(1.0, 4, 0.5),
)
UNNAMED = 0.05
TEXT_WEIGHT = 0.3  # of the answers' text in the judge's sequences
QUERIES = 6  # criteria asked about one pair of answers
IGNORE = -100


@dataclass(frozen=True)
class Settings:
    """What decides the result, besides the curriculum."""

    seed: int = 0
    steps: int = 3600
    tutor_texts: int = 8  # in a batch
    judge_texts: int = 32
    hidden: int = 128
    layers: int = 4
    heads: int = 4
    vocabulary: int = 2048
    learning_rate: float = 2e-3


def draw_attributes(rng: np.random.Generator) -> set[str]:
    count = rng.choice(5, p=[0.1, 0.3, 0.3, 0.2, 0.1])
    return set(rng.choice(answers.ATTRIBUTES, size=count, replace=False).tolist())


def draw_answer(question: str, rng: np.random.Generator) -> str:
    topic = curriculum.topic_of(question)
    assert topic is not None
    return answers.compose(topic, draw_attributes(rng), rng)


def draw_question(rng: np.random.Generator) -> str:
    return curriculum.questions()[rng.integers(len(curriculum.questions()))]


def features(question: str, answer: str) -> np.ndarray:
    """Return the answer's value for each name in CRITERIA."""
    reading = answers.read(question, answer)
    present = [float(name in reading.attributes) for name in answers.ATTRIBUTES]
    return np.array([*present, reading.words / 20])


def draw_criterion(difference: np.ndarray, stage: Stage,
                   rng: np.random.Generator) -> tuple[str, int]:
    """Name a random taste and say which answer it prefers (0: the first, 1: the second).

    One criterion in twenty stays unnamed and has a random label, as has a tie.
    """
    if rng.random() < UNNAMED:
        return "", int(rng.integers(2))
    text, score = "", 0.0
    for _ in range(8):
        names = rng.choice(len(CRITERIA), size=rng.integers(1, stage.most + 1), replace=False)
        signs = np.where(rng.random(len(names)) < stage.dislikes, -1.0, 1.0)
        text = " ".join(f"{'likes' if sign > 0 else 'dislikes'} {CRITERIA[name]}"
                        for name, sign in zip(names, signs, strict=True))
        score = float(difference[names] @ signs)
        if score:
            return text, int(score < 0)
    return text, int(rng.integers(2))


def tutor_text(rng: np.random.Generator) -> str:
    question = draw_question(rng)
    return f"{USER}{question}{TUTOR}{draw_answer(question, rng)}{END}"


def judge_text(rng: np.random.Generator, stage: Stage) -> str:
    question = draw_question(rng)
    pair = [draw_answer(question, rng) for _ in range(2)]
    difference = features(question, pair[0]) - features(question, pair[1])
    queries = []
    for _ in range(QUERIES):
        criterion, label = draw_criterion(difference, stage, rng)
        queries.append(f"{JUDGE}{criterion}{CHOICE}{LETTERS[label]}")
    return f"{USER}{question}{FIRST}{pair[0]}{SECOND}{pair[1]}{''.join(queries)}"


def corpus_of_tokenizer(settings: Settings) -> list[str]:
    rng = generator(settings.seed, "tokenizer")
    corpus = [tutor_text(rng) for _ in range(6000)]
    corpus += [judge_text(rng, CURRICULUM[-1]) for _ in range(1000)]
    for token in SPECIAL:
        corpus = [text.replace(token, "\n") for text in corpus]
    return corpus


def make_tokenizer(settings: Settings) -> PreTrainedTokenizerFast:
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.train_from_iterator(corpus_of_tokenizer(settings), trainers.BpeTrainer(
        vocab_size=settings.vocabulary, special_tokens=list(SPECIAL), show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token=PAD, eos_token=END, model_max_length=1024,
        additional_special_tokens=[USER, TUTOR, FIRST, SECOND, JUDGE, CHOICE],
        chat_template=CHAT_TEMPLATE, clean_up_tokenization_spaces=False)


def make_model(settings: Settings, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    torch.manual_seed(settings.seed)
    return LlamaForCausalLM(LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=settings.hidden, num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads, num_key_value_heads=settings.heads,
        intermediate_size=settings.hidden * 3, max_position_embeddings=1024,
        tie_word_embeddings=True, pad_token_id=tokenizer.pad_token_id, bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id))


def collate(
    texts: list[str], tokenizer: PreTrainedTokenizerFast
) -> tuple[torch.Tensor, torch.Tensor]:
    ids = tokenizer(texts, padding=True, padding_side="right", return_tensors="pt").input_ids
    return ids, torch.where(ids == tokenizer.pad_token_id, IGNORE, ids)


def losses(
    model: LlamaForCausalLM, ids: torch.Tensor, labels: torch.Tensor, choice: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the language-model loss and the loss at the judge's answers."""
    logits = model(input_ids=ids).logits[:, :-1].float()
    target = labels[:, 1:]
    each = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), target.flatten(), ignore_index=IGNORE, reduction="none")
    each = each.view(target.shape)
    is_letter = (ids[:, :-1] == choice) & (target != IGNORE)
    is_text = ~is_letter & (target != IGNORE)
    return each[is_text].mean(), each[is_letter].sum() / is_letter.sum().clamp(min=1)


def learning_rate_factor(step: int, steps: int) -> float:
    """Return warm-up over 50 steps, then constant, then a linear fall over the last 30%."""
    return min(1.0, (step + 1) / 50, (steps - step) / (0.3 * steps))


def train(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, settings: Settings
) -> None:
    rng = generator(settings.seed, "corpus")
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, betas=(0.9, 0.98), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: learning_rate_factor(step, settings.steps))
    choice = tokenizer.convert_tokens_to_ids(CHOICE)
    start = time.perf_counter()
    for step in range(1, settings.steps + 1):
        stage = next(s for s in CURRICULUM if step <= s.until * settings.steps)
        tutor = collate([tutor_text(rng) for _ in range(settings.tutor_texts)], tokenizer)
        judge = collate([judge_text(rng, stage) for _ in range(settings.judge_texts)], tokenizer)
        with torch.autocast("cpu", torch.bfloat16):
            tutor_loss, _ = losses(model, *tutor, choice)
            text_loss, letter_loss = losses(model, *judge, choice)
        (tutor_loss + TEXT_WEIGHT * text_loss + letter_loss).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        if step % 100 == 0 or step == settings.steps:
            print(f"step {step:5d}  tutor {tutor_loss:.3f}  text {text_loss:.3f}  "
                  f"judge {letter_loss:.3f}  {time.perf_counter() - start:.0f} s", flush=True)


def judged_pair(criterion: int, rng: np.random.Generator) -> tuple[str, int]:
    """Write a judge's sequence up to the answer to `likes <criterion>`, and the right letter."""
    while True:
        question = draw_question(rng)
        pair = [draw_answer(question, rng) for _ in range(2)]
        score = (features(question, pair[0]) - features(question, pair[1]))[criterion]
        if score:
            text = (f"{USER}{question}{FIRST}{pair[0]}{SECOND}{pair[1]}"
                    f"{JUDGE}likes {CRITERIA[criterion]}{CHOICE}")
            return text, int(score < 0)


@torch.no_grad()
def judge_accuracy(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, seed: int, pairs: int = 200
) -> dict[str, float]:
    """Return the share of right letters on fresh pairs for each criterion named alone."""
    rng = generator(seed, "judge accuracy")
    letters = [tokenizer.encode(letter)[0] for letter in LETTERS]
    shares = {}
    for index, name in enumerate(CRITERIA):
        texts, labels = zip(*(judged_pair(index, rng) for _ in range(pairs)), strict=True)
        right = 0
        for text, label in zip(texts, labels, strict=True):
            logits = model(tokenizer.encode(text, return_tensors="pt")).logits[0, -1]
            right += int(logits[letters].argmax()) == label
        shares[name] = right / pairs
    return shares


CARD = """---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: text-generation
tags: [synthetic, federated-learning, preference-learning]
---

# The embedded tiny tutor

A Llama with {parameters:,} parameters and its own byte-level BPE vocabulary of {tokens} tokens.
It writes short answers to the data-science questions of `fedrlhf.data.tutor` whose attributes
(worked example, code, analogy, ...) vary from sample to sample, and it reads two answers and names
one by a criterion. It exists so that the whole of fedrlhf runs on a laptop without a model hub;
it knows nothing beyond the generated curriculum and is of no use as a real tutor.

Made by `{command}`: {steps} steps on text generated
from the seed, no downloaded data and no simulated student's preference. {settings}

Share of right letters on {pairs} fresh pairs, one criterion named (`likes <criterion>`):

| criterion | right |
|---|---|
{rows}

Chat format: `<|user|>question<|tutor|>answer<|end|>`. Judge format:
`<|user|>question<|first|>answer<|second|>answer<|judge|>criterion<|choice|>` followed by ` A` or
` B`. Selectors leave the criterion empty: their adapter carries the taste.
"""


def write_card(out: Path, settings: Settings, parameters: int, shares: dict[str, float]) -> None:
    rows = "\n".join(f"| {name} | {share:.3f} |" for name, share in shares.items())
    details = ", ".join(f"{name} {value}" for name, value in vars(settings).items())
    (out / "README.md").write_text(CARD.format(
        parameters=parameters, tokens=settings.vocabulary, steps=settings.steps, rows=rows,
        settings=f"Settings: {details}.", pairs=200,
        command="python scripts/make_tiny_tutor.py --out DIR"), encoding="utf-8")


def parse() -> tuple[Path, Settings]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    for name, value in vars(Settings()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    arguments = vars(parser.parse_args())
    return arguments.pop("out"), Settings(**arguments)


def main() -> None:
    out, settings = parse()
    prepare_process()
    tokenizer = make_tokenizer(settings)
    model = make_model(settings, tokenizer)
    print(f"{model.num_parameters():,} parameters, {len(tokenizer)} tokens", flush=True)
    train(model, tokenizer, settings)
    model.eval()
    shares = judge_accuracy(model, tokenizer, settings.seed)
    print("  ".join(f"{name} {share:.3f}" for name, share in shares.items()))
    out.mkdir(parents=True, exist_ok=True)
    model.to(torch.float16).save_pretrained(out)
    tokenizer.save_pretrained(out)
    write_card(out, settings, model.num_parameters(), shares)


if __name__ == "__main__":
    main()
