"""CLIPSeg's weights under other people's keys give the network that was trained, or one line that says why not."""

import re

import pytest
import torch
from torch import nn

from robustness.errors import InputError
from robustness.runners.checkpoints.inspection import inspect_checkpoint
from robustness.runners.models.load import load_model

TINY = {"preset": "tiny"}
IDS = torch.tensor([[0, 5, 7, 9, 3, 999], [0, 6, 999, 0, 0, 0]])
MASK = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0]])


@pytest.fixture(scope="module")
def network():
    return load_model("clipseg", config={**TINY, "use_complex_transposed_convolution": False}, device="cpu").network


@pytest.fixture(scope="module")
def state(network):
    return network.state_dict()


def pixels():
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def logits(model):
    with torch.no_grad():
        return getattr(model, "network", model)(pixels(), IDS, MASK)


def packed(state, layer, kind):
    return torch.cat([state[f"{layer}.{letter}_proj.{kind}"] for letter in "qkv"])


class OriginalDecoder(nn.Module):
    """The authors' decoder as their repository describes it, from torch's own layers."""

    def __init__(self, width=16, vision=48, condition=32, inner=32, patch=16):
        super().__init__()
        self.film_mul, self.film_add = nn.Linear(condition, width), nn.Linear(condition, width)
        self.reduces = nn.ModuleList(nn.Linear(vision, width) for _ in range(3))
        self.blocks = nn.ModuleList(nn.TransformerEncoderLayer(width, 4, dim_feedforward=inner) for _ in range(3))
        self.trans_conv = nn.ConvTranspose2d(width, 1, patch, stride=patch)

    def forward(self, activations, condition):
        tokens = None
        for place, (activation, block, reduce) in enumerate(zip(activations, self.blocks, self.reduces, strict=True)):
            reduced = reduce(activation.transpose(0, 1))
            tokens = reduced if tokens is None else reduced + tokens
            if place == 0:
                tokens = self.film_mul(condition) * tokens + self.film_add(condition)
            tokens = block(tokens)
        grid = tokens[1:].permute(1, 2, 0)
        side = int(grid.shape[2] ** 0.5)
        return self.trans_conv(grid.reshape(len(grid), -1, side, side))


@pytest.fixture(scope="module")
def decoder():
    torch.manual_seed(5)
    return OriginalDecoder().eval()


@pytest.fixture(scope="module")
def expected(network, decoder):
    with torch.no_grad():
        return decoder(network.image_features(pixels()), *network.text_features(IDS, MASK))


def openai(state):
    """Return the encoders under the keys of OpenAI's CLIP."""
    out = {}
    for part, head in (("vision_model", "visual."), ("text_model", "")):
        layers = {key.split(".")[4] for key in state if key.startswith(f"clip.{part}.encoder.layers.")}
        for n in layers:
            ours, theirs = f"clip.{part}.encoder.layers.{n}", f"{head}transformer.resblocks.{n}"
            for kind in ("weight", "bias"):
                out[f"{theirs}.attn.in_proj_{kind}"] = packed(state, f"{ours}.self_attn", kind)
                pairs = {"attn.out_proj": "self_attn.out_proj", "ln_1": "layer_norm1", "ln_2": "layer_norm2"}
                for a, b in {**pairs, "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2"}.items():
                    out[f"{theirs}.{a}.{kind}"] = state[f"{ours}.{b}.{kind}"]
    for kind in ("weight", "bias"):
        out[f"visual.ln_pre.{kind}"] = state[f"clip.vision_model.pre_layrnorm.{kind}"]
        out[f"visual.ln_post.{kind}"] = state[f"clip.vision_model.post_layernorm.{kind}"]
        out[f"ln_final.{kind}"] = state[f"clip.text_model.final_layer_norm.{kind}"]
    vision, text = "clip.vision_model.embeddings.", "clip.text_model.embeddings."
    return {
        **out,
        "visual.class_embedding": state[f"{vision}class_embedding"],
        "visual.positional_embedding": state[f"{vision}position_embedding.weight"],
        "visual.conv1.weight": state[f"{vision}patch_embedding.weight"],
        "visual.proj": state["clip.visual_projection.weight"].T,
        "token_embedding.weight": state[f"{text}token_embedding.weight"],
        "positional_embedding": state[f"{text}position_embedding.weight"],
        "text_projection": state["clip.text_projection.weight"].T,
        "logit_scale": state["clip.logit_scale"],
        "context_length": torch.tensor(77),
    }


BASES = {
    "a CLIPSeg": lambda s: s,
    "transformers' CLIP": lambda s: {
        **{k.removeprefix("clip."): v for k, v in s.items() if k.startswith("clip.")},
        "text_model.embeddings.position_ids": torch.arange(77),
    },
    "OpenAI's CLIP": openai,
}


class TestOriginal:
    @pytest.mark.parametrize("base", BASES)
    def test_a_decoder_alone_runs_on_the_clip_it_was_trained_on(self, tmp_path, state, decoder, expected, base):
        torch.save(decoder.state_dict(), tmp_path / "rd64-uni.pth")
        torch.save(BASES[base](state), tmp_path / "clip.pt")
        options = {"base": tmp_path / "clip.pt", "config": TINY, "device": "cpu"}
        loaded = load_model("clipseg", tmp_path / "rd64-uni.pth", **options)
        torch.testing.assert_close(logits(loaded), expected, atol=1e-5, rtol=0)
        assert loaded.provenance["read"]["layout"] == "original CLIPSeg"
        assert set(loaded.provenance["sha256"]) == {"rd64-uni.pth", "clip.pt"}

    def test_a_whole_file_of_the_authors_needs_no_base(self, tmp_path, state, decoder, expected):
        encoders = openai(state)
        whole = {
            **decoder.state_dict(),
            **{f"clip_model.{k}": v for k, v in encoders.items()},
            **{f"model.{k.removeprefix('visual.')}": v for k, v in encoders.items() if k.startswith("visual.")},
            "reduce.weight": torch.zeros(16, 48),
            "reduce.bias": torch.zeros(16),
        }
        torch.save(whole, tmp_path / "clip_plus_rd64-uni.pth")
        loaded = load_model("clipseg", tmp_path / "clip_plus_rd64-uni.pth", config=TINY, device="cpu")
        torch.testing.assert_close(logits(loaded), expected, atol=1e-5, rtol=0)

    @pytest.mark.slow
    def test_the_refined_head_keeps_its_places(self, tmp_path):
        network = load_model("clipseg", config=TINY, seed=4, device="cpu").network
        state = network.state_dict()
        theirs = {}
        for key, value in state.items():
            if not key.startswith("decoder.") or re.search(r"self_attn\.[qkv]_proj", key):
                continue
            name = key.removeprefix("decoder.").replace("transposed_convolution", "trans_conv")
            name = re.sub(r"^layers", "blocks", name).replace("layer_norm", "norm").replace("mlp.fc", "linear")
            theirs[name] = value
        for n in range(3):
            for kind in ("weight", "bias"):
                theirs[f"blocks.{n}.self_attn.in_proj_{kind}"] = packed(state, f"decoder.layers.{n}.self_attn", kind)
        torch.save(theirs, tmp_path / "rd64-uni-refined.pth")
        torch.save(state, tmp_path / "base.pt")
        loaded = load_model(
            "clipseg", tmp_path / "rd64-uni-refined.pth", base=tmp_path / "base.pt", config=TINY, device="cpu"
        )
        torch.testing.assert_close(logits(loaded), logits(network), atol=0, rtol=0)

    def test_without_a_base_the_decoder_is_named(self, tmp_path, decoder):
        torch.save(decoder.state_dict(), tmp_path / "w.pth")
        with pytest.raises(InputError, match=r"decoder alone of the original CLIPSeg repository.*give base"):
            load_model("clipseg", tmp_path / "w.pth", config=TINY, device="cpu")
        assert [n.model for n in inspect_checkpoint(tmp_path / "w.pth").sets[0].networks] == ["clipseg"]

    def test_parts_that_the_network_lacks_are_named(self, tmp_path, state, decoder):
        torch.save({**decoder.state_dict(), "extra_blocks.0.norm1.weight": torch.ones(16)}, tmp_path / "w.pth")
        with pytest.raises(InputError, match="with extra_blocks"):
            load_model("clipseg", tmp_path / "w.pth", config=TINY, device="cpu")

    def test_a_base_that_is_no_clip_is_refused(self, tmp_path, decoder):
        torch.save(decoder.state_dict(), tmp_path / "w.pth")
        with pytest.raises(InputError, match="base: expected the weights of CLIP"):
            load_model("clipseg", tmp_path / "w.pth", base=tmp_path / "w.pth", config=TINY, device="cpu")


def read_behind(network, vectors):
    """Return the projected text behind context tokens, by the network's own reader on a table that holds them."""
    reader, count = network.clip.text_model, len(vectors)
    table = reader.embeddings.token_embedding
    ids = torch.cat([IDS[:, :1], torch.arange(count).expand(2, -1) + 1000, IDS[:, 1:]], dim=1)
    mask = torch.cat([torch.ones(2, count, dtype=torch.long), MASK], dim=1)
    full = table.weight.clone()
    full[1000 : 1000 + count] = vectors
    try:
        before, table.weight.data = table.weight.data, full
        hidden = reader(input_ids=ids, attention_mask=mask).last_hidden_state
    finally:
        table.weight.data = before
    ends = IDS.argmax(1) + count
    return network.clip.text_projection(hidden[torch.arange(2), ends])


class TestContextTokens:
    @pytest.fixture
    def tuned(self, state):
        vectors = torch.randn(1, 4, 32, generator=torch.Generator().manual_seed(1))
        return {**{f"net.model.{k}": v for k, v in state.items()}, "net.context_learner.context_vectors": vectors}

    def test_they_are_read_between_the_start_and_the_words(self, tmp_path, network, tuned):
        torch.save({"state_dict": tuned}, tmp_path / "w.ckpt")
        loaded = load_model("clipseg", tmp_path / "w.ckpt", config=TINY, device="cpu")
        vectors = tuned["net.context_learner.context_vectors"][0]
        with torch.no_grad():
            condition = read_behind(network, vectors)
            ours = loaded.network.text_features(IDS, MASK)[0]
        torch.testing.assert_close(ours, condition, atol=1e-5, rtol=0)
        assert not torch.allclose(logits(loaded), logits(network))
        assert loaded.preprocess.context_length == 77 - 4
        assert loaded.provenance["read"] == {"layout": "TuneVLSeg"}

    @pytest.mark.parametrize(
        "change",
        [
            {"net.context_learner.context_vectors": torch.zeros(2, 4, 32)},
            {"net.context_learner.context_vectors": torch.zeros(1, 4, 48)},
            {"net.context_learner.meta_net.0.weight": torch.zeros(2, 2)},
            {"net.residual_ratio": torch.tensor(0.5)},
        ],
    )
    def test_other_tunings_are_named(self, tmp_path, tuned, change):
        torch.save({"state_dict": {**tuned, **change}}, tmp_path / "w.ckpt")
        with pytest.raises(InputError, match=r"tuned CLIPSeg of TuneVLSeg; expected context tokens") as caught:
            load_model("clipseg", tmp_path / "w.ckpt", config=TINY, device="cpu")
        assert "\n" not in str(caught.value)

    def test_they_are_written_and_read_again(self, tmp_path, tuned):
        from robustness.runners.checkpoints.checkpoint import save_checkpoint

        torch.save({"state_dict": tuned}, tmp_path / "w.ckpt")
        loaded = load_model("clipseg", tmp_path / "w.ckpt", config=TINY, device="cpu")
        again = load_model("clipseg", save_checkpoint(tmp_path / "own", loaded), device="cpu")
        torch.testing.assert_close(logits(again), logits(loaded), atol=0, rtol=0)


class TestAdapters:
    @pytest.fixture
    def adapted(self, state):
        generator = torch.Generator().manual_seed(2)

        def block(name, width, inner):
            shapes = {
                "fc1.weight": (inner, width),
                "fc1.bias": (inner,),
                "fc2.weight": (width, inner),
                "fc2.bias": width,
            }
            return {f"net.{name}.{k}": torch.randn(v, generator=generator) * 0.2 for k, v in shapes.items()}

        blocks = [block(f"vision_extract_adapters.{n}", 48, 12) for n in range(3)]
        blocks += [block(f"text_extract_adapters.{n}", 32, 12) for n in range(3)]
        blocks += [block("cond_adapter", 32, 10)]
        network = {f"net.clipseg.{k}": v for k, v in state.items()}
        repeated = {f"net.{k}": v for k, v in state.items() if k.startswith("clip.")}
        return {**network, **repeated, **{k: v for one in blocks for k, v in one.items()}}

    def test_the_shallow_adapter_computes_what_the_authors_describe(self, tmp_path, adapted):
        # The text network must be as deep as the deepest extracted layer.
        config = {**TINY, "text_config": {"num_hidden_layers": 4}}
        deep = load_model("clipseg", config=config, seed=3, device="cpu").network
        state = deep.state_dict()
        adapters = {k: v for k, v in adapted.items() if "adapter" in k}
        torch.save({**{f"net.clipseg.{k}": v for k, v in state.items()}, **adapters}, tmp_path / "w.ckpt")
        loaded = load_model("clipseg", tmp_path / "w.ckpt", config=config, device="cpu")

        def through(name, x):
            w = {k.removeprefix(f"net.{name}."): v for k, v in adapters.items() if k.startswith(f"net.{name}.")}
            inner = (x @ w["fc1.weight"].T + w["fc1.bias"]).relu()
            return x + (inner @ w["fc2.weight"].T + w["fc2.bias"]).relu()

        with torch.no_grad():
            read = deep.clip.text_model(input_ids=IDS, attention_mask=MASK, output_hidden_states=True)
            condition = through("cond_adapter", deep.clip.text_projection(read.pooler_output))
            for n, layer in enumerate(deep.extract_layers):
                ends = read.hidden_states[layer + 1][torch.arange(2), IDS.argmax(1)]
                condition = condition + through(f"text_extract_adapters.{n}", ends)
            shallow = deep.image_features(pixels())[::-1]
            seen = [through(f"vision_extract_adapters.{n}", a) for n, a in enumerate(shallow)][::-1]
            expected = deep.decode(deep.image_embedding(tuple(seen)), deep.text_embedding((condition,)))
        torch.testing.assert_close(logits(loaded), expected, atol=1e-4, rtol=0)

    def test_adapters_of_deeper_layers_than_there_are_stop(self, tmp_path, adapted):
        torch.save(adapted, tmp_path / "w.ckpt")
        with pytest.raises(InputError, match="adapters: expected a text network of at least 3 layers, got 2"):
            load_model("clipseg", tmp_path / "w.ckpt", config=TINY, device="cpu")

    def test_a_dense_one_is_named(self, tmp_path, adapted):
        torch.save({**adapted, "net.v_attn_adapters.0.fc1.bias": torch.zeros(2)}, tmp_path / "w.ckpt")
        with pytest.raises(InputError, match="dense VLSM-Adapter"):
            load_model("clipseg", tmp_path / "w.ckpt", config=TINY, device="cpu")


def test_what_lies_beside_a_network_and_may_belong_to_it_stops_the_load(tmp_path, network, state):
    content = {**{f"net.{k}": v for k, v in state.items()}, "head.weight": torch.ones(3), "criterion.pos_weight": MASK}
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(InputError, match=r"beside the network under 'net\.'.*\(head\.weight\); state prefix = 'net\.'"):
        load_model("clipseg", tmp_path / "w.pt", config=TINY, device="cpu")
    loaded = load_model("clipseg", tmp_path / "w.pt", config=TINY, prefix="net.", device="cpu")
    torch.testing.assert_close(logits(loaded), logits(network), atol=0, rtol=0)
