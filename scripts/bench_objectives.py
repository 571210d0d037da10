"""Let every online objective raise a simple reward, beside what that costs.

    python scripts/bench_objectives.py
    python scripts/bench_objectives.py --steps 48 --objectives ppo remax

The reward is the share of the letter e among a completion's characters. Each objective trains the
embedded tutor's adapter on the prompts of one simulated student, in a process of its own, with as
many completions in a step as every other one; PPO takes two optimiser steps on them. Printed are
the mean rewards of the first and the last quarter of the steps, the divergence from the reference
in the last one, seconds of processor time, and by how much the process's peak memory grew.
"""

import argparse
import multiprocessing
import resource
import time
from collections.abc import Sequence

import numpy as np

OBJECTIVES = ("rloo", "grpo", "ppo", "remax", "online_dpo")
COMPLETIONS = 32  # in a step
GROUP = {"ppo": 1, "remax": 1}  # completions of a prompt; of the others 4


class LetterReward:
    """The share of a letter among a completion's characters."""

    def score(self, prompt: object, completions: Sequence[str], person: str) -> object:
        """Score completions."""
        from fedrlhf.objectives.scores import Scores

        share = np.array([text.count("e") / max(1, len(text)) for text in completions])
        return Scores(share, share, np.zeros_like(share))


def megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(name: str, options: argparse.Namespace) -> str:
    from fedrlhf.config import build, load
    from fedrlhf.models.runtime import prepare_process, quiet_libraries
    from fedrlhf.objectives.base import LocalTask

    quiet_libraries()
    prepare_process(options.threads)
    group = GROUP.get(name, 4)
    rounds = 4
    config = load([
        f"objective={name}", f"objective.local_steps={options.steps // rounds}",
        f"objective.completions={group}", f"objective.batch_size={COMPLETIONS // group}",
        f"objective.max_new_tokens={options.tokens}", "objective.beta=0.001",
        f"objective.learning_rate={options.learning_rate}", "objective.optimizer=adamw",
        "objective.optimizer_state=keep",
        *(["objective.iterations=2"] if name == "ppo" else [])])
    student = build(config.data, "data").preferences()
    own = [one for one in student if one.client_id == student[0].client_id]
    objective = build(config.objective, "objective")
    adapter, private = objective.open(config).slot.initial(0), {}
    before, start, found = megabytes(), time.process_time(), []
    for turn in range(rounds):
        result = objective.train(config, own, LocalTask(adapter, turn, scorer=LetterReward(),
                                                        private=private))
        adapter, private = result.adapter, result.private
        found.append(result.metrics)
    seconds = time.process_time() - start
    return (f"{name:11} {found[0]['reward']:13.3f} {found[-1]['reward']:12.3f} "
            f"{found[-1]['kl']:8.1f} {seconds:8.1f} {megabytes() - before:8.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objectives", nargs="+", default=OBJECTIVES, choices=OBJECTIVES)
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=5e-3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    print(f"{'objective':11} {'reward, first':>13} {'reward, last':>12} {'KL':>8} {'CPU s':>8} "
          f"{'MB more':>8}", flush=True)
    for name in options.objectives:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            print(pool.apply(measure, (name, options)), flush=True)


if __name__ == "__main__":
    main()
