"""The command line: run, config, shard, doctor, report."""

import argparse
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from fedrlhf.errors import FedrlhfError, UserError

_EPILOG = """\
examples:
  fedrlhf run                                     the main job on the embedded tutor
  fedrlhf run select.rounds=40 run.name=long      with other settings
  fedrlhf run strategy=fedbis run.name=one runtime.engine=local
  fedrlhf config strategy=fedbis                  every key and its value
  fedrlhf shard data=jsonl data.path=mine.jsonl --client-id ann --out ann.shard.jsonl
  fedrlhf report runs/a runs/b                    compare two runs

The same command again continues an interrupted run."""
_OK, _FAILED, _USER_ERROR, _INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0: success; 2: the user can mend it, one message says how; 1: the run failed.
    """
    _calm()
    options = _parser().parse_args(arguments)
    try:
        return int(options.action(options) or _OK)
    except UserError as error:
        print(f"fedrlhf: {error}", file=sys.stderr)
        return _USER_ERROR
    except FedrlhfError as error:
        print(f"fedrlhf: the run failed: {error}", file=sys.stderr)
        return _FAILED
    except KeyboardInterrupt:
        print("fedrlhf: stopped; the same command continues the run", file=sys.stderr)
        return _INTERRUPTED
    except Exception:  # noqa: BLE001  the last resort: a defect of ours, shown whole
        traceback.print_exc()
        return _FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fedrlhf", description="Federated RLHF on Flower.", epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", action="version", version=f"fedrlhf {version('fedrlhf')}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    run = commands.add_parser("run", help="run the stages of a configuration, or continue a run")
    run.add_argument("overrides", nargs="*", help="Hydra overrides such as experiment=smoke")
    run.set_defaults(action=_run)
    config = commands.add_parser("config", help="print the resolved configuration")
    config.add_argument("overrides", nargs="*", help="Hydra overrides")
    config.set_defaults(action=_config)
    shard = commands.add_parser(
        "shard", help="at a site: write its client's shard file, in contact with nobody")
    shard.add_argument("overrides", nargs="*", help="Hydra overrides such as data=jsonl")
    shard.add_argument("--client-id", required=True, help="the client's name in the federation")
    shard.add_argument("--out", type=Path, required=True, metavar="FILE", help="*.jsonl")
    shard.set_defaults(action=_shard)
    doctor = commands.add_parser("doctor", help="say what this machine has and what is missing")
    doctor.set_defaults(action=_doctor)
    report = commands.add_parser("report", help="write report.html of a run, or compare several")
    report.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run directories")
    report.add_argument("--out", type=Path, help="the page to write")
    report.set_defaults(action=_report)
    return parser


def _calm() -> None:
    """Keep libraries' advice out of the console; errors of ours are printed by `main`."""
    os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
    os.environ.setdefault("FLWR_DISABLE_UPDATE_CHECK", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    logging.getLogger().setLevel(logging.ERROR)


def _run(options: argparse.Namespace) -> None:
    from fedrlhf.api import run
    from fedrlhf.report.console import print_results

    made = run(options.overrides)
    if made.manifest():
        print_results(made)
    else:
        print(f"completed; {made.path} is on the SuperLink's host")


def _config(options: argparse.Namespace) -> None:
    import yaml

    from fedrlhf.config import as_dict, load

    print(yaml.safe_dump(as_dict(load(options.overrides)), sort_keys=False, allow_unicode=True),
          end="")


def _shard(options: argparse.Namespace) -> None:
    from fedrlhf.config import build, load
    from fedrlhf.data.population import write_shard
    from fedrlhf.data.site_shard import site_shard

    config = load(options.overrides)
    source = build(config.data, "data", config.trust)
    made = site_shard(source.preferences(), options.client_id, config.partition, config.run.seed)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    write_shard(options.out, made)
    sizes = ", ".join(f"{count} {split}" for split, count in made.sizes().items())
    print(f"{made.client_id}: {sizes} pairs in {options.out.absolute()}")


def _doctor(options: argparse.Namespace) -> int:
    from fedrlhf.deploy.doctor import examine

    return examine()


def _report(options: argparse.Namespace) -> None:
    from fedrlhf.report.compare import write_comparison
    from fedrlhf.report.console import print_comparison, print_results
    from fedrlhf.report.page import write_report
    from fedrlhf.tracking.run_directory import RunDirectory

    runs = [RunDirectory.at(str(path)) for path in options.runs]
    for run in runs:
        if not run.manifest():
            raise UserError(f"{run.path} is not a run directory: it has no manifest.json")
    if len(runs) == 1:
        page = write_report(runs[0], options.out)
        print_results(runs[0], page)
    else:
        print_comparison(runs, write_comparison(runs, options.out))


if __name__ == "__main__":
    sys.exit(main())
