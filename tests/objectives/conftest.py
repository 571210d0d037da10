"""Fixtures of the objectives' tests."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fedrlhf.config import load, schema


@pytest.fixture
def composed(tiny_llama: Path, fresh_bases: Callable[[], None]) -> Callable[..., schema.Config]:
    """Return a function that composes a configuration on the tiny random Llama."""
    def compose(*more: str) -> schema.Config:
        return load([f"tutor.model.path={tiny_llama}", f"selector.model.path={tiny_llama}", *more])

    return compose
