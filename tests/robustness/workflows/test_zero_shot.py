"""An audit of pretrained weights from the command line: no finetuning, a folder as transformers writes it."""

import json

import pytest
import torch

import robustness as rb
from robustness.cli import main as cli
from robustness.runners.models.entry import merge
from robustness.runners.models.load import load_model
from tests.synthetic import write_dataset

PLAN = """
seed = 1
[[model]]
name = "clipseg"
checkpoint = "weights/clipseg"
[[model]]
name = "sam3"
checkpoint = "weights/sam3"
options = {{ score_threshold = 0.01 }}
[data]
path = "{data}"
prompt = "p2"
[perturbations]
prompt = ["antonym:side", "empty"]
image = {{ kinds = ["gaussian_noise"], severities = [1] }}
[metrics]
names = ["dice"]
[statistics]
resamples = 99
[engine]
cache = "{cache}"
"""


@pytest.fixture
def folder(tmp_path):
    """A plan beside the folders of two networks with random weights."""
    from transformers import CLIPSegConfig, CLIPSegForImageSegmentation

    config = load_model("clipseg", config={"preset": "tiny"}, device="cpu").config
    with torch.random.fork_rng():
        torch.manual_seed(4)
        CLIPSegForImageSegmentation(CLIPSegConfig.from_dict(merge(config, {}))).save_pretrained(
            tmp_path / "weights" / "clipseg"
        )
    sam = load_model("sam3", config={"preset": "tiny"}, device="cpu")
    sam.network._whole[0].save_pretrained(tmp_path / "weights" / "sam3")
    data = write_dataset(tmp_path / "set", images=3)
    (tmp_path / "plan.toml").write_text(PLAN.format(data=data.as_posix(), cache=(tmp_path / "codes").as_posix()))
    return tmp_path


@pytest.mark.slow
def test_pretrained_folders_are_audited_from_a_plan(folder, monkeypatch, capsys, tmp_path_factory):
    # From another folder: the plan's own one is where its paths are looked up.
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    out = folder / "run"
    monkeypatch.setattr("sys.argv", ["robustness", "audit", str(folder / "plan.toml"), "--out", str(out)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 0, capsys.readouterr().err
    run = rb.open_run(out)
    rows = run.results()
    assert set(rows["model"]) == {"clipseg", "sam3"}
    assert (rows["error"] == "").all()
    assert set(rows["condition"]) == {"clean", "rerun", "antonym:side", "empty", "image:gaussian_noise@1"}
    manifest = json.loads((out / "manifest.json").read_text())
    for model, side in zip(manifest["models"], (64, 56), strict=True):
        assert list(model["weights"]["sha256"]) == ["model.safetensors"]
        assert model["preprocess"]["image_size"] == side
    assert len(list((folder / "codes").glob("*"))) == 2
    assert (out / "report.html").is_file()
