"""Every common form of a checkpoint loads with equal logits, or is refused in one line that names it.

Weights come out of TorchScript archives without their code.
"""

import copy
import importlib.util
import pickle
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from robustness.cli.main import app
from robustness.errors import InputError
from robustness.runners.checkpoints.torchscript import read_torchscript
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

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
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
        ("LoRA factors that are not merged", "holds LoRA adapters that are not merged"),
        ("IA3 adapters that are not merged", r"IA3 adapters .*ia3_l.default.*merge_and_unload"),
        ("LoKr adapters that are not merged", r"LoKr adapters .*lokr_w1.default.*merge_and_unload"),
        ("prefix tuning of peft", "learned tokens of peft .* cannot be merged"),
        ("LoRA factors in a dictionary beside the network's", "LoRA adapters under 'lora' beside the network"),
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
    with pytest.raises(InputError, match=r"of which 1 is not there \(model-00002-of-00002\.safetensors\)"):
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


def adapted(network, config):
    """Return a copy of a network with an adapter of peft that changes what it computes."""
    peft = pytest.importorskip("peft")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrapped = peft.get_peft_model(copy.deepcopy(network), config(peft))
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(0)
            for parameter in wrapped.parameters():
                if parameter.requires_grad:
                    parameter.add_(0.1 * torch.randn_like(parameter))
    return wrapped


ATTENTION = ["q_proj", "v_proj"]
KINDS = {
    "LoRA": lambda peft: peft.LoraConfig(target_modules=ATTENTION),
    "DoRA": lambda peft: peft.LoraConfig(target_modules=ATTENTION, use_dora=True),
    "AdaLoRA": lambda peft: peft.AdaLoraConfig(target_modules=ATTENTION, total_step=10),
    "IA3": lambda peft: peft.IA3Config(target_modules=["k_proj", "fc2"], feedforward_modules=["fc2"]),
    "LoHa": lambda peft: peft.LoHaConfig(target_modules=ATTENTION),
    "LoKr": lambda peft: peft.LoKrConfig(target_modules=ATTENTION),
    "VeRA": lambda peft: peft.VeraConfig(target_modules=["q_proj"], r=4),
    "OFT": lambda peft: peft.OFTConfig(target_modules=ATTENTION, oft_block_size=0, r=4),
    "HRA": lambda peft: peft.HRAConfig(target_modules=ATTENTION),
    "LN tuning": lambda peft: peft.LNTuningConfig(target_modules=["layer_norm1"]),
    "unnamed": lambda peft: peft.MissConfig(target_modules=ATTENTION, r=4),
}


@pytest.mark.filterwarnings("ignore")
class TestEveryKindOfAdapter:
    """Read as peft itself merges it, or refused in a line that names it: never the base alone."""

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("prefix", [None, "base_model.model."])
    def test_a_whole_state_dict_names_it_and_merged_it_loads(self, tmp_path, reference, kind, prefix):
        wrapped = adapted(reference.network, KINDS[kind])
        path = save(wrapped.state_dict())(tmp_path)
        with pytest.raises(
            InputError, match=rf"holds {kind} adapters that are not merged \(.*merge_and_unload"
        ) as caught:
            load_model("clipseg", path, config=TINY, device="cpu", prefix=prefix)
        assert "\n" not in str(caught.value)
        if prefix is None:
            merged = wrapped.merge_and_unload()
            assert not torch.equal(run(type("S", (), {"network": merged})), run(reference))
            path = save(merged.state_dict())(tmp_path)
            torch.testing.assert_close(
                run(load_model("clipseg", path, config=TINY, device="cpu")), run(type("S", (), {"network": merged}))
            )

    @pytest.mark.parametrize(
        "options",
        [
            {"use_rslora": True},
            {"alpha_pattern": {"v_proj": 3}, "rank_pattern": {"q_proj": 2}},
            {"bias": "all"},
            {"bias": "lora_only", "init_lora_weights": "orthogonal"},
            {"target_modules": ["patch_embedding"]},
        ],
        ids=str,
    )
    def test_a_lora_folder_is_what_peft_merges(self, tmp_path, reference, options):
        wrapped = adapted(
            reference.network, lambda peft: peft.LoraConfig(**{"target_modules": ATTENTION, "r": 4, **options})
        )
        wrapped.save_pretrained(tmp_path / "adapter")
        torch.save(reference.network.state_dict(), tmp_path / "base.pt")
        loaded = load_model("clipseg", tmp_path / "adapter", base=tmp_path / "base.pt", config=TINY, device="cpu")
        merged = run(type("S", (), {"network": wrapped.merge_and_unload()}))
        torch.testing.assert_close(run(loaded), merged, atol=1e-5, rtol=0)
        assert not torch.allclose(merged, run(reference), atol=1e-3)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"use_dora": True}, "got DoRA"),
            ({"init_lora_weights": "pissa"}, "init_lora_weights = 'pissa', which changed the base's weights"),
            ({"init_lora_weights": "olora"}, "init_lora_weights = 'olora', which changed the base's weights"),
            ({"alora_invocation_tokens": [1]}, "got an activated LoRA"),
            ({"lora_bias": True}, r"holds '.*lora_B.bias' .*merge_and_unload"),
            ({"target_modules": ["token_embedding"]}, r"holds '.*lora_embedding_A' .*merge_and_unload"),
        ],
        ids=str,
    )
    def test_a_lora_folder_that_is_no_sum_is_refused(self, tmp_path, reference, options, message):
        wrapped = adapted(
            reference.network, lambda peft: peft.LoraConfig(**{"target_modules": ATTENTION, "r": 4, **options})
        )
        wrapped.save_pretrained(tmp_path / "adapter")
        torch.save(reference.network.state_dict(), tmp_path / "base.pt")
        with pytest.raises(InputError, match=message):
            load_model("clipseg", tmp_path / "adapter", base=tmp_path / "base.pt", config=TINY, device="cpu")

    @pytest.mark.parametrize("name", ["lora", "adapter", "prompt_learner"])
    def test_one_in_a_dictionary_of_its_own_stops_unless_the_network_is_stated(self, tmp_path, reference, name):
        state = reference.network.state_dict()
        path = save({"state_dict": state, name: {"ctx": torch.ones(4, 32)}})(tmp_path)
        with pytest.raises(InputError, match=f"adapters or learned prompts under '{name}' beside the network"):
            load_model("clipseg", path, config=TINY, device="cpu")
        loaded = load_model("clipseg", path, config=TINY, device="cpu", weights="state_dict")
        assert torch.equal(run(loaded), run(reference))

    def test_a_folder_that_lost_its_configuration_is_refused(self, tmp_path, reference):
        save_file(dict(reference.network.state_dict()), tmp_path / "model.safetensors")
        save_file({"x.lora_A.weight": torch.ones(2, 2)}, tmp_path / "adapter_model.safetensors")
        with pytest.raises(InputError, match=r"adapter_model.safetensors without its adapter_config.json"):
            load_model("clipseg", tmp_path, config=TINY, device="cpu")


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


class Small(torch.nn.Module):
    """Half and single precision, nesting, a buffer without axes, lists and attributes that are no weights."""

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Linear(3, 4).half()
        self.rest = torch.nn.Sequential(torch.nn.BatchNorm1d(4))
        self.register_buffer("input_resolution", torch.tensor(224))
        self.tied = self.first.weight
        self.sizes = [1, 2, 3]
        self.label = "small"

    def forward(self, x):
        return self.rest(self.first(x.half()).float())


@pytest.fixture(params=["scripted", "traced"])
def archive(request, tmp_path):
    network = Small().eval()
    x = torch.randn(2, 3)
    saved = torch.jit.script(network) if request.param == "scripted" else torch.jit.trace(network, x)
    torch.jit.save(saved, tmp_path / "net.pt")
    return tmp_path / "net.pt", network.state_dict()


def rewritten(source, target, change):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for member in old.infolist():
            content, method = change(member.filename, old.read(member))
            new.writestr(member.filename, content, compress_type=method)


def test_every_weight_comes_out_as_it_went_in(archive):
    path, expected = archive
    found = read_torchscript(path)
    assert set(found) == set(expected)
    for key, value in expected.items():
        assert found[key].dtype == value.dtype
        assert torch.equal(found[key], value)


def test_the_code_is_neither_read_nor_run(archive, tmp_path, monkeypatch):
    path, expected = archive
    monkeypatch.setattr(torch.jit, "load", pytest.fail)

    def spoil(name, content):
        return (b"import os; os.abort()" if "/code/" in name else content), zipfile.ZIP_STORED

    rewritten(path, tmp_path / "spoilt.pt", spoil)
    assert set(read_torchscript(tmp_path / "spoilt.pt")) == set(expected)


def test_a_pickle_that_calls_something_is_refused_by_name(archive, tmp_path):
    class Hostile:
        def __reduce__(self):
            import os

            return os.mkdir, (str(tmp_path / "made"),)

    def poison(name, content):
        return (pickle.dumps(Hostile()) if name.endswith("data.pkl") else content), zipfile.ZIP_STORED

    rewritten(archive[0], tmp_path / "hostile.pt", poison)
    with pytest.raises(InputError, match=r"wants to call \w+\.mkdir"):
        read_torchscript(tmp_path / "hostile.pt")
    assert not (tmp_path / "made").exists()


def test_compressed_weights_are_refused(archive, tmp_path):
    rewritten(archive[0], tmp_path / "packed.pt", lambda name, content: (content, zipfile.ZIP_DEFLATED))
    with pytest.raises(InputError, match="holds compressed weights"):
        read_torchscript(tmp_path / "packed.pt")


@pytest.mark.parametrize("lost", ["data/0", "data.pkl"])
def test_an_archive_without_a_part_is_refused(archive, tmp_path, lost):
    with zipfile.ZipFile(archive[0]) as old, zipfile.ZipFile(tmp_path / "part.pt", "w") as new:
        for member in old.infolist():
            if not member.filename.endswith(lost):
                new.writestr(member.filename, old.read(member))
    with pytest.raises(InputError, match="TorchScript archive"):
        read_torchscript(tmp_path / "part.pt")


def test_weights_shorter_than_their_tensor_are_refused(archive, tmp_path):
    def cut(name, content):
        return (content[:-1] if "/data/" in name else content), zipfile.ZIP_STORED

    rewritten(archive[0], tmp_path / "cut.pt", cut)
    with pytest.raises(InputError, match="reaches beyond its storage"):
        read_torchscript(tmp_path / "cut.pt")


def test_another_file_is_no_archive(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "weights.pt")
    with pytest.raises(InputError, match="is no TorchScript archive"):
        read_torchscript(tmp_path / "weights.pt")
    (tmp_path / "text.pt").write_text("no archive")
    with pytest.raises(InputError, match="no readable TorchScript archive"):
        read_torchscript(tmp_path / "text.pt")
