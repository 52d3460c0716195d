"""CRIS: what its parts compute, what its codes may do, and which checkpoints it takes."""

import json
import math
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from robustness.errors import InputError
from robustness.runners.checkpoints.checkpoint import save_checkpoint
from robustness.runners.inference.embedding import TensorEmbedding
from robustness.runners.inference.engine import Engine
from robustness.runners.inference.request import Request
from robustness.runners.models.cris.attention import PackedAttention, grid_positions, line_positions
from robustness.runners.models.cris.entry import CrisModel, CrisNetwork
from robustness.runners.models.cris.neck import ImageHalf
from robustness.runners.models.entry import merge
from robustness.runners.models.load import load_model

LAYOUT = Path(__file__).parents[4].parent / "shared" / "checkpoints" / "layouts" / "cris_rn50.json"
TINY = {"preset": "tiny"}
IDS = torch.tensor([[406, 33, 101, 7, 407, 0, 0, 0, 0, 0, 0, 0], [406, 7, 250, 18, 5, 77, 30, 407, 0, 0, 0, 0]])


def scrambled(network):
    """The network with batch norms that do something: their fresh statistics are 0 and 1."""
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.7, 1.3, generator=generator)
            module.weight.data.uniform_(0.8, 1.2, generator=generator)
            module.bias.data.normal_(0, 0.1, generator=generator)
    return network.eval()


@pytest.fixture(scope="module")
def network():
    config = merge(CrisModel().default_config(), CrisModel.presets["tiny"])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return scrambled(CrisNetwork({**config, "vocab_size": 408}))


def pixels(n=2, size=96, seed=0):
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(seed))


class TestParts:
    def test_packed_attention_equals_torchs(self):
        torch.manual_seed(0)
        ours, theirs = PackedAttention(32, 4).eval(), nn.MultiheadAttention(32, 4, batch_first=True).eval()
        nn.init.normal_(theirs.in_proj_bias)
        ours.load_state_dict(theirs.state_dict())
        x, words = torch.randn(2, 5, 32), torch.randn(2, 3, 32)
        valid = torch.tensor([[True, True, False], [True, True, True]])
        expected = theirs(x, words, words, key_padding_mask=~valid)[0]
        found = ours.attend(ours.queries(x), ours.keys(words), ours.values(words), valid=valid)
        torch.testing.assert_close(found, expected)
        causal = nn.Transformer.generate_square_subsequent_mask(5)
        queries, keys = ours.queries_and_keys(x)
        torch.testing.assert_close(
            ours.attend(queries, keys, ours.values(x), causal=True), theirs(x, x, x, attn_mask=causal)[0]
        )

    def test_positions_are_interleaved_sines(self):
        table = line_positions(3, 4, like=torch.empty(0))
        expected = [math.sin(2), math.cos(2), math.sin(0.02), math.cos(0.02)]
        assert table[2].tolist() == pytest.approx(expected)

    def test_grid_positions_tell_the_column_first(self):
        like = torch.empty(0)
        grid = grid_positions(2, 3, 8, like=like).unflatten(0, (2, 3))
        assert torch.equal(grid[1, 2, :4], line_positions(3, 4, like=like)[2])
        assert torch.equal(grid[1, 2, 4:], line_positions(2, 4, like=like)[1])

    def test_the_stages_equal_those_of_clips_own_network(self, network):
        from open_clip.modified_resnet import ModifiedResNet

        ours = network.backbone.visual
        theirs = ModifiedResNet([1, 1, 1, 1], output_dim=64, heads=4, image_size=64, width=8).eval()
        theirs.load_state_dict({k: v for k, v in ours.state_dict().items() if ".connect." not in k})
        with torch.no_grad():
            expected = [theirs.layer2(theirs.layer1(theirs.stem(pixels())))]
            expected.append(theirs.layer3(expected[0]))
            found = ours(pixels())
        for ours_map, their_map in zip(found, expected, strict=False):
            torch.testing.assert_close(ours_map, their_map)
        assert [tuple(each.shape) for each in found] == [(2, 64, 12, 12), (2, 128, 6, 6), (2, 64, 3, 3)]

    def test_the_attention_map_equals_torchs_attention_plus_the_shortcut(self, network):
        pool = network.backbone.visual.attnpool
        x = torch.randn(2, 256, 2, 2, generator=torch.Generator().manual_seed(2))
        tokens = x.flatten(2).permute(2, 0, 1) + pool.positional_embedding[1:, None]
        projections = [pool.q_proj, pool.k_proj, pool.v_proj]
        attended, _ = functional.multi_head_attention_forward(
            tokens,
            tokens,
            tokens,
            256,
            4,
            None,
            torch.cat([p.bias for p in projections]),
            None,
            None,
            False,
            0.0,
            pool.c_proj.weight,
            pool.c_proj.bias,
            use_separate_proj_weight=True,
            q_proj_weight=pool.q_proj.weight,
            k_proj_weight=pool.k_proj.weight,
            v_proj_weight=pool.v_proj.weight,
        )
        expected = (attended.permute(1, 2, 0).reshape(2, 64, 2, 2) + pool.connect(x)).relu()
        torch.testing.assert_close(pool(x), expected, atol=1e-5, rtol=1e-5)

    def test_the_text_network_equals_clips_own(self, network):
        from open_clip.transformer import QuickGELU, Transformer

        backbone = network.backbone
        theirs = Transformer(64, 2, 1, act_layer=QuickGELU).eval()
        theirs.load_state_dict(backbone.transformer.state_dict())
        x = backbone.token_embedding(IDS) + backbone.positional_embedding[:12]
        mask = nn.Transformer.generate_square_subsequent_mask(12)
        expected = backbone.ln_final(theirs(x, attn_mask=mask))
        tokens, state = backbone.encode_text(IDS)
        torch.testing.assert_close(tokens, expected, atol=1e-5, rtol=1e-5)
        ends = expected[torch.arange(2), torch.tensor([4, 7])]
        torch.testing.assert_close(state, ends @ backbone.text_projection, atol=1e-5, rtol=1e-5)

    def test_the_neck_equals_the_one_written_with_concatenations(self, network):
        neck, torch_cat = network.neck, torch.cat
        c3, c4, c5 = network.backbone.visual(pixels())
        factor = neck.encode_text(torch.randn(2, 64, generator=torch.Generator().manual_seed(3)))

        def up(x):
            return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)

        f5 = neck.norm_layer(neck.f1_v_proj(c5) * factor[:, :, None, None])
        f4 = neck.f2_cat(torch_cat([neck.f2_v_proj(c4), up(f5)], 1))
        f3 = neck.f3_cat(torch_cat([functional.avg_pool2d(neck.f3_v_proj(c3), 2), f4], 1))
        joined = neck.aggr(torch_cat([neck.f4_proj3(f3), neck.f4_proj4(f4), up(neck.f4_proj5(f5))], 1))
        expected = neck.coordconv(joined)
        found = neck(neck.encode_image(c3, c4, c5), factor)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)

    def test_the_projector_equals_one_grouped_convolution_per_sample(self, network):
        generator = torch.Generator().manual_seed(4)
        image, state = torch.randn(2, 64, 5, 6, generator=generator), torch.randn(2, 64, generator=generator)
        numbers = network.proj.txt(state)
        weight, bias = numbers[:, :-1].reshape(2, 32, 3, 3), numbers[:, -1]
        features = network.proj.vis(image)
        expected = functional.conv2d(features.reshape(1, 64, 20, 24), weight, bias, padding=1, groups=2)
        found = network.proj(image, network.proj.encode_text(state))
        torch.testing.assert_close(found, expected.transpose(0, 1), atol=1e-5, rtol=1e-5)


class TestCodes:
    def test_decoding_codes_equals_the_forward_pass(self, network):
        with torch.no_grad():
            image, text = network.encode_image(pixels()), network.encode_text(IDS)
            assert isinstance(ImageHalf(*image), ImageHalf)
            assert torch.equal(network.decode(image, text), network(pixels(), IDS))

    def test_a_batch_equals_its_rows_one_by_one(self, network):
        with torch.no_grad():
            whole = network(pixels(), IDS)
            parts = [network(pixels()[i : i + 1], IDS[i : i + 1]) for i in range(2)]
        assert parts[0].shape == (1, 1, 96, 96)
        torch.testing.assert_close(torch.cat(parts), whole, atol=1e-5, rtol=1e-5)

    def test_codes_of_texts_of_other_lengths_can_be_joined(self, network):
        with torch.no_grad():
            codes = [TensorEmbedding(network.encode_text(IDS[i : i + 1])) for i in range(2)]
            assert {tensor.shape[1] for tensor in codes[0].tensors[4:]} == {5}
            joined = TensorEmbedding.concat(codes)
            found = network.decode(network.encode_image(pixels()), joined.tensors)
            torch.testing.assert_close(found, network(pixels(), IDS), atol=1e-5, rtol=1e-5)

    def test_zeros_at_the_end_change_nothing(self, network):
        with torch.no_grad():
            torch.testing.assert_close(network(pixels(), IDS[:, :8]), network(pixels(), IDS), atol=1e-5, rtol=1e-5)

    def test_surplus_end_tokens_are_words(self, network):
        ended = torch.where(IDS == 0, 407, IDS)
        with torch.no_grad():
            assert (network(pixels(), ended) - network(pixels(), IDS)).abs().max() > 1e-3
            assert network.encode_text(ended)[5].shape[1] == 12

    def test_the_attention_mask_has_no_effect(self, network):
        with torch.no_grad():
            masked = network(pixels(), IDS, torch.zeros_like(IDS))
            assert torch.equal(masked, network(pixels(), IDS))

    def test_logits_have_the_size_that_the_config_says(self, network):
        with torch.no_grad():
            assert network(pixels(size=64), IDS).shape == (2, 1, 96, 96)

    def test_gradients_reach_every_weight_that_acts(self, network):
        network.zero_grad()
        network(pixels(), IDS).square().mean().backward()
        still = {name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
        network.zero_grad()
        assert still == {"backbone.logit_scale"}

    @pytest.mark.parametrize(
        ("ids", "message"),
        [
            (torch.tensor([[406, 407], [0, 0]]), "row 1 holds only zeros"),
            (torch.ones(1, 21, dtype=torch.long), "L from 1 to 20"),
            (torch.ones(3, dtype=torch.long), "shape"),
        ],
    )
    def test_ids_that_no_text_has_are_told(self, network, ids, message):
        with pytest.raises(InputError, match=message):
            network.encode_text(ids)

    def test_a_size_that_does_not_fit_is_told(self, network):
        with pytest.raises(InputError, match="multiples of 32, got 96 x 80"):
            network.encode_image(torch.zeros(1, 3, 96, 80))


def holder_of(state):
    """A module tree that can be scripted and holds `state`, as CLIP's archives hold theirs."""
    root = nn.Module()
    for key, value in state.items():
        *path, last = key.split(".")
        node = root
        for name in path:
            if name not in dict(node.named_children()):
                node.add_module(name, nn.Module())
            node = node.get_submodule(name)
        node.register_buffer(last, value)
    return root


class TestEntry:
    @pytest.mark.skipif(not LAYOUT.is_file(), reason="the reference layout does not lie beside the checkout")
    def test_the_default_network_has_the_published_layout(self):
        with torch.device("meta"):
            state = CrisModel().build(CrisModel().default_config()).state_dict()
        listed = json.loads(LAYOUT.read_text())["listing"]
        assert {k: list(v.shape) for k, v in state.items()} == {key: shape for key, shape, _ in listed}

    def test_shapes_tell_all_but_what_the_documentation_names(self, network):
        config = merge(CrisModel().default_config(), CrisModel.presets["tiny"])
        untold = {"num_head", "img_size", "dropout", "padding", "intermediate"}
        shapes = {k: tuple(v.shape) for k, v in network.state_dict().items()}
        told = CrisModel().config_from_shapes(shapes, CrisModel().default_config())
        assert set(told) == set(config) - untold
        assert told == {**{k: v for k, v in config.items() if k not in untold}, "vocab_size": 408}

    @pytest.mark.parametrize("prefix", ["", "module.", "net."])
    def test_published_wrappers_load_strictly(self, network, tmp_path, prefix):
        state = {prefix + k: v for k, v in network.state_dict().items()}
        torch.save({"state_dict": state, "epoch": 50, "best_iou": 0.5}, tmp_path / "best_model.pth")
        loaded = load_model("cris", tmp_path / "best_model.pth", num_head=4, img_size=96, device="cpu")
        with torch.no_grad():
            assert torch.equal(loaded.network(pixels(), IDS), network(pixels(), IDS))
        assert (loaded.threshold, loaded.config["loaded"]) == (0.35, "all")
        del state[f"{prefix}proj.txt.bias"]
        torch.save(state, tmp_path / "best_model.pth")
        with pytest.raises(InputError, match=r"1 missing \(proj.txt.bias \[289\]\)"):
            load_model("cris", tmp_path / "best_model.pth", num_head=4, device="cpu")

    def test_own_checkpoints_keep_the_options(self, tmp_path):
        model = load_model("cris", config={**TINY, "padding": "zero", "word_len": 17}, device="cpu")
        again = load_model("cris", save_checkpoint(tmp_path / "own", model), device="cpu")
        assert again.config == model.config
        assert torch.equal(again.tokenize(["a polyp"]).input_ids, model.tokenize(["a polyp"]).input_ids)

    def test_clips_own_weights_fill_the_backbone_and_leave_the_rest_fresh(self, network, tmp_path, caplog):
        clip = {
            k.removeprefix("backbone."): v.half() if v.is_floating_point() else v
            for k, v in network.state_dict().items()
            if k.startswith("backbone.") and ".connect." not in k
        }
        scalars = {"input_resolution": torch.tensor(64), "context_length": torch.tensor(20)}
        torch.save({**clip, **scalars, "vocab_size": torch.tensor(408)}, tmp_path / "RN50.pt")
        first, second = (
            load_model("cris", tmp_path / "RN50.pt", seed=s, num_layers=2, device="cpu").network for s in (0, 1)
        )
        assert "a backbone alone" in caplog.text
        for key, value in clip.items():
            assert torch.equal(
                first.state_dict()[f"backbone.{key}"], value.float() if value.is_floating_point() else value
            )
        assert set(first.state_dict()) == set(network.state_dict())
        assert not torch.equal(first.proj.txt.weight, second.proj.txt.weight)

    @pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
    def test_clips_torchscript_archive_fills_the_backbone_and_is_said_to_be_one(self, network, tmp_path, caplog):
        clip = {
            k.removeprefix("backbone."): v
            for k, v in network.state_dict().items()
            if k.startswith("backbone.") and ".connect." not in k
        }
        scalars = {name: torch.tensor(value) for name, value in (("input_resolution", 64), ("vocab_size", 408))}
        torch.jit.save(torch.jit.script(holder_of({**clip, **scalars})), tmp_path / "RN50.pt")
        loaded = load_model("cris", tmp_path / "RN50.pt", num_layers=2, device="cpu")
        assert "a backbone alone" in caplog.text
        assert loaded.config["loaded"] == "backbone"
        state = loaded.network.state_dict()
        assert all(torch.equal(state[f"backbone.{key}"], value) for key, value in clip.items())

    def test_a_backbone_that_lacks_a_weight_is_refused(self, network, tmp_path):
        clip = {k.removeprefix("backbone."): v for k, v in network.state_dict().items() if k.startswith("backbone.")}
        kept = {k: v for k, v in clip.items() if ".connect." not in k and k != "ln_final.bias"}
        torch.save(kept, tmp_path / "RN50.pt")
        with pytest.raises(InputError, match=r"1 missing \(ln_final.bias"):
            load_model("cris", tmp_path / "RN50.pt", device="cpu")

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"padding": "none"}, "padding to be one of eot, zero"),
            ({"intermediate": True}, "intermediate to be False"),
            ({"word_len": 21}, "word_len to be 2 to 20 ids"),
            ({"fpn_out": [32, 48, 96]}, "second equal to vis_dim"),
            ({"word_dim": 32}, "word_dim to be embed_dim"),
            ({"num_head": 5}, "num_head to be a divisor"),
        ],
    )
    def test_a_configuration_that_cannot_be_is_told(self, changes, message):
        with pytest.raises(InputError, match=message):
            load_model("cris", config={**TINY, **changes}, device="cpu")

    def test_padding_is_an_option_with_a_name(self):
        eot = load_model("cris", config=TINY, device="cpu").tokenize(["a polyp"])
        zero = load_model("cris", config=TINY, padding="zero", device="cpu").tokenize(["a polyp"])
        assert eot.input_ids[0, -1] == 49407
        assert zero.input_ids[0, -1] == 0
        assert torch.equal(eot.attention_mask, zero.attention_mask)
        assert torch.equal(eot.input_ids * eot.attention_mask, zero.input_ids)

    def test_the_engine_gives_what_the_forward_pass_gives(self):
        model = load_model("cris", config={**TINY, "padding": "zero"}, device="cpu")
        scrambled(model.network)
        image = torch.randint(
            0, 255, (40, 50, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
        ).numpy()
        texts = ["polyp", "one small pink round polyp in the top left of the image"]
        engine = Engine(model, resolution="network", text_batch=1)
        found = list(engine.predict([Request(image, "a", text) for text in texts]))
        values = model.preprocess.pixel_values([image])
        with torch.no_grad():
            for text, probability in zip(texts, found, strict=True):
                expected = model.network(values, *model.tokenize([text])).sigmoid()[0, 0].numpy()
                assert abs(expected - probability).max() < 1e-5
        assert abs(found[0] - found[1]).max() > 1e-4
