"""CLIPSeg: the reference's logits, split in three, with gradients and offline tokenization."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from robustness.errors import InputError
from robustness.runners.models.entry import merge
from robustness.runners.models.load import load_model
from robustness.runners.models.tokenizers.clip import ClipTokenizer, clip_vocabulary

TINY = {"preset": "tiny"}
PROMPTS = [
    "polyp",
    "",
    "one small pink round polyp, located in top right of the image",
    "Tumor in the breast ultrasound image.",
    "it's a 2-chamber view;  left   ventricle (myocardium)!",
    "naïve Café 肺 µm",
    "word " * 100,
]


@pytest.fixture(scope="module")
def model():
    return load_model("clipseg", config=TINY, device="cpu")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Transformers' own class with random weights, and the folder that it saved itself into."""
    from transformers import CLIPSegConfig, CLIPSegForImageSegmentation

    config = load_model("clipseg", config=TINY, device="cpu").config
    with torch.random.fork_rng():
        torch.manual_seed(4)
        network = CLIPSegForImageSegmentation(CLIPSegConfig.from_dict(merge(config, {}))).eval()
    folder = tmp_path_factory.mktemp("transformers")
    network.save_pretrained(folder)
    return network, folder


def pixels(batch=2, size=64, seed=0):
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(seed))


class TestTransformers:
    @pytest.mark.parametrize("size", [64, 96, 48])
    def test_logits_are_those_of_the_original_forward(self, whole, size):
        original, folder = whole
        ours = load_model("clipseg", folder, device="cpu")
        tokens = ours.tokenize(PROMPTS[2:4])
        with torch.inference_mode():
            theirs = original(pixel_values=pixels(size=size), **tokens._asdict()).logits[:, None]
            found = ours.network(pixels(size=size), *tokens)
        assert found.shape == (2, 1, size, size)
        scale = float(theirs.abs().max())
        torch.testing.assert_close(found, theirs, atol=1e-6 * max(scale, 1), rtol=0)

    def test_a_folder_tells_its_whole_configuration(self, whole):
        ours = load_model("clipseg", whole[1], device="cpu")
        assert ours.config == load_model("clipseg", config=TINY, device="cpu").config
        assert ours.provenance["sha256"].keys() == {"model.safetensors"}

    def test_fields_that_a_config_file_leaves_out_are_those_of_transformers(self, whole, tmp_path):
        (tmp_path / "model.safetensors").write_bytes((whole[1] / "model.safetensors").read_bytes())
        document = json.loads((whole[1] / "config.json").read_text())
        document["text_config"].pop("eos_token_id", None)
        (tmp_path / "config.json").write_text(json.dumps(document))
        assert load_model("clipseg", tmp_path, device="cpu").config["text_config"]["eos_token_id"] == 49407

    def test_preprocessing_beside_the_weights_is_followed(self, whole, tmp_path):
        for name in ("model.safetensors", "config.json"):
            (tmp_path / name).write_bytes((whole[1] / name).read_bytes())
        stated = {"size": {"height": 80, "width": 80}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "resample": 3}
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(stated))
        prepare = load_model("clipseg", tmp_path, device="cpu").preprocess
        assert (prepare.image_size, prepare.mean, prepare.interpolation) == (80, (0.5, 0.5, 0.5), "bicubic")

    def test_a_bare_file_needs_only_what_shapes_do_not_tell(self, whole, tmp_path):
        path = tmp_path / "weights.bin"
        torch.save({f"net.clipseg.{k}": v for k, v in whole[0].state_dict().items()}, path)
        told = {"extract_layers": [0, 1, 2], "vision_config": {"num_attention_heads": 4}}
        ours = load_model("clipseg", path, config={**told, "text_config": {"num_attention_heads": 4}}, device="cpu")
        assert ours.config == load_model("clipseg", whole[1], device="cpu").config

    def test_a_config_that_the_shapes_contradict_is_refused(self, whole):
        with pytest.raises(InputError, match="reduce_dim is 99, but the checkpoint's shapes say 16"):
            load_model("clipseg", whole[1], reduce_dim=99, device="cpu")


class TestParts:
    def test_layers_beyond_the_last_extracted_one_are_not_run(self, model):
        layers = model.network.clip.vision_model.encoder.layers
        ran = []
        hooks = [layer.register_forward_hook(lambda *_, i=i: ran.append(i)) for i, layer in enumerate(layers)]
        with torch.inference_mode():
            model.network.encode_image(pixels())
        for hook in hooks:
            hook.remove()
        assert ran == [0, 1, 2]
        assert len(layers) == 4

    def test_gradients_reach_both_encoders(self, model):
        tokens = model.tokenize(PROMPTS[:2])
        model.network.zero_grad()
        model.network(pixels(), *tokens).square().sum().backward()
        for part in (model.network.clip.vision_model.embeddings, model.network.clip.text_model.embeddings):
            assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())
        model.network.zero_grad()

    def test_trimmed_texts_give_the_code_of_the_full_context(self, model):
        with torch.inference_mode():
            trimmed = model.encode_text(PROMPTS[:1]).tensors
            full = model.network.encode_text(*model.tokenize(PROMPTS[:1]))
        for ours, expected in zip(trimmed, full, strict=True):
            torch.testing.assert_close(ours, expected, atol=1e-5, rtol=0)

    def test_a_batch_of_one_keeps_its_axes(self, model):
        with torch.inference_mode():
            assert model.network(pixels(1), *model.tokenize(["a"])).shape == (1, 1, 64, 64)

    def test_published_sizes_are_the_default(self):
        from robustness.runners.models.clipseg.entry import ClipSegModel

        prepare = ClipSegModel().preprocess(ClipSegModel().default_config())
        assert (prepare.image_size, prepare.context_length, prepare.threshold) == (352, 77, 0.5)


class TestTokenizer:
    def test_the_vocabulary_is_that_of_open_clip(self):
        from open_clip.tokenizer import SimpleTokenizer

        theirs = SimpleTokenizer()
        vocabulary, merges = clip_vocabulary()
        assert len(vocabulary) == 49408
        assert list(vocabulary.values()) == list(range(49408))
        assert [vocabulary[k] for k in ("<|startoftext|>", "<|endoftext|>")] == [49406, 49407]
        special = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
        assert {special.get(k, k): v for k, v in theirs.encoder.items()} == vocabulary
        assert {pair: rank for rank, pair in enumerate(merges)} == theirs.bpe_ranks

    @pytest.mark.parametrize("prompt", PROMPTS)
    def test_ids_are_those_of_open_clip(self, prompt):
        from open_clip.tokenizer import SimpleTokenizer

        theirs = SimpleTokenizer()([prompt])[0]
        ids, mask = ClipTokenizer()([prompt])
        assert ids.shape == mask.shape == (1, 77)
        assert ids[0, mask[0].bool()].tolist() == theirs[: int(mask.sum())].tolist()
        assert theirs[int(mask.sum()) :].sum() == 0

    def test_known_ids(self):
        ids, mask = ClipTokenizer(context_length=8)(["a photo of the cat"])
        assert ids.tolist() == [[49406, 320, 1125, 539, 518, 2368, 49407, 49407]]
        assert mask.tolist() == [[1, 1, 1, 1, 1, 1, 1, 0]]

    def test_a_long_text_keeps_its_end_token_last(self):
        tokenizer = ClipTokenizer(context_length=10)
        ids, mask = tokenizer(["word " * 100])
        assert ids.shape == (1, 10)
        assert ids[0, -1] == 49407
        assert (ids[0, 1:-1] == 2653).all()
        assert mask.all()
        assert tokenizer.count("word " * 100) == 102

    def test_files_beside_the_checkpoint_are_preferred(self, whole, tmp_path):
        for name in ("model.safetensors", "config.json"):
            (tmp_path / name).write_bytes((whole[1] / name).read_bytes())
        pieces = ["<|startoftext|>", "<|endoftext|>", "p", "o", "p</w>", "o</w>", "po</w>"]
        (tmp_path / "vocab.json").write_text(json.dumps({piece: n for n, piece in enumerate(pieces)}))
        (tmp_path / "merges.txt").write_text("#version: 0.2\np o</w>\n")
        ids, mask = load_model("clipseg", tmp_path, device="cpu").tokenize(["po"])
        assert ids[0, mask[0].bool()].tolist() == [0, 6, 1]

    def test_a_network_with_another_vocabulary_asks_for_its_files(self):
        small = load_model("clipseg", config={**TINY, "text_config": {"vocab_size": 600}}, device="cpu")
        with pytest.raises(InputError, match="tokenizer=PATH"):
            small.tokenize(["a"])

    def test_files_that_are_no_tokenizer_are_named(self, tmp_path):
        (tmp_path / "tokenizer.json").write_text("{}")
        with pytest.raises(InputError, match="no CLIP tokenizer"):
            ClipTokenizer(folder=tmp_path)(["a"])


class TestGolden:
    """The golden vectors of the development data: formula weights, reference logits."""

    STYLES = ("plain", "legacy", "module", "lightning", "safetensors")

    @pytest.fixture
    def kit(self, shared, monkeypatch):
        monkeypatch.syspath_prepend(str(shared / "checkpoints"))
        import golden
        import make_checkpoint

        return golden, make_checkpoint, shared / "checkpoints" / "golden"

    def check(self, kit, name, style, tmp_path, config):
        golden, make_checkpoint, folder = kit
        document, arrays = golden.load(folder / f"{name}.json")
        path = self.write(make_checkpoint.build(document, style), style, tmp_path)
        ours = load_model("clipseg", path, config=config and document["config"], device="cpu")
        for case in document["cases"]:
            inputs = (None if a is None else torch.from_numpy(a) for a in golden.inputs(document, case))
            with torch.inference_mode():
                logits = ours.network(*inputs).numpy()
            assert np.std(logits) > 0.1
            difference, tolerance = golden.compare(document, arrays, case, logits)
            assert difference <= tolerance, (name, style, case["name"], difference, tolerance)

    @staticmethod
    def write(content, style, tmp_path: Path) -> Path:
        path = tmp_path / "weights"
        if style == "safetensors":
            from safetensors.torch import save_file

            save_file(dict(content), path)
        else:
            torch.save(content, path)
        return path

    @pytest.mark.parametrize("style", STYLES)
    @pytest.mark.parametrize("name", ["clipseg_tiny", "clipseg_tiny_simple_head"])
    def test_tiny_networks_in_every_form(self, kit, name, style, tmp_path):
        self.check(kit, name, style, tmp_path, config=True)

    @pytest.mark.slow
    def test_the_full_size_network_needs_no_config(self, kit, tmp_path):
        self.check(kit, "clipseg_rd64_refined", "lightning", tmp_path, config=False)
