"""What the policy writes, and the log-probabilities that are read from it."""

from collections.abc import Callable

import torch
from online_cases import LetterReward, adapter, opened, prompts, rollouts

from fedrlhf.config import schema
from fedrlhf.models.generate import write_tokens
from fedrlhf.models.likelihood import completion_mask, completion_states
from fedrlhf.models.runtime import seeded
from fedrlhf.objectives.rollouts import asks_of, greedy_rewards, write_rollouts

Composer = Callable[..., schema.Config]


def test_log_probs_are_those_of_the_whole_logits(composed: Composer) -> None:
    """Each token's number is log_softmax of the full logits at the place before it, alone in a row.

    Adapter and reference differ, and after a completion's end there is 0.
    """
    _, policy = opened(composed("objective=rloo"))
    policy.slot.write(adapter(policy, 0))
    made = rollouts(policy)
    for row, one in enumerate(made.written):
        with torch.no_grad():
            logits = policy.base.model(torch.tensor([one.prompt + one.completion])).logits[0]
        found = torch.log_softmax(logits, 1)
        wanted = [found[len(one.prompt) + place - 1, token].item()
                  for place, token in enumerate(one.completion)]
        torch.testing.assert_close(made.behaviour[row, :len(wanted)], torch.tensor(wanted),
                                   atol=1e-4, rtol=1e-4)
        assert not made.behaviour[row, len(wanted):].any()
    assert (made.behaviour - made.reference).abs().max() > 1e-2


def test_states_are_the_models(composed: Composer) -> None:
    """The states in the order of the mask are the last hidden states before each token."""
    _, policy = opened(composed("objective=ppo"))
    made = rollouts(policy)
    states, tokens = completion_states(policy.base.model, made.written)
    mask = completion_mask(made.written, policy.base.device)
    assert tokens.tolist() == [token for one in made.written for token in one.completion]
    assert len(states) == int(mask.sum())
    last = made.written[-1]
    with torch.no_grad():
        hidden = policy.base.model(torch.tensor([last.prompt + last.completion]),
                                   output_hidden_states=True).hidden_states[-1][0]
    count = len(last.completion)
    torch.testing.assert_close(states[-count:], hidden[-count - 1:-1], atol=1e-4, rtol=1e-4)


def test_completions_end_at_their_end(composed: Composer) -> None:
    """The token that ends a text is the last one or does not occur; sampling is seeded.

    The embedded tutor writes whole answers, some longer than the limit.
    """
    _, policy = opened(composed("objective=rloo", "tutor.model.path=tiny_tutor"))
    asks = asks_of(policy, prompts(), 64)
    end = policy.base.tokenizer.eos_token_id
    found = []
    for _ in range(2):
        with seeded(5):
            found.append(write_rollouts(policy, asks, LetterReward(), 4, 24))
    one, other = found
    assert one.written == other.written and torch.equal(one.rewards, other.rewards)
    assert one.group == 4 and len(one.written) == 4 * len(asks)
    for sequence, ended in zip(one.written, one.ended.tolist(), strict=True):
        assert end not in sequence.completion[:-1]
        if ended:
            assert sequence.completion[-1] == end
        else:
            assert len(sequence.completion) == 24
    assert one.ended.any() and not one.ended.all()


def test_left_padding_does_not_change_what_is_written(composed: Composer) -> None:
    """A prompt's greedy completion is the same alone and beside longer prompts."""
    _, policy = opened(composed("objective=rloo"))
    policy.slot.write(adapter(policy, 0))
    tokens = [ask.tokens for ask in asks_of(policy, prompts(), 64)]
    assert len({len(one) for one in tokens}) > 2
    together = write_tokens(policy.base, tokens, 1, 16, "off", greedy=True)
    assert together == [write_tokens(policy.base, [one], 1, 16, "off", greedy=True)[0]
                        for one in tokens]


def test_the_greedy_baseline_is_the_greedy_completions_reward(composed: Composer) -> None:
    """One number for each prompt: the reward of what the policy writes greedily."""
    _, policy = opened(composed("objective=remax"))
    policy.slot.write(adapter(policy, 0))
    asks, scorer = asks_of(policy, prompts(), 64), LetterReward()
    found = greedy_rewards(policy, asks, scorer, 12)
    for ask, worth in zip(asks, found.tolist(), strict=True):
        tokens = write_tokens(policy.base, [ask.tokens], 1, 12, "off", greedy=True)[0]
        text = policy.base.tokenizer.decode(tokens, skip_special_tokens=True).strip()
        assert worth == torch.tensor(scorer.score("", [text], "").total, dtype=torch.float32)
