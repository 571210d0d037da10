"""Named generators: equal by seed and name, on every machine, and independent otherwise."""

import subprocess
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fedrlhf.seeding import generator, seed_for


def test_a_known_value() -> None:
    """The first 8 bytes of SHA-256 of 0, "cohort" and 7 joined by byte 31, halved (63 bits).

    From a shell: `printf '0\\037cohort\\0377' | sha256sum` begins with a9052326e9910b2c.
    """
    assert seed_for(0, "cohort", 7) == 0xA9052326E9910B2C // 2


def test_another_process_derives_the_same_seed() -> None:
    """Python's own `hash` of a text differs between processes; this must not."""
    code = "from fedrlhf.seeding import seed_for; print(seed_for(3, 'train', 5, 'anna'))"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                           env={"PYTHONHASHSEED": salt, "PYTHONPATH": ":".join(sys.path)}).stdout
            for salt in ("1", "2")]
    assert runs[0] == runs[1] == f"{seed_for(3, 'train', 5, 'anna')}\n"


names = st.lists(st.integers(0, 10**6) | st.text(st.characters(exclude_characters="\x1f")),
                 max_size=3)


@given(seed=st.integers(0, 2**31), one=names, other=names)
def test_seeds_fit_every_generator_and_differ_by_name(
        seed: int, one: list[int | str], other: list[int | str]) -> None:
    """63 bits, as torch and numpy take them; ("ab", "c") and ("a", "bc") are different names."""
    assert 0 <= seed_for(seed, *one) < 2**63
    if [str(part) for part in one] != [str(part) for part in other]:
        assert seed_for(seed, *one) != seed_for(seed, *other)


def test_generators_are_equal_by_name_and_independent() -> None:
    """Equal names repeat the draws; for different ones 4,000 draws correlate by chance only.

    The correlation of n independent pairs has standard deviation 1 / sqrt(n) = 0.016; four of them.
    """
    draws = generator(0, "a").standard_normal(4000)
    np.testing.assert_array_equal(draws, generator(0, "a").standard_normal(4000))
    for other in (generator(0, "b"), generator(1, "a"), generator(0, "a", 0)):
        assert abs(np.corrcoef(draws, other.standard_normal(4000))[0, 1]) < 4 / np.sqrt(4000)
