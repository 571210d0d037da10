"""The allow-list of `_target_`, and that the schema is the only place of defaults."""

import dataclasses
import importlib
import inspect
import sys
from pathlib import Path

import pytest

from fedrlhf.config import build, components
from fedrlhf.errors import ConfigError

COMPONENTS = sorted({cls for group in components.COMPONENTS.values() for cls in group.values()},
                    key=lambda cls: cls.__name__)


def constructor(cls: type) -> dict[str, inspect.Parameter]:
    """Return the parameters of the class that a section's `_target_` names."""
    target = next(f.default for f in dataclasses.fields(cls) if f.name == "_target_")
    module, _, name = target.rpartition(".")
    return dict(inspect.signature(getattr(importlib.import_module(module), name)).parameters)


def test_there_are_components_of_each_kind() -> None:
    """Five sources, one objective and five strategies at least; more may come."""
    targets = [next(f.default for f in dataclasses.fields(cls) if f.name == "_target_")
               for cls in COMPONENTS]
    kinds = [target.split(".")[1] for target in targets]
    assert kinds.count("data") >= 5 and kinds.count("objectives") >= 1
    assert sum(".strategies." in target for target in targets) >= 5


@pytest.mark.parametrize("cls", COMPONENTS, ids=lambda cls: cls.__name__)
def test_schema_fields_are_the_constructors_parameters(cls: type) -> None:
    """What a YAML can set is what the class takes, no more, no less, nothing varying."""
    parameters = constructor(cls)
    assert {f.name for f in dataclasses.fields(cls)} - {"_target_"} == set(parameters)
    assert not [p for p in parameters.values() if p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]


@pytest.mark.parametrize("cls", COMPONENTS, ids=lambda cls: cls.__name__)
def test_a_constructors_defaults_are_the_schemas(cls: type) -> None:
    """A class that is built without configuration behaves as the configured one."""
    for name, parameter in constructor(cls).items():
        if parameter.default is not parameter.empty:
            assert parameter.default == getattr(cls(), name), name


@pytest.mark.parametrize("target", [
    "os.system", "subprocess.Popen", "builtins.eval", "builtins.exec", "pickle.loads", "torch.load",
    "fedrlhfx.Strategy", "flwr.serverapp.strategyx.X", "fedrlhf", "FedBis", "", "???"])
def test_targets_outside_the_allow_list_are_refused(target: str) -> None:
    """The message names the key and the value; nothing is imported."""
    with pytest.raises(ConfigError) as refusal:
        build({"_target_": target, "command": "true"}, "strategy")
    assert f"strategy._target_={target}" in str(refusal.value)


@pytest.mark.parametrize("target", [
    "fedrlhf.files.write_bytes",  # a function of ours that writes a file
    "fedrlhf.files.os",  # a module that one of ours imports
    "fedrlhf.config.load.shlex.split",
    "fedrlhf.deploy.superlink.subprocess.Popen",
    "flwr.serverapp.strategy.fedavg.log",
    "flwr.serverapp.strategy.Strategy",  # abstract
    "fedrlhf.nope.X",
    "fedrlhf.config.Nope",
    "fedrlhf.",
])
def test_only_classes_can_be_built(target: str, tmp_path: Path) -> None:
    """An allowed prefix opens classes, not the functions and modules that stand beside them."""
    arguments = {"path": tmp_path / "x", "content": b""} if "write" in target else {}
    with pytest.raises(ConfigError, match=r"strategy\._target_=") as refusal:
        build({"_target_": target, **arguments}, "strategy")
    assert target in str(refusal.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("node", [{}, {"_target_": None}, {"_target_": 3}, {"selectors": 3}])
def test_missing_target(node: dict[str, object]) -> None:
    """A section that names no class is refused by its key."""
    with pytest.raises(ConfigError, match="objective._target_ is missing"):
        build(node, "objective")


def test_trust_opens_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A class of another package is built if and only if `trust` names the package, whole."""
    (tmp_path / "my_package.py").write_text("class Mine:\n    def __init__(self, bound=1):\n"
                                            "        self.bound = bound\n")
    monkeypatch.syspath_prepend(tmp_path)
    node = {"_target_": "my_package.Mine", "bound": 0.5}
    for trust in ([], ["my_pack"], ["other"]):
        with pytest.raises(ConfigError, match=r"trust=\[my_package\]"):
            build(node, "strategy", trust)
    assert "my_package" not in sys.modules
    for trust in (["my_package"], ["my_package."]):
        assert build(node, "strategy", trust).bound == 0.5


def test_unknown_and_missing_arguments() -> None:
    """The message names the class, its arguments and the wrong one."""
    with pytest.raises(ConfigError, match="FedBis takes weights, normalised.*'nope'"):
        build({"_target_": "fedrlhf.federation.strategies.FedBis", "nope": 1}, "strategy")
    with pytest.raises(ConfigError, match="JsonlSource takes path, instructions.*'path'"):
        build({"_target_": "fedrlhf.data.jsonl.JsonlSource", "instructions": None}, "data")
