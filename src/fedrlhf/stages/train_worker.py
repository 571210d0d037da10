"""One of several processes that train together: `python -m fedrlhf.stages.train_worker JOB.json`.

`launch.py` starts it through accelerate or torchrun. The first process writes a JSON line to the
standard output for each step, and one if the training fails for a reason that a user can act on.
"""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import torch

from fedrlhf.errors import FedrlhfError, UserError
from fedrlhf.models.runtime import prepare_process, quiet_libraries
from fedrlhf.stages.training import read_job, train


def main(path: str) -> int:
    """Train; return the exit code."""
    quiet_libraries()
    prepare_process()
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    try:
        train(read_job(Path(path)), _report)
    except FedrlhfError as error:
        _write({"error": str(error), "user": isinstance(error, UserError)})
        return 1
    return 0


def _report(step: int, values: Mapping[str, float]) -> None:
    _write({"step": step, "values": dict(values)})


def _write(line: dict[str, object]) -> None:
    # One write for a line; it fails once the run's process is gone, which ends this one as well.
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
