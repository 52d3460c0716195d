"""Every common form of a checkpoint loads with equal logits, or is refused in one line that names it."""

import importlib.util
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from robustness.cli.main import app
from robustness.errors import InputError
from robustness.runners.models.load import load_model
from tests.runners.checkpoints.checkpoint_forms import (
    CHOICES,
    INSIDE,
    LOADS,
    REFUSED,
    TINY,
    outcomes,
    run,
    save,
    sharded,
    under,
)

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def reference():
    return load_model("clipseg", config=TINY, seed=3, device="cpu")


@pytest.fixture(scope="module")
def logits(reference):
    return run(reference)


@pytest.mark.parametrize("form", LOADS)
def test_each_form_gives_the_same_logits(tmp_path, reference, logits, form):
    path = LOADS[form](reference.network, reference.network.state_dict(), tmp_path)
    torch.testing.assert_close(run(load_model("clipseg", path, config=TINY, device="cpu")), logits, atol=0, rtol=0)


@pytest.mark.parametrize("form", CHOICES)
def test_where_two_networks_lie_in_a_file_the_user_is_asked(tmp_path, reference, logits, form):
    content, message, choice = CHOICES[form]
    torch.save(content(reference.network.state_dict()), tmp_path / "w.pt")
    with pytest.raises(InputError, match=message):
        load_model("clipseg", tmp_path / "w.pt", config=TINY, device="cpu")
    loaded = load_model("clipseg", tmp_path / "w.pt", config=TINY, device="cpu", **choice)
    torch.testing.assert_close(run(loaded), logits, atol=0, rtol=0)
    assert set(choice) & set(loaded.provenance["read"])


@pytest.mark.parametrize("form", REFUSED)
def test_what_cannot_be_read_is_named_in_one_line(tmp_path, form):
    make, message = REFUSED[form]
    with pytest.raises(InputError, match=message) as caught:
        load_model("clipseg", make(tmp_path), config=TINY, device="cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("the original CLIPSeg's decoder alone", "original CLIPSeg repository"),
        ("CoOp's context tokens alone", "learned context tokens"),
        ("Segment Anything", "Segment Anything network"),
        ("VLSM-Adapter, dense", "dense VLSM-Adapter"),
        ("TuneVLSeg, deep or visual prompts", "tuned CLIPSeg of TuneVLSeg"),
        ("int8 of a quantized network", "expected float32"),
        ("LoRA factors that are not merged", "not merged"),
    ],
)
def test_what_lies_in_a_file_is_named(tmp_path, reference, form, message):
    path = save(INSIDE[form](reference.network.state_dict()))(tmp_path)
    with pytest.raises(InputError, match=message):
        load_model("clipseg", path, config=TINY, device="cpu")


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return outcomes(tmp_path_factory.mktemp("forms"))


@pytest.mark.slow
class TestTable:
    def test_each_form_loads_with_equal_logits_or_is_refused_in_one_line(self, rows):
        assert not {name: came for name, came in rows.items() if came == "WRONG" or "\n" in came}
        assert {rows[name] for name in LOADS} == {"loaded"}

    def test_the_table_of_the_docs_is_what_came_of_it(self, rows):
        spec = importlib.util.spec_from_file_location("form_tables", ROOT / ".ci" / "form_tables.py")
        tables = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(tables)
        assert tables.checkpoint_table(rows) in (ROOT / "docs" / "models.md").read_text("utf-8")


def test_a_shard_that_was_not_copied_is_named(tmp_path, reference):
    sharded(reference.network.state_dict(), tmp_path)
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(InputError, match=r"1 of them are not there \(model-00002-of-00002\.safetensors\)"):
        load_model("clipseg", tmp_path, config=TINY, device="cpu")


class TestAdapters:
    @pytest.fixture
    def adapter(self, tmp_path, reference):
        peft = pytest.importorskip("peft")
        base = tmp_path / "base.pt"
        torch.save(reference.network.state_dict(), base)
        inner = load_model("clipseg", base, config=TINY, device="cpu").network
        config = peft.LoraConfig(r=3, lora_alpha=7, target_modules=["q_proj", "fc1"], modules_to_save=["film_mul"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wrapped = peft.get_peft_model(inner, config)
            with torch.random.fork_rng():
                torch.manual_seed(0)
                for name, parameter in wrapped.named_parameters():
                    if "lora_" in name or "modules_to_save" in name:
                        torch.nn.init.normal_(parameter, std=0.3)
            wrapped.save_pretrained(tmp_path / "adapter")
            expected = run(type("S", (), {"network": wrapped.merge_and_unload()}))
        return tmp_path / "adapter", base, expected

    def test_a_lora_folder_is_added_to_its_base(self, adapter):
        folder, base, expected = adapter
        loaded = load_model("clipseg", folder, base=base, config=TINY, device="cpu")
        torch.testing.assert_close(run(loaded), expected, atol=1e-5, rtol=0)
        assert loaded.provenance["read"]["base"] == str(base)
        assert {"base.pt", "adapter_model.safetensors"} == set(loaded.provenance["sha256"])

    def test_without_a_base_it_is_asked_for(self, adapter):
        with pytest.raises(InputError, match="names no base; give base"):
            load_model("clipseg", adapter[0], config=TINY, device="cpu")

    def test_a_base_for_something_else_is_refused(self, adapter):
        with pytest.raises(InputError, match="base: expected none"):
            load_model("clipseg", adapter[1], base=adapter[1], config=TINY, device="cpu")


class TestCommand:
    def test_it_says_what_lies_in_the_file_and_loads_it(self, tmp_path):
        segmenter = load_model("film-unet", image_size=32, device="cpu")
        torch.save({"state_dict": under("model.", segmenter.network.state_dict())}, tmp_path / "w.ckpt")
        result = CliRunner().invoke(app, ["model", str(tmp_path / "w.ckpt")])
        assert result.exit_code == 0, result.output
        assert "film-unet under 'model.'" in result.output
        assert "loads as film-unet:" in result.output
        assert "prefix 'model.'" in result.output

    def test_a_file_of_no_known_network_is_said_to_be_one(self, tmp_path):
        torch.save({"a.weight": torch.zeros(2)}, tmp_path / "w.pt")
        result = CliRunner().invoke(app, ["model", str(tmp_path / "w.pt")])
        assert "none of the registered networks" in result.output


def test_a_unet_of_one_channel_is_refused_when_it_is_loaded(tmp_path):
    smp = pytest.importorskip("segmentation_models_pytorch")
    torch.save(smp.Unet("resnet18", encoder_weights=None, in_channels=1).state_dict(), tmp_path / "w.pt")
    with pytest.raises(InputError, match="in_channels: expected 3"):
        load_model("unet", tmp_path / "w.pt", device="cpu")


def test_a_folder_of_smp_names_its_encoder(tmp_path):
    smp = pytest.importorskip("segmentation_models_pytorch")
    smp.Unet("mobilenet_v2", encoder_weights=None).save_pretrained(tmp_path)
    loaded = load_model("unet", tmp_path, device="cpu")
    assert loaded.config["encoder_name"] == "mobilenet_v2"
    assert np.isfinite(loaded.network(torch.zeros(1, 3, 64, 64)).detach().numpy()).all()
