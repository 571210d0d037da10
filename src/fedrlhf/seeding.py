"""Named random generators: every random choice of a run derives from its seed and a name."""

import hashlib

import numpy as np

Name = str | int


def seed_for(seed: int, *names: Name) -> int:
    """Derive a 63-bit seed from a run's seed and the name of one random choice.

    The same arguments give the same seed on every machine, so a resumed round draws what an
    uninterrupted one draws: ``seed_for(0, "cohort", 7)``.
    """
    text = "\x1f".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *names: Name) -> np.random.Generator:
    """Return a numpy generator of its own for the named choice."""
    return np.random.default_rng(seed_for(seed, *names))
