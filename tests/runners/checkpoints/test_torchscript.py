"""Weights come out of TorchScript archives without their code."""

import pickle
import zipfile

import pytest
import torch

from robustness.errors import InputError
from robustness.runners.checkpoints.torchscript import read_torchscript

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")


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
