"""Settings and fixtures that several test folders share."""

import os
from pathlib import Path

import hypothesis
import pytest

# The same examples in each run, however busy the machine is.
hypothesis.settings.register_profile("fedrlhf", deadline=None, derandomize=True)
hypothesis.settings.load_profile("fedrlhf")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of real data sets and models, which the repository does not contain."""
    beside = Path(__file__).parents[1] / "../shared"
    folder = Path(os.environ.get("FEDRLHF_SHARED") or beside).resolve()
    if not (folder / "data").is_dir():
        pytest.skip(f"needs real data in {folder}/data; set FEDRLHF_SHARED to another folder")
    return folder
