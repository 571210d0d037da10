"""Make the embedded tiny tutor from a seed: tokenizer, weights, chat template and model card.

    python scripts/make_tiny_tutor.py --out src/fedrlhf/models/tiny_tutor

The model learns two things from generated text: to answer the curriculum's questions with answers
of varying attributes, and to judge two answers by a criterion that is named after them ("likes
code, dislikes hint"). The criterion is absent when a selector is trained later: an adapter has to
supply the taste. No preference of any simulated student is used here.
"""

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from fedrlhf.data.tutor import answers, curriculum
from fedrlhf.seeding import generator

PAD, END, USER, TUTOR, FIRST, SECOND, JUDGE, CHOICE = SPECIAL = (
    "<|pad|>", "<|end|>", "<|user|>", "<|tutor|>", "<|first|>", "<|second|>", "<|judge|>", "<|choice|>",
)
LETTERS = (" A", " B")
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}<|user|>{{ message['content'] }}"
    "{% elif message['role'] == 'assistant' %}<|tutor|>{{ message['content'] }}<|end|>"
    "{% else %}{{ raise_exception('the tiny tutor knows the roles user and assistant only') }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|tutor|>{% endif %}"
)
CRITERIA = (*answers.ATTRIBUTES, "facts", "length")

@dataclass(frozen=True)
class Stage:
    """How hard the criteria are: at most `most` names, a share `dislikes` of them negative."""

    until: float
    most: int
    dislikes: float


# A small transformer does not find the sign and the names at once: likes first, then dislikes,
# then several together.
CURRICULUM = (Stage(0.2, 1, 0.0), Stage(0.3, 1, 0.2), Stage(0.45, 1, 0.5), Stage(0.65, 2, 0.5), Stage(1.0, 4, 0.5))
QUERIES = 6  # criteria asked about one pair of answers
IGNORE = -100


@dataclass
class Settings:
    """What decides the result, besides the curriculum."""

    seed: int = 0
    steps: int = 4000
    batch: int = 32
    hidden: int = 128
    layers: int = 4
    heads: int = 4
    vocabulary: int = 2048
    learning_rate: float = 2e-3
    wrong: float = 0.15
    judge_weight: float = 1.0


def draw_attributes(rng: np.random.Generator) -> set[str]:
    count = rng.choice(5, p=[0.1, 0.3, 0.3, 0.2, 0.1])
    return set(rng.choice(answers.ATTRIBUTES, size=count, replace=False).tolist())


def draw_answer(question: str, rng: np.random.Generator, wrong: float) -> str:
    """Compose an answer; with probability `wrong` it is about another topic."""
    topic = curriculum.topic_of(question)
    if rng.random() < wrong:
        topic = curriculum.topics()[rng.integers(len(curriculum.topics()))]
    return answers.compose(topic, draw_attributes(rng), rng)


def draw_question(rng: np.random.Generator) -> str:
    return curriculum.questions()[rng.integers(len(curriculum.questions()))]


def features(question: str, answer: str) -> np.ndarray:
    """Return the answer's value for each name in CRITERIA."""
    reading = answers.read(question, answer)
    present = [float(name in reading.attributes) for name in answers.ATTRIBUTES]
    return np.array([*present, 2 * reading.facts - 1, reading.words / 20])


def draw_criterion(difference: np.ndarray, stage: "Stage", rng: np.random.Generator) -> tuple[str, int]:
    """Name a random taste and say which answer it prefers (0: the first, 1: the second).

    One criterion in ten stays unnamed: then the truth of the answer decides. A tie has a random
    label.
    """
    for _ in range(8):
        if rng.random() < 0.1:
            text, score = "", difference[CRITERIA.index("facts")]
        else:
            names = rng.choice(len(CRITERIA), size=rng.integers(1, stage.most + 1), replace=False)
            signs = np.where(rng.random(len(names)) < stage.dislikes, -1.0, 1.0)
            text = " ".join(f"{'likes' if s > 0 else 'dislikes'} {CRITERIA[n]}"
                            for n, s in zip(names, signs, strict=True))
            score = float(difference[names] @ signs)
        if score:
            return text, int(score < 0)
    return text, int(rng.integers(2))


def tutor_text(rng: np.random.Generator) -> str:
    question = draw_question(rng)
    return f"{USER}{question}{TUTOR}{draw_answer(question, rng, 0.0)}{END}"


def judge_text(rng: np.random.Generator, wrong: float, stage: "Stage") -> str:
    question = draw_question(rng)
    pair = [draw_answer(question, rng, wrong) for _ in range(2)]
    difference = features(question, pair[0]) - features(question, pair[1])
    queries = []
    for _ in range(QUERIES):
        criterion, label = draw_criterion(difference, stage, rng)
        queries.append(f"{JUDGE}{criterion}{CHOICE}{LETTERS[label]}")
    return f"{USER}{question}{FIRST}{pair[0]}{SECOND}{pair[1]}{''.join(queries)}"


def make_tokenizer(settings: Settings) -> PreTrainedTokenizerFast:
    rng = generator(settings.seed, "tokenizer")
    corpus = [tutor_text(rng) for _ in range(6000)] + [judge_text(rng, 0.0, CURRICULUM[-1]) for _ in range(1000)]
    for token in SPECIAL:
        corpus = [text.replace(token, "\n") for text in corpus]
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.train_from_iterator(corpus, trainers.BpeTrainer(
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


def collate(texts: list[str], tokenizer: PreTrainedTokenizerFast) -> tuple[torch.Tensor, torch.Tensor]:
    ids = tokenizer(texts, padding=True, padding_side="right", return_tensors="pt").input_ids
    return ids, torch.where(ids == tokenizer.pad_token_id, IGNORE, ids)


def losses(model: LlamaForCausalLM, ids: torch.Tensor, labels: torch.Tensor, choice: int):
    """Return the language-model loss and the loss at the judge's answers."""
    logits = model(input_ids=ids).logits[:, :-1].float()
    target = labels[:, 1:]
    each = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), target.flatten(), ignore_index=IGNORE, reduction="none").view(target.shape)
    is_letter = (ids[:, :-1] == choice) & (target != IGNORE)
    is_text = ~is_letter & (target != IGNORE)
    return each[is_text].mean(), each[is_letter].sum() / is_letter.sum().clamp(min=1)


def train(model, tokenizer, settings: Settings) -> None:
    rng = generator(settings.seed, "corpus")
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, betas=(0.9, 0.98),
                                  weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(
        1.0, (step + 1) / 50, (settings.steps - step) / (0.3 * settings.steps)))
    choice = tokenizer.convert_tokens_to_ids(CHOICE)
    start = time.perf_counter()
    for step in range(1, settings.steps + 1):
        stage = next(s for s in CURRICULUM if step <= s.until * settings.steps)
        tutor = collate([tutor_text(rng) for _ in range(settings.batch // 4)], tokenizer)
        judge = collate([judge_text(rng, settings.wrong, stage) for _ in range(settings.batch)], tokenizer)
        with torch.autocast("cpu", torch.bfloat16):
            tutor_loss, _ = losses(model, *tutor, choice)
            text_loss, letter_loss = losses(model, *judge, choice)
        (tutor_loss + 0.3 * text_loss + settings.judge_weight * letter_loss).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        if step % 100 == 0 or step == settings.steps:
            print(f"step {step:5d}  tutor {tutor_loss:.3f} text {text_loss:.3f}  judge {letter_loss:.3f}  "
                  f"{time.perf_counter() - start:.0f} s", flush=True)


@torch.no_grad()
def judge_accuracy(model, tokenizer, seed: int, pairs: int = 400) -> float:
    """Return the share of right letters for named criteria on fresh pairs (first query only)."""
    rng = generator(seed, "judge accuracy")
    letters = [tokenizer.convert_tokens_to_ids("Ġ" + letter.strip()) for letter in LETTERS]
    right = 0
    for _ in range(pairs):
        text = judge_text(rng, 0.15, CURRICULUM[-1])
        head, answer = text.split(CHOICE)[0] + CHOICE, text.split(CHOICE)[1][:2]
        logits = model(**tokenizer(head, return_tensors="pt", return_token_type_ids=False)).logits[0, -1]
        right += LETTERS[int(logits[letters].argmax())] == answer
    return right / pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    for name, value in vars(Settings()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    arguments = vars(parser.parse_args())
    out = arguments.pop("out")
    settings = Settings(**arguments)
    import ctypes; c=ctypes.CDLL("libc.so.6"); c.mallopt(-4,0); c.mallopt(-1,-1)
    tokenizer = make_tokenizer(settings)
    model = make_model(settings, tokenizer)
    print(f"{model.num_parameters():,} parameters, {len(tokenizer)} tokens")
    lengths = [len(tokenizer(tutor_text(generator(1, i))).input_ids) for i in range(200)]
    print("tutor tokens", np.mean(lengths), max(lengths))
    train(model, tokenizer, settings)
    model.eval()
    print("judge accuracy", judge_accuracy(model, tokenizer, settings.seed))
    out.mkdir(parents=True, exist_ok=True)
    model.to(torch.float16).save_pretrained(out)
    tokenizer.save_pretrained(out)


if __name__ == "__main__":
    main()
