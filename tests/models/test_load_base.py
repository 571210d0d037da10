"""Loading: the embedded tutor, folders, and what is refused."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from fedrlhf.config.schema import Model
from fedrlhf.errors import ConfigError
from fedrlhf.models import load as load_module
from fedrlhf.models.load import load_base, release_bases, resolve, shared_base


def test_the_embedded_tutor_is_frozen_and_whole() -> None:
    """It loads without a network, in evaluation mode, with no trainable weight."""
    base = load_base(Model())
    assert not base.model.training
    assert not any(p.requires_grad for p in base.model.parameters())
    assert len(base.tokenizer) == base.model.config.vocab_size
    assert base.tokenizer.pad_token_id not in (None, base.tokenizer.eos_token_id)
    assert base.device == next(base.model.parameters()).device
    assert Path(resolve("tiny_tutor")).is_dir()


def test_a_folder_of_the_embedded_name_wins(tmp_path: Path,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    """`tiny_tutor` is a folder of the user's where there is one; other paths stay as they are."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny_tutor").mkdir()
    assert resolve("tiny_tutor") == "tiny_tutor"
    assert resolve("org/model") == "org/model"


def test_shared_base_is_one_object(tiny_llama: Path, fresh_bases: object) -> None:
    """Equal settings share one copy; release forgets it; another dtype is another copy."""
    spec = Model(path=str(tiny_llama))
    base = shared_base(spec)
    assert shared_base(Model(path=str(tiny_llama))) is base
    half = shared_base(Model(path=str(tiny_llama), dtype="bfloat16"))
    assert half is not base and half.model.dtype == torch.bfloat16
    release_bases()
    assert shared_base(spec) is not base


@pytest.mark.parametrize("path", ["/no/such/model", "no-such-org/no-such-model", "", "tiny_tuto"])
def test_a_model_that_does_not_exist(path: str) -> None:
    """A folder or a name on the hub that cannot be reached: the message names it."""
    with pytest.raises(ConfigError, match="cannot be loaded") as refusal:
        load_base(Model(path=path))
    assert repr(path) in str(refusal.value)


def test_a_missing_attention_kernel_is_named(tiny_llama: Path) -> None:
    """flash_attention_2 needs a package that a machine without a GPU lacks."""
    if torch.cuda.is_available():
        pytest.skip("flash attention may be installed here")
    with pytest.raises(ConfigError, match="(?i)flash"):
        load_base(Model(path=str(tiny_llama), attention="flash_attention_2"))


@pytest.mark.parametrize(("gpu", "package", "dtype", "lacks"), [
    (False, True, "bfloat16", "a GPU"),
    (True, False, "bfloat16", "flash-attn"),
    (True, True, "float32", "got float32"),
    (True, True, "bfloat16", None),
])
def test_auto_takes_flash_attention_where_it_works(gpu: bool, package: bool, dtype: str,
                                                   lacks: str | None,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    """Package, GPU and a 16-bit type; else auto leaves the choice to the model, and asking for it
    by name says what is missing."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(load_module, "is_flash_attn_2_available", lambda: package)
    auto, named = (Model(attention=kind, dtype=dtype) for kind in ("auto", "flash_attention_2"))
    assert load_module._attention(auto) == (None if lacks else "flash_attention_2")
    if lacks is None:
        assert load_module._attention(named) == "flash_attention_2"
        return
    with pytest.raises(ConfigError, match=lacks):
        load_module._attention(named)


def test_pickled_weights_are_refused(tiny_llama: Path, tmp_path: Path) -> None:
    """A folder whose weights are a pickle is not opened: only safetensors are read."""
    folder = shutil.copytree(tiny_llama, tmp_path / "model")
    (folder / "model.safetensors").unlink()
    marker = tmp_path / "executed"

    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (marker,))  # type: ignore[return-value]

    torch.save(Bomb(), folder / "pytorch_model.bin")
    with pytest.raises(ConfigError):
        load_base(Model(path=str(folder)))
    assert not marker.exists()


def test_remote_code_is_refused(tiny_llama: Path, tmp_path: Path) -> None:
    """A folder that brings its own modelling code is not loaded, and the code is not run."""
    folder = shutil.copytree(tiny_llama, tmp_path / "model")
    marker = tmp_path / "executed"
    (folder / "modeling_own.py").write_text(
        f"from pathlib import Path\nPath({str(marker)!r}).touch()\nclass Own: ...\n")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "modeling_own.Own",
                                                 "AutoModelForCausalLM": "modeling_own.Own"}}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError):
        load_base(Model(path=str(folder)))
    assert not marker.exists()


def test_pad_token_falls_back_to_end(tiny_llama: Path, tmp_path: Path) -> None:
    """A tokenizer without a padding token pads with its end token."""
    folder = shutil.copytree(tiny_llama, tmp_path / "model")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings.pop("pad_token")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    tokenizer = load_base(Model(path=str(folder))).tokenizer
    assert tokenizer.pad_token_id == tokenizer.eos_token_id
