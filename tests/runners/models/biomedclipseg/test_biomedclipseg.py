"""BiomedCLIPSeg: which layers it reads, what its codes may do, and where its weights come from."""

import json
import re
from pathlib import Path

import pytest
import torch

from robustness.errors import InputError
from robustness.registry import MODELS
from robustness.runners.checkpoints.checkpoint import save_checkpoint
from robustness.runners.inference.embedding import TensorEmbedding
from robustness.runners.inference.engine import Engine
from robustness.runners.inference.request import Request
from robustness.runners.models.biomedclipseg.entry import BiomedClipSegModel
from robustness.runners.models.entry import merge
from robustness.runners.models.load import load_model

LAYOUTS = Path(__file__).parents[4].parent / "shared" / "checkpoints" / "layouts"
TINY = {"preset": "tiny"}
SMALL = {**TINY, "bert": {"vocab_size": 500}}
IDS = torch.tensor([[2, 33, 101, 7, 3, 0, 0, 0, 0, 0], [2, 7, 250, 18, 400, 5, 77, 3, 0, 0]])
MASK = (IDS != 0).long()
PIECES = "[PAD] [UNK] [CLS] [SEP] one small pink polyp lung in the left right of image".split()


@pytest.fixture(scope="module")
def network():
    return load_model("biomedclipseg", config=SMALL, device="cpu").network


def pixels(n=2, size=64):
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(0))


def block_outputs(network):
    """Outputs of the blocks that run while `pixels()` are encoded."""
    seen = {}
    blocks = network.biomedclip.visual.trunk.blocks
    handles = [b.register_forward_hook(lambda m, i, o, n=n: seen.setdefault(n, o)) for n, b in enumerate(blocks)]
    with torch.no_grad():
        codes = network.encode_image(pixels())
    for handle in handles:
        handle.remove()
    return seen, codes


@pytest.mark.parametrize(("offset", "blocks"), [("reference", (1, 2, 3)), ("aligned", (0, 1, 2))])
def test_the_offset_says_which_blocks_the_decoder_reads(offset, blocks):
    network = load_model("biomedclipseg", config=TINY, layer_offset=offset, device="cpu").network
    seen, codes = block_outputs(network)
    assert len(seen) == max(blocks) + 1
    for block, code, reduce in zip(reversed(blocks), codes, network.decoder.reduces, strict=True):
        assert torch.equal(code, reduce(seen[block]))


def test_the_published_network_reads_blocks_4_7_and_10():
    entry = BiomedClipSegModel()
    with torch.device("meta"):
        assert entry.build(entry.default_config()).blocks == (4, 7, 10)
        assert entry.build({**entry.default_config(), "layer_offset": "aligned"}).blocks == (3, 6, 9)


def test_decoding_codes_equals_the_forward_pass(network):
    with torch.no_grad():
        found = network.decode(network.encode_image(pixels()), network.encode_text(IDS, MASK))
        assert torch.equal(found, network(pixels(), IDS, MASK))
        assert found.shape == (2, 1, 64, 64)
        assert network(pixels()[:1], IDS[:1], MASK[:1]).shape == (1, 1, 64, 64)


def test_without_a_mask_zeros_are_padding(network):
    with torch.no_grad():
        assert torch.equal(network(pixels(), IDS), network(pixels(), IDS, MASK))
        assert not torch.allclose(network(pixels(), IDS), network(pixels(), IDS, torch.ones_like(IDS)), atol=1e-4)


def test_masked_padding_may_be_cut_and_codes_of_other_lengths_joined(network):
    with torch.no_grad():
        whole = network.encode_text(IDS, MASK)
        parts = [
            TensorEmbedding(network.encode_text(IDS[i : i + 1, :n], MASK[i : i + 1, :n])) for i, n in ((0, 5), (1, 8))
        ]
    for joined, expected in zip(TensorEmbedding.concat(parts).tensors, whole, strict=True):
        torch.testing.assert_close(joined, expected, atol=1e-5, rtol=1e-5)


def test_gradients_reach_both_encoders_and_the_decoder(network):
    network.zero_grad()
    network(pixels(), IDS, MASK).square().mean().backward()
    still = {name for name, p in network.named_parameters() if p.grad is None}
    network.zero_grad()
    visual = "biomedclip.visual."
    assert still == {
        "biomedclip.logit_scale",
        f"{visual}trunk.norm.weight",
        f"{visual}trunk.norm.bias",
        f"{visual}head.proj.weight",
    }


@pytest.mark.parametrize(
    ("ids", "mask", "message"),
    [
        (torch.zeros(2, 5).long(), None, "row 0 holds only padding"),
        (IDS, torch.zeros_like(IDS), "row 0 holds only padding"),
        (torch.ones(1, 65).long(), None, "at most 64 ids per text, got 65"),
    ],
)
def test_ids_that_no_text_has_are_told(network, ids, mask, message):
    with pytest.raises(InputError, match=message):
        network.encode_text(ids, mask)


def test_another_image_size_is_told(network):
    with pytest.raises(InputError, match="expected 64 x 64, the size of the positions, got 96 x 96"):
        network.encode_image(pixels(size=96))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layer_offset": "shifted"}, "layer_offset: expected one of reference, aligned"),
        ({"clipseg": {"extract_layers": [0, 3]}}, r"between 0 and 3, got \[1, 4\] with layer_offset='reference'"),
        ({"embed_dim": 48}, "clipseg.projection_dim to be embed_dim, 48"),
        ({"vit": {"num_heads": 5}}, "vit.embed_dim / num_heads"),
        ({"bert": {"num_attention_heads": 5}}, "under bert"),
    ],
)
def test_a_configuration_that_cannot_be_is_told_in_one_line(changes, message):
    with pytest.raises(InputError, match=message) as caught:
        load_model("biomedclipseg", config={**TINY, **changes}, device="cpu")
    assert "\n" not in str(caught.value)


class TestCheckpoints:
    @pytest.mark.skipif(not LAYOUTS.is_dir(), reason="the reference layouts do not lie beside the checkout")
    @pytest.mark.parametrize("name", ["biomedclipseg", "biomedclipseg-d"])
    def test_the_default_network_has_the_published_layout(self, name):
        document = json.loads((LAYOUTS / "biomedclipseg.json").read_text())
        entry = MODELS.get(name)()
        with torch.device("meta"):
            state = entry.build(merge(entry.default_config(), document["config"])).state_dict()
        assert {k: list(v.shape) for k, v in state.items()} == {key: shape for key, shape, _ in document["listing"]}

    @pytest.mark.parametrize("prefix", ["", "net."])
    def test_trained_files_load_with_what_shapes_do_not_tell(self, network, tmp_path, prefix):
        state = {prefix + k: v for k, v in network.state_dict().items()}
        state[f"{prefix}biomedclip.text.transformer.embeddings.position_ids"] = torch.arange(64)[None]
        torch.save({"state_dict": state, "hyper_parameters": {"threshold": 0.5}}, tmp_path / "best.ckpt")
        untold = {
            "vit": {"num_heads": 4},
            "bert": {"num_attention_heads": 4},
            "clipseg": {"extract_layers": [0, 1, 2]},
            "context_length": 32,
        }
        loaded = load_model("biomedclipseg", tmp_path / "best.ckpt", config=untold, device="cpu")
        with torch.no_grad():
            assert torch.equal(loaded.network(pixels(), IDS, MASK), network(pixels(), IDS, MASK))
        assert loaded.config["loaded"] == "all"

    def test_own_checkpoints_come_back(self, tmp_path):
        model = load_model("biomedclipseg", config=SMALL, layer_offset="aligned", device="cpu")
        again = load_model("biomedclipseg", save_checkpoint(tmp_path, model), device="cpu")
        assert again.config == model.config
        assert again.network.blocks == (0, 1, 2)

    @pytest.fixture
    def open_clip(self, network, tmp_path):
        """A folder as open_clip publishes BiomedCLIP."""
        state = {
            k.removeprefix("biomedclip."): v for k, v in network.state_dict().items() if k.startswith("biomedclip.")
        }
        state["text.transformer.embeddings.position_ids"] = torch.arange(64)[None]
        torch.save(state, tmp_path / "open_clip_pytorch_model.bin")
        (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": {"embed_dim": 32}}))
        (tmp_path / "vocab.txt").write_text("\n".join(PIECES))
        return tmp_path

    @pytest.mark.slow
    @pytest.mark.parametrize("form", ["folder", "file"])
    def test_biomedclip_alone_fills_the_encoders_and_the_decoder_is_fresh(self, network, open_clip, form, caplog):
        path = open_clip if form == "folder" else open_clip / "open_clip_pytorch_model.bin"
        first, again, other = (
            load_model("biomedclipseg", path, config=SMALL, seed=seed, device="cpu") for seed in (0, 0, 1)
        )
        assert first.config["loaded"] == "backbone"
        assert "a backbone alone" in caplog.text
        states = [model.network.state_dict() for model in (first, again, other)]
        for key, value in network.state_dict().items():
            if key.startswith("biomedclip."):
                assert torch.equal(states[0][key], value)
            assert torch.equal(states[0][key], states[1][key])
        assert not torch.equal(states[0]["decoder.reduces.0.weight"], states[2]["decoder.reduces.0.weight"])
        assert first.encode_text(["one small polyp"]).tensors[0].shape == (1, 16)

    def test_d_starts_from_clipsegs_decoder(self, open_clip, tmp_path):
        clipseg = load_model("clipseg", config=TINY, device="cpu", seed=3).network
        torch.save(clipseg.state_dict(), tmp_path / "clipseg.pt")
        path = open_clip / "open_clip_pytorch_model.bin"
        model = load_model(
            "biomedclipseg-d", path, config=SMALL, decoder_from=str(tmp_path / "clipseg.pt"), device="cpu"
        )
        for key, value in clipseg.decoder.state_dict().items():
            assert torch.equal(model.network.decoder.state_dict()[key], value)

    def test_a_decoder_of_another_shape_is_refused(self, open_clip, tmp_path):
        clipseg = load_model("clipseg", config=TINY, reduce_dim=24, device="cpu").network
        torch.save(clipseg.state_dict(), tmp_path / "clipseg.pt")
        path = open_clip / "open_clip_pytorch_model.bin"
        with pytest.raises(InputError, match=r"decoder_from: .* is not of this network's shape"):
            load_model("biomedclipseg-d", path, config=SMALL, decoder_from=str(tmp_path / "clipseg.pt"), device="cpu")

    def test_a_decoder_that_cannot_be_had_is_told_with_a_way_out(self, open_clip, tmp_path):
        path = open_clip / "open_clip_pytorch_model.bin"
        absent = str(tmp_path / "clipseg.pt")
        with pytest.raises(InputError, match=r"decoder_from: expected a CLIPSeg checkpoint, .* or 'random'"):
            load_model("biomedclipseg-d", path, config=SMALL, decoder_from=absent, device="cpu")
        assert load_model("biomedclipseg-d", path, config=SMALL, decoder_from="random", device="cpu").config["loaded"]

    def test_a_trained_decoder_is_not_replaced_silently(self, network, tmp_path):
        torch.save(network.state_dict(), tmp_path / "trained.pt")
        with pytest.raises(InputError, match=r"decoder_from is 'clipseg.pt', but the checkpoint's shapes say None"):
            load_model(
                "biomedclipseg-d", tmp_path / "trained.pt", config=SMALL, decoder_from="clipseg.pt", device="cpu"
            )

    def test_it_is_never_random_by_accident(self):
        with pytest.raises(InputError, match="microsoft/BiomedCLIP"):
            load_model("biomedclipseg-d", device="cpu")


class TestText:
    def test_without_a_vocabulary_only_reading_texts_fails(self, network):
        model = load_model("biomedclipseg", config=SMALL, device="cpu")
        with pytest.raises(InputError, match=r"tokenizer: .*tokenizer=PATH"):
            model.encode_text(["a polyp"])
        with torch.no_grad():
            assert model.network(pixels(), IDS, MASK).shape == (2, 1, 64, 64)

    def test_a_path_that_does_not_exist_is_told_at_once(self, tmp_path):
        with pytest.raises(InputError, match="tokenizer: expected a folder") as caught:
            load_model("biomedclipseg", config=SMALL, tokenizer=tmp_path / "none" / "vocab.txt", device="cpu")
        assert re.search("none/vocab.txt", str(caught.value))

    def test_the_engine_gives_what_the_forward_pass_gives(self, tmp_path):
        (tmp_path / "vocab.txt").write_text("\n".join(PIECES))
        model = load_model("biomedclipseg", config=SMALL, tokenizer=tmp_path, device="cpu")
        image = torch.randint(
            0, 255, (40, 50, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
        ).numpy()
        texts = ["polyp", "one small pink polyp in the left of the image"]
        engine = Engine(model, resolution="network", text_batch=1)
        found = list(engine.predict([Request(image, "a", text) for text in texts]))
        for text, probability in zip(texts, found, strict=True):
            with torch.no_grad():
                logits = model.network(model.preprocess.pixel_values([image]), *model.tokenize([text]))
            assert abs(logits.sigmoid()[0, 0].numpy() - probability).max() < 1e-5
        assert abs(found[0] - found[1]).max() > 1e-5
