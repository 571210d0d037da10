"""What is handed out loads, says what it is and holds nothing of a client."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import huggingface_hub
import numpy as np
import pyarrow.parquet as pq
import pytest
from huggingface_hub import DatasetCard, ModelCard
from made_runs import make_run, put, settings
from small_runs import small

from fedrlhf.cli import main
from fedrlhf.deploy.hub import Upload, check_push, listing, push
from fedrlhf.errors import UserError
from fedrlhf.report.artifacts import read_artifacts
from fedrlhf.report.cards import pairs_card, selector_card
from fedrlhf.report.export import export_run
from fedrlhf.report.policy_cards import policy_card
from fedrlhf.tracking.run_directory import RunDirectory

if TYPE_CHECKING:
    import torch

PARTS = ["policy", "merged", "selector_0", "selector_1", "pairs"]


@pytest.fixture(scope="module")
def exported(small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Export everything of the small run."""
    target = tmp_path_factory.mktemp("export") / "out"
    parts = export_run(RunDirectory(small_run), target, merged=True)
    assert [part.name for part in parts] == PARTS
    return target


def logits(model: "torch.nn.Module", words: int = 2048) -> np.ndarray:
    """Return the logits of a fixed sequence of tokens."""
    import torch

    tokens = torch.randint(0, words, (2, 40), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return model.eval()(tokens).logits.float().numpy()


def base(place: str) -> "torch.nn.Module":
    """Load a causal LM in the run's dtype, as the cards say."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(place, dtype="float32")


@pytest.mark.slow
def test_adapters_give_the_runs_logits(exported: Path, small_run: Path) -> None:
    """PEFT loads each exported adapter onto the base, to the bits of the run's own one."""
    from peft import PeftModel

    from fedrlhf.models.load import resolve

    place = resolve("tiny_tutor")
    plain = logits(base(place))
    for name, source in (("policy", "align/policy"), ("selector_1", "select/selector_1")):
        found = logits(PeftModel.from_pretrained(base(place), exported / name))
        wanted = logits(PeftModel.from_pretrained(base(place), small_run / source))
        np.testing.assert_array_equal(found, wanted)
        assert np.abs(found - plain).max() > 1e-3


@pytest.mark.slow
def test_the_merged_model_gives_the_policys_logits(exported: Path) -> None:
    """W + BA in float32 instead of Wx + B(Ax), within rounding.

    A product of 512 terms carries about sqrt(512) 2^-24 of relative error, and 28 products follow
    each other: 28 * 22.6 * 6e-8 = 4e-5 of the largest logit.
    """
    from peft import PeftModel
    from transformers import AutoTokenizer

    from fedrlhf.models.load import resolve

    policy = logits(PeftModel.from_pretrained(base(resolve("tiny_tutor")), exported / "policy"))
    merged = logits(base(str(exported / "merged")))
    assert np.abs(merged - policy).max() <= 4e-5 * np.abs(policy).max()
    assert AutoTokenizer.from_pretrained(exported / "merged").chat_template is not None


@pytest.mark.parametrize(("dtype", "quantization"), [("float32", "nf4"), ("bfloat16", "none")])
def test_merging_by_dtype(dtype: str, quantization: str, tiny_llama: Path, tmp_path: Path) -> None:
    """A 4-bit base is merged in full precision, a bfloat16 one in bfloat16.

    bfloat16 has 8 bits, so that a rounding is at most 2^-8 of the number. W, BA and their sum are
    rounded once each: together at most 2^-8 (|W| + |BA| + |W + BA|), and a little for the products.
    """
    import torch
    from safetensors.torch import load_file

    from fedrlhf.config.schema import Adapter, Model
    from fedrlhf.models.adapters import AdapterSlot
    from fedrlhf.models.load import load_base
    from fedrlhf.models.merge import write_merged

    slot = AdapterSlot(load_base(Model(path=str(tiny_llama))), Adapter(), seed=0)
    slot.save(np.random.default_rng(0).normal(0, 0.1, slot.layout.size).astype(np.float32),
              tmp_path / "adapter")
    write_merged(Model(path=str(tiny_llama), dtype=dtype, quantization=quantization),
                 tmp_path / "adapter", tmp_path / "merged")
    found = load_file(tmp_path / "merged" / "model.safetensors")
    before = load_file(tiny_llama / "model.safetensors")
    added = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    name = "model.layers.0.self_attn.q_proj"
    a, b = (added[f"base_model.model.{name}.lora_{letter}.weight"] for letter in "AB")
    weight, change = before[f"{name}.weight"], 2.0 * b @ a  # alpha / rank = 16 / 8
    merged = found[f"{name}.weight"]
    assert merged.dtype == getattr(torch, dtype)
    rounding = 2.0**-8 if dtype == "bfloat16" else 2.0**-24
    bound = 1.1 * rounding * (weight.abs() + change.abs() + (weight + change).abs()) + 1e-6
    assert ((merged.float() - weight - change).abs() <= bound).all()


@pytest.mark.slow
def test_pairs_are_a_data_set(exported: Path, small_run: Path, tmp_path: Path) -> None:
    """`load_dataset` reads the folder by its card: the run's rows in their order."""
    from datasets import load_dataset

    found = load_dataset(str(exported / "pairs"), split="train", cache_dir=str(tmp_path))
    assert found.to_list() == pq.read_table(small_run / "label" / "pairs.parquet").to_pylist()
    head = DatasetCard.load(exported / "pairs" / "README.md").data
    assert head.size_categories == ["n<1K"]
    assert "preference" in head.tags


@pytest.mark.slow
def test_nothing_of_a_client_leaves(exported: Path, small_run: Path) -> None:
    """No prompt or completion of a shard, no client id, no path; pairs are of the server's prompts.

    A completion that the tutor wrote as well, word for word, is the tutor's.
    """
    from fedrlhf.config import build, load

    everything = b"".join(path.read_bytes() for path in exported.rglob("*") if path.is_file())
    pairs = pq.read_table(small_run / "label" / "pairs.parquet").to_pylist()
    own = {row[name][-1]["content"] for row in pairs for name in ("prompt", "chosen", "rejected")}
    rows = [json.loads(line) for path in (small_run / "partition/shards").glob("*.jsonl")
            for line in path.read_text().splitlines()]
    texts = {row[name] if isinstance(row[name], str) else row[name][-1]["content"]
             for row in rows for name in ("prompt", "chosen", "rejected")}
    private = {text for text in texts if not any(text in written for written in own)}
    assert len(private) > 50
    for text in {*private, *(row["client_id"] for row in rows), str(small_run)}:
        assert text.encode() not in everything, text
    server = build(load(small(small_run)).data, "data").instructions().label
    prompts = {p if isinstance(p, str) else p[-1]["content"] for p in server}
    assert {row["prompt"][-1]["content"] for row in pairs} <= prompts
    assert {path.suffix for path in exported.rglob("*") if path.is_file()} == {
        ".json", ".safetensors", ".md", ".parquet", ".jinja"}


@pytest.mark.slow
def test_cards_of_an_export(exported: Path) -> None:
    """The hub's own classes read the heads; the code says where to load from."""
    merged, policy, selector = (ModelCard.load(exported / name / "README.md")
                                for name in ("merged", "policy", "selector_0"))
    assert (merged.data.library_name, policy.data.library_name) == ("transformers", "peft")
    assert selector.data.pipeline_tag == "text-classification"
    assert {card.data.license for card in (merged, policy, selector)} == {"apache-2.0"}
    assert 'from_pretrained("merged", dtype="float32")' in merged.text and "peft" not in merged.text
    assert 'PeftModel.from_pretrained(base, "policy")' in policy.text
    kinds = {result.metric_type for result in policy.data.eval_results}
    assert kinds == {"utility_gain", "win_rate"}
    config = json.loads((exported / "policy" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "tiny_tutor"


@pytest.mark.slow
def test_which_folder(exported: Path, small_run: Path, tmp_path: Path,
                      capsys: pytest.CaptureFixture[str]) -> None:
    """An earlier export is replaced; other files, a file and the run itself are refused."""
    target = tmp_path / "out"
    words = ["export", str(small_run), "--to"]
    assert main([*words, str(target)]) == 0
    assert main([*words, str(target)]) == 0
    assert "policy, selector_0, selector_1, pairs" in capsys.readouterr().out
    (target / "mine.txt").write_text("x")
    (tmp_path / "file").write_text("x")
    for place in (target, tmp_path / "file", small_run, small_run.parent):
        assert main([*words, str(place)]) == 2
    assert (target / "mine.txt").exists()
    assert main([*words, str(tmp_path / "x"), "--public"]) == 2


@pytest.mark.parametrize("stage", ["sft", "rlhf"])
def test_a_policy_that_was_not_made_by_align(stage: str, tiny_llama: Path, tmp_path: Path) -> None:
    """The adapter of the last stage that trained the tutor, to its bits, and merged: W + 2 BA."""
    from safetensors.torch import load_file

    from fedrlhf.config.schema import Adapter, Model
    from fedrlhf.models.adapters import AdapterSlot
    from fedrlhf.models.load import load_base

    run = make_run(tmp_path / "run", "partition", config=settings(
        tutor__model={"path": str(tiny_llama), "dtype": "float32"}))
    slot = AdapterSlot(load_base(Model(path=str(tiny_llama))), Adapter(), seed=0)
    for number, made in enumerate(("sft", stage)):  # the tutor starts rlhf as sft left it
        put(run.path / made / "stage.json", {"status": "done"})
        slot.save(np.random.default_rng(number).normal(0, 0.1, slot.layout.size).astype(np.float32),
                  run.path / made / "policy")
    target = tmp_path / "out"
    assert [part.name for part in export_run(run, target, merged=True)] == ["policy", "merged"]
    adapter = "adapter_model.safetensors"
    assert (target / "policy" / adapter).read_bytes() == (
        run.path / stage / "policy" / adapter).read_bytes()
    merged, before, added = (load_file(path) for path in (
        target / "merged" / "model.safetensors", tiny_llama / "model.safetensors",
        target / "policy" / adapter))
    name = "model.layers.0.self_attn.q_proj"
    a, b = (added[f"base_model.model.{name}.lora_{letter}.weight"] for letter in "AB")
    np.testing.assert_allclose(merged[f"{name}.weight"].numpy(),
                               (before[f"{name}.weight"] + 2.0 * b @ a).numpy(), atol=1e-6)
    title = {"sft": "fine-tuned", "rlhf": "federated"}[stage]
    for part in ("policy", "merged"):
        assert f"# made: {title} tutor\n" in (target / part / "README.md").read_text("utf-8")
        assert str(tmp_path) not in (target / part / "README.md").read_text("utf-8")


def test_parts_follow_the_stages(tmp_path: Path) -> None:
    """A run without any adapter has nothing; one that was never aligned cannot be merged.

    The selectors of clients that shared nothing stay where they are.
    """
    with pytest.raises(UserError, match="nothing to export"):
        export_run(make_run(tmp_path / "a", "partition"), tmp_path / "x")
    with pytest.raises(UserError, match="no trained tutor"):
        export_run(make_run(tmp_path / "b", "partition"), tmp_path / "x", merged=True)
    alone = make_run(tmp_path / "c", "select", config=settings(
        strategy___target_="fedrlhf.federation.strategies.LocalOnly"))
    with pytest.raises(UserError, match="nothing to export"):
        export_run(alone, tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_heads_of_cards_with_a_base_on_the_hub(tmp_path: Path) -> None:
    """The base model is named, the hub's classes read the results, no licence is guessed."""
    config = settings(tutor__model={"path": "some-lab/base-1b", "revision": "v2"})
    artifacts = read_artifacts(make_run(tmp_path / "run", config=config))
    card = ModelCard(policy_card(artifacts, "me/mine"))
    assert card.data.base_model == "some-lab/base-1b"
    assert card.data.license is None
    assert {(r.metric_type, r.metric_value) for r in card.data.eval_results} == {
        ("utility_gain", 0.62), ("win_rate", 0.7), ("win_rate", 0.9)}
    assert 'PeftModel.from_pretrained(base, "me/mine")' in card.text
    chosen, = ModelCard(selector_card(artifacts, 1)).data.eval_results
    assert (chosen.metric_type, chosen.metric_value) == ("accuracy", 0.72)
    assert "some-lab/base-1b" in DatasetCard(pairs_card(artifacts, "me/mine-pairs")).text


def test_an_upload_is_refused_before_anything_is_made(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    """Offline, without a token, and with a name that the hub does not take."""
    run = make_run(tmp_path / "run")
    words = ["export", str(run.path), "--to", str(tmp_path / "out"), "--push"]
    assert main([*words, "me/mine"]) == 2
    assert "HF_HUB_OFFLINE is set" in capsys.readouterr().err
    for name in ("mine", "a/b/c", "me/mi ne"):
        assert main([*words, name]) == 2
        assert name in capsys.readouterr().err
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    with pytest.raises(UserError, match="needs a token.*HF_TOKEN"):
        check_push("me/mine")
    assert not (tmp_path / "out").exists()


def test_an_upload_ends_at_the_hubs_door(tmp_path: Path) -> None:
    """Offline, the first call to the hub is the error; what would be public is said by file."""
    folder = tmp_path / "policy"
    folder.mkdir()
    (folder / "README.md").write_text("card")
    uploads = [Upload(folder, "me/mine", "model")]
    with pytest.raises(UserError, match="me/mine cannot be uploaded: .*ffline"):
        push(uploads, public=False)
    assert listing(uploads, public=True) == [
        "model me/mine (PUBLIC: everybody can read it)", "  README.md  4 bytes"]
