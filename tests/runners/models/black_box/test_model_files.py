"""The adapter files of models whose code is no package: what they send to the authors' code, and what they take back.

A stand-in with the interface of the authors' code takes the place of each network.
"""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

import robustness as rb
from robustness.runners.inference.engine import Engine
from robustness.runners.inference.request import Request
from robustness.runners.models.black_box.python_file import load_attribute

ROOT = Path(__file__).resolve().parents[4]
FOLDER = ROOT / "examples" / "models"
IMAGES = [
    np.random.default_rng(n).integers(0, 256, size).astype(np.uint8)
    for n, size in enumerate([(40, 60, 3), (64, 32, 3)])
]
PROMPT = "one small pink round polyp located in the top right"


def predictor(name):
    return load_attribute(f"{FOLDER / name}.py:Predictor")[0]


def predicted(model, prompts=(PROMPT,)):
    requests = [Request(image, str(n), text) for n, image in enumerate(IMAGES) for text in prompts]
    return list(Engine(model).predict(requests))


def test_each_file_has_a_factory_for_a_plan():
    assert {path.stem for path in FOLDER.glob("*.py")} == {"biomedparse", "lvit", "medclipseg"}
    for path in FOLDER.glob("*.py"):
        assert callable(load_attribute(f"{path}:make")[0])


class TestBiomedParse:
    def test_maps_of_another_size_are_resized_back(self):
        calls = []

        def infer(image, prompts):
            calls.append(prompts)
            grey = np.asarray(image.resize((image.width * 2, image.height * 2)), np.float32).mean(-1) / 255
            return np.stack([grey] * len(prompts)), ["polyp"] * len(prompts)

        maps = predicted(rb.segmenter(predictor("biomedparse")(infer), name="biomedparse"), (PROMPT, "a polyp"))
        assert [m.shape for m in maps] == [(40, 60)] * 2 + [(64, 32)] * 2
        assert all(len(prompts) == 1 for prompts in calls)
        assert np.corrcoef(maps[0].ravel(), IMAGES[0].mean(-1).ravel())[0, 1] > 0.9

    def test_it_counts_the_ids_of_its_text_encoder(self):
        count, _ = load_attribute(f"{FOLDER / 'biomedparse.py'}:count")
        assert count("a polyp") < 8
        assert count(f"{PROMPT} " * 10) > 77


class Network(torch.nn.Module):
    """Answers with the blue channel, times the number of words that it was given."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.seen = []

    def forward(self, image, text):
        self.seen.append((image, text))
        return image[:, :1] * self.weight


class TestLViT:
    def model(self):
        network = Network()
        embed = lambda text: np.stack([np.full(768, len(word)) for word in text.split()])  # noqa: E731
        resize = lambda image, size: np.asarray(image)[: size[1], : size[0]].repeat(8, 0)[:224].repeat(8, 1)[:, :224]  # noqa: E731
        made = predictor("lvit")(network, embed, resize)
        return network, rb.segmenter(made, name="lvit", image_size=224, max_words=10)

    def test_blue_comes_first_and_ten_words_are_read(self):
        network, model = self.model()
        maps = predicted(model)
        assert [m.shape for m in maps] == [(40, 60), (64, 32)]
        image, text = network.seen[0]
        assert image.shape[1:] == (3, 224, 224)
        assert torch.equal(image[0, 0, 0, 0], torch.tensor(IMAGES[0][0, 0, 2] / 255, dtype=torch.float32))
        assert text.shape[1:] == (10, 768)
        assert model.cut_texts([PROMPT, f"{PROMPT} of it"]) == [f"{PROMPT} of it"]

    def test_a_shorter_prompt_is_an_error_of_its_pair_alone(self):
        _, model = self.model()
        images, texts = model.encode_image([IMAGES[0]] * 2), model.encode_text([PROMPT, "a polyp"])
        good, bad = model.outcomes(images, texts, [(40, 60)] * 2)
        assert good.shape == (40, 60)
        assert "LViT reads exactly 10 words, got 2" in str(bad)


class Random(torch.nn.Module):
    """Noise around the mean of the image, more of it for longer prompts."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, image, text, num_samples):
        noise = torch.randn(num_samples, len(image), *image.shape[-2:])
        return noise + image.mean(1) + len(text[0]) / 100


class TestMedClipSeg:
    def model(self, **options):
        settings = {"size": 32, "mean": [0.5] * 3, "std": [0.25] * 3, "bgr": True, "samples": 4, **options}
        return rb.segmenter(predictor("medclipseg")(Random(), **settings), name="medclipseg", image_size=32)

    def test_a_pair_gives_the_same_map_in_any_batch(self):
        one, other = predicted(self.model(), (PROMPT, "a polyp")), predicted(self.model(), ("a polyp", PROMPT))
        np.testing.assert_array_equal(one[0], other[1])
        np.testing.assert_array_equal(one[3], other[2])

    def test_two_prompts_of_an_image_see_the_same_draws(self):
        long, short = predicted(self.model(samples=1), (PROMPT, "a polyp"))[:2]
        change = torch.logit(torch.from_numpy(long).double()) - torch.logit(torch.from_numpy(short).double())
        assert float(change.mean()) == pytest.approx((len(PROMPT) - len("a polyp")) / 100, abs=0.05)
        assert float(change.std()) < 0.1

    def test_the_caller_s_generator_stays_as_it_is(self):
        torch.manual_seed(0)
        before = torch.get_rng_state()
        predicted(self.model())
        assert torch.equal(before, torch.get_rng_state())


def onnx_graph(path, side):
    """Write a graph: how bright pixels are above their mean, less a little for each number of the prompt."""
    onnx = pytest.importorskip("onnx", reason="ONNX graphs are written by onnx, which is no dependency")
    helper, kind = onnx.helper, onnx.TensorProto
    nodes = [
        helper.make_node("ReduceMean", ["pixels", "channels"], ["gray"], keepdims=1),
        helper.make_node("Cast", ["ids"], ["numbers"], to=kind.FLOAT),
        helper.make_node("ReduceMax", ["numbers", "words"], ["last"], keepdims=0),
        helper.make_node("Mul", ["last", "small"], ["offset"]),
        helper.make_node("Sub", ["gray", "offset"], ["logits"]),
    ]
    constants = [
        helper.make_tensor("channels", kind.INT64, [1], [1]),
        helper.make_tensor("words", kind.INT64, [1], [1]),
        helper.make_tensor("small", kind.FLOAT, [], [1e-6]),
    ]
    inputs = [
        helper.make_tensor_value_info("pixels", kind.FLOAT, [1, 3, side, side]),
        helper.make_tensor_value_info("ids", kind.INT64, [1, 77]),
    ]
    outputs = [helper.make_tensor_value_info("logits", kind.FLOAT, [1, 1, side, side])]
    graph = helper.make_graph(nodes, "vendor", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def test_the_onnx_example_of_the_documents_runs(tmp_path):
    pytest.importorskip("onnxruntime", reason="the runtime of ONNX is no dependency")
    text = (ROOT / "docs" / "models.md").read_text("utf-8")
    block = re.search(r"```python\n(# onnx_model\.py\n.*?)```", text, re.DOTALL)
    (tmp_path / "onnx_model.py").write_text(block[1], encoding="utf-8")
    onnx_graph(tmp_path / "model.onnx", side=32)
    weights = {"weights": str(tmp_path / "model.onnx")}
    checkpoint = f"{tmp_path / 'onnx_model.py'}:make"
    model = rb.load_model("python", checkpoint=checkpoint, arguments=weights, returns="logits", image_size=32)
    image = np.zeros((40, 60, 3), np.uint8)
    image[10:30, 20:50] = 255
    codes = model.encode_image([image]), model.encode_text(["one polyp"])
    (found,) = model.probabilities(*codes, [(40, 60)])
    assert found.shape == (40, 60)
    assert np.array_equal(found[12:28, 22:48] > 0.5, np.ones((16, 26), bool))
    assert not (found[:8] > 0.5).any()
