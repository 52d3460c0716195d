"""Every form of checkpoint loads, and nothing in a checkpoint is executed."""

import functools
import io
import json
import os
import pickle
import subprocess
import sys
import types
import zipfile
from collections import OrderedDict

import pytest
import torch
from safetensors.torch import save_file

from robustness.errors import InputError
from robustness.runners.checkpoints import checkpoint as checkpoints
from robustness.runners.checkpoints import safe_pickle
from robustness.runners.checkpoints.checkpoint import load_strict, open_checkpoint, save_checkpoint
from robustness.runners.models.load import load_model

PREFIXES = ("module.", "net.", "net.inner.")


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(OrderedDict(first=torch.nn.Linear(3, 4), norm=torch.nn.BatchNorm1d(4)))


@pytest.fixture
def state():
    with torch.random.fork_rng():
        return network().state_dict()


def prefixed(state, prefix):
    return OrderedDict((prefix + k, v) for k, v in state.items())


def foreign(module, name):
    """An object of a class that cannot be imported where the file is read."""
    return type(name, (torch.nn.Module,), {"__module__": module})


def lightning(state, prefix, **extra):
    return {
        "epoch": 3,
        "pytorch-lightning_version": "2.0.0",
        "state_dict": prefixed(state, prefix),
        "optimizer_states": [{"state": {}, "param_groups": []}],
        "hyper_parameters": {
            "optimizer": functools.partial(torch.optim.AdamW, lr=2e-4),
            "threshold": 0.35,
            "names": {"a", "b"},
            **extra,
        },
    }


WRITERS = {
    "bare": lambda s: s,
    "legacy position ids": lambda s: {**s, "text.embeddings.position_ids": torch.arange(77)[None]},
    "state_dict": lambda s: {"state_dict": s, "epoch": 2},
    "model": lambda s: {"model": s},
    "module.": lambda s: {"state_dict": prefixed(s, "module."), "best_iou": 0.5, "optimizer": {"state": {}}},
    "net.": lambda s: lightning(s, "net."),
    "net.inner.": lambda s: lightning(s, "net.inner."),
    "module.net.": lambda s: prefixed(s, "module.net."),
}


def loads(path, state):
    opened = open_checkpoint(path, model="toy", prefixes=PREFIXES)
    fresh = network()
    with torch.no_grad():
        for parameter in fresh.parameters():
            parameter.zero_()
    load_strict(fresh, opened, model="toy")
    return opened, all(torch.equal(v, state[k]) for k, v in fresh.state_dict().items())


@pytest.mark.parametrize("legacy_format", [False, True], ids=["zip", "pickle"])
@pytest.mark.parametrize("form", list(WRITERS))
def test_each_wrapper_in_each_pytorch_format_loads(tmp_path, state, form, legacy_format):
    path = tmp_path / "weights.of.any.name"
    torch.save(WRITERS[form](state), path, _use_new_zipfile_serialization=not legacy_format)
    opened, equal = loads(path, state)
    assert equal
    assert opened.threshold == (0.35 if form.startswith("net.") else None)


def test_safetensors_are_known_by_content(tmp_path, state):
    path = tmp_path / "weights.pt"
    save_file(dict(state), path)
    assert loads(path, state)[1]


def test_half_precision_weights_become_float32(tmp_path, state):
    path = tmp_path / "half.pt"
    torch.save({k: v.half() if v.is_floating_point() else v for k, v in state.items()}, path)
    fresh = network()
    load_strict(fresh, open_checkpoint(path, model="toy"), model="toy")
    assert fresh.first.weight.dtype == torch.float32


def test_a_folder_with_one_weight_file_and_a_folder_of_shards_load(tmp_path, state):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "notes.txt").write_text("not weights")
    torch.save(state, tmp_path / "one" / "best.ckpt")
    assert loads(tmp_path / "one", state)[1]
    parts = tmp_path / "shards"
    parts.mkdir()
    table = {}
    for number, (key, value) in enumerate(state.items()):
        name = f"model-{number:05d}.safetensors"
        save_file({key: value}, parts / name)
        table[key] = name
    (parts / "model.safetensors.index.json").write_text(json.dumps({"weight_map": table}))
    opened, equal = loads(parts, state)
    assert equal
    assert len(opened.provenance()["sha256"]) == len(state)


def test_several_weight_files_need_a_choice(tmp_path, state):
    for name in ("best.ckpt", "last.ckpt"):
        torch.save(state, tmp_path / name)
    with pytest.raises(InputError, match=r"best\.ckpt, last\.ckpt"):
        open_checkpoint(tmp_path, model="toy")


class TestForeignClasses:
    def test_classes_that_cannot_be_imported_are_stood_in_for(self, tmp_path, state, monkeypatch):
        for module, name in (("monai_absent.losses.dice", "DiceCELoss"), ("src_absent.tuned", "TunedDiceLoss")):
            parts = module.split(".")
            for depth in range(1, len(parts) + 1):
                monkeypatch.setitem(sys.modules, ".".join(parts[:depth]), types.ModuleType(".".join(parts[:depth])))
            monkeypatch.setattr(sys.modules[module], name, foreign(module, name), raising=False)
        loss = sys.modules["monai_absent.losses.dice"].DiceCELoss()
        other = sys.modules["src_absent.tuned"].TunedDiceLoss()
        path = tmp_path / "best.ckpt"
        torch.save(lightning(state, "net.", loss_fn=loss, other=other), path)
        for module in [m for m in sys.modules if m.startswith(("monai_absent", "src_absent"))]:
            monkeypatch.delitem(sys.modules, module)
        opened, equal = loads(path, state)
        assert equal
        assert opened.threshold == 0.35
        assert not any(m.startswith(("monai_absent", "src_absent")) for m in sys.modules)

    @pytest.mark.parametrize("legacy_format", [False, True], ids=["zip", "pickle"])
    def test_a_whole_pickled_module_gives_its_weights(self, tmp_path, state, legacy_format):
        with torch.random.fork_rng():
            module = network()
        torch.save(module, tmp_path / "module.pt", _use_new_zipfile_serialization=not legacy_format)
        assert loads(tmp_path / "module.pt", state)[1]


class Calls:
    """Pickles as a call of `function` with `arguments`."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def hostile(marker):
    touch = f"open({str(marker)!r}, 'w').close()"
    return {
        "posix.system": Calls(os.system, f"touch {marker}"),
        "builtins.exec": Calls(exec, touch),
        "builtins.eval": Calls(eval, touch),
        "builtins.getattr": Calls(getattr, "os", "system"),
        "builtins.__import__": Calls(__import__, "os"),
        "builtins.open": Calls(open, str(marker), "w"),
        "subprocess.Popen": Calls(subprocess.Popen, ["touch", str(marker)]),
        "subprocess.check_output": Calls(subprocess.check_output, ["touch", str(marker)]),
        "torch.load": Calls(torch.load, str(marker)),
        "torch.hub.load": Calls(torch.hub.load, "a", "b"),
        "robustness.files.write_text": Calls(sys.modules["robustness.files"].write_text, marker, "x"),
    }


@pytest.mark.parametrize("module", ["pathlib", "pathlib._local"], ids=["3.12", "3.13"])
def test_paths_among_hyperparameters_are_read_whichever_python_wrote_them(tmp_path, state, monkeypatch, module):
    kind = type("PosixPath", (), {"__module__": module, "__reduce__": lambda self: (type(self), ("data", "brain"))})
    home = types.ModuleType(module)
    home.PosixPath = kind
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, module, home)
        torch.save(lightning(state, "net.", root=kind()), tmp_path / "best.ckpt")
    assert loads(tmp_path / "best.ckpt", state)[1]


@pytest.mark.parametrize("legacy_format", [False, True], ids=["zip", "pickle"])
@pytest.mark.parametrize("name", list(hostile("x")))
def test_a_pickle_that_calls_something_is_refused_by_name(tmp_path, state, name, legacy_format):
    marker = tmp_path / "executed"
    content = {"state_dict": dict(state), "payload": hostile(marker)[name]}
    torch.save(content, tmp_path / "bad.ckpt", _use_new_zipfile_serialization=not legacy_format)
    # Pickle names a function by the module that it lives in: open is io.open.
    with pytest.raises(InputError, match=rf"wants to call \S*{name.rpartition('.')[2]}, .*refused"):
        open_checkpoint(tmp_path / "bad.ckpt", model="toy")
    assert not marker.exists()


@pytest.mark.parametrize(
    "stream",
    [
        b"cos\nsystem\n(S'touch {m}'\ntR.",
        b"(S'touch {m}'\nios\nsystem\n.",
        b"(cos\nsystem\nS'touch {m}'\no.",
        b"\x80\x02cos\nsystem\n(X\x01\x00\x00\x00at\x81.",
    ],
    ids=["REDUCE", "INST", "OBJ", "NEWOBJ"],
)
def test_every_opcode_that_calls_is_refused(tmp_path, stream):
    marker = tmp_path / "executed"
    with pytest.raises(safe_pickle.RefusedPickle, match=r"os\.system"):
        safe_pickle.load(io.BytesIO(stream.replace(b"{m}", str(marker).encode())))
    assert not marker.exists()


def test_a_stand_in_never_runs_the_state_of_its_class():
    class Loud:
        def __setstate__(self, state):
            raise RuntimeError("ran")

    Loud.__module__, Loud.__qualname__ = "tests_loud", "Loud"
    sys.modules["tests_loud"] = types.ModuleType("tests_loud")
    sys.modules["tests_loud"].Loud = Loud
    try:
        blob = pickle.dumps({"a": [Loud()] and Calls(Loud), "b": Calls(functools.partial, Loud, 3)})
        found = safe_pickle.load(io.BytesIO(blob))
    finally:
        del sys.modules["tests_loud"]
    assert all(isinstance(v, safe_pickle.StandIn) for v in found.values())


def test_a_tensor_beyond_its_storage_is_refused():
    storage = torch.storage.TypedStorage(
        wrap_storage=torch.zeros(4).untyped_storage(), dtype=torch.float32, _internal=True
    )
    assert safe_pickle.rebuild_tensor(storage, 0, (2, 2), (2, 1)).shape == (2, 2)
    for offset, size, stride in ((0, (5,), (1,)), (3, (2,), (1,)), (0, (2, 2), (4, 1)), (-1, (2,), (1,))):
        with pytest.raises(pickle.UnpicklingError):
            safe_pickle.rebuild_tensor(storage, offset, size, stride)


class TestBadFiles:
    @pytest.mark.parametrize("form", ["zip", "pickle", "safetensors"])
    @pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
    def test_a_truncated_file_is_one_clear_error(self, tmp_path, state, form, share):
        path = tmp_path / "weights"
        if form == "safetensors":
            save_file(dict(state), path)
        else:
            torch.save(state, path, _use_new_zipfile_serialization=form == "zip")
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
        with pytest.raises(InputError, match="checkpoint: ") as caught:
            open_checkpoint(path, model="toy")
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        "content", [b"", b"version https://git-lfs.github.com/spec/v1\n", b"\x80\x02.", b"PK\x03\x04"]
    )
    def test_a_file_that_is_no_checkpoint_is_refused(self, tmp_path, content):
        (tmp_path / "weights.pt").write_bytes(content)
        with pytest.raises(InputError, match="checkpoint: "):
            open_checkpoint(tmp_path / "weights.pt", model="toy")

    def test_a_compressed_archive_is_refused(self, tmp_path, state):
        torch.save(state, tmp_path / "a.pt")
        with (
            zipfile.ZipFile(tmp_path / "a.pt") as old,
            zipfile.ZipFile(tmp_path / "b.pt", "w", zipfile.ZIP_DEFLATED) as new,
        ):
            for member in old.namelist():
                new.writestr(member, old.read(member))
        with pytest.raises(InputError, match="compressed"):
            open_checkpoint(tmp_path / "b.pt", model="toy")

    @pytest.mark.parametrize(
        "name", ["nowhere.pt", "/nowhere/at/all", "a b/c", "../up", "runs/best.ckpt", "tests/nowhere"]
    )
    def test_a_path_that_is_not_there_is_refused(self, name, root, monkeypatch):
        monkeypatch.chdir(root)
        with pytest.raises(InputError, match="found none at"):
            open_checkpoint(name, model="toy")

    def test_a_hub_that_cannot_be_reached_is_one_line(self, monkeypatch):
        import huggingface_hub

        def unreachable(*args, **kwargs):
            raise ConnectionError("no route\nto host")

        monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
        with pytest.raises(InputError, match=r"'owner/name' is no path here.*no route\)"):
            open_checkpoint("owner/name", model="toy")

    def test_a_hub_name_is_fetched_and_read(self, tmp_path, state, monkeypatch):
        import huggingface_hub

        asked = []
        torch.save(state, tmp_path / "pytorch_model.bin")
        monkeypatch.setattr(
            huggingface_hub,
            "snapshot_download",
            lambda name, allow_patterns: asked.append(allow_patterns) or str(tmp_path),
        )
        opened = open_checkpoint("owner/name", model="toy")
        assert opened.source == "owner/name"
        assert asked[-1] == ["*.bin"]
        assert set(opened.state) == set(state)


class TestStrictLoading:
    def test_differences_are_listed_by_name_and_shape_on_one_line(self, tmp_path, state):
        changed = dict(state)
        del changed["first.bias"]
        changed["extra.weight"] = torch.zeros(2, 3)
        changed["first.weight"] = torch.zeros(4, 5)
        torch.save(changed, tmp_path / "w.pt")
        with pytest.raises(InputError) as caught:
            load_strict(network(), open_checkpoint(tmp_path / "w.pt", model="toy"), model="toy")
        message = str(caught.value)
        assert "1 missing (first.bias [4])" in message
        assert "1 unexpected (extra.weight [2, 3])" in message
        assert "1 mismatched (first.weight expected [4, 3] got [4, 5])" in message
        assert "\n" not in message

    def test_long_lists_are_shortened(self, tmp_path):
        torch.save({f"k{i}": torch.zeros(1) for i in range(50)}, tmp_path / "w.pt")
        with pytest.raises(InputError, match=r"50 unexpected \(k0 \[1\].*and 45 more\)"):
            load_strict(network(), open_checkpoint(tmp_path / "w.pt", model="toy"), model="toy")

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_weights_that_are_not_finite_are_refused(self, tmp_path, state, value):
        state["first.weight"][1, 2] = value
        torch.save(state, tmp_path / "w.pt")
        with pytest.raises(InputError, match=r"NaN or infinity in first\.weight"):
            load_strict(network(), open_checkpoint(tmp_path / "w.pt", model="toy"), model="toy")


class TestOwnFormat:
    @pytest.mark.slow
    def test_a_saved_segmenter_comes_back_whole(self, tmp_path):
        saved = load_model("film-unet", device="cpu", seed=3, threshold=0.4)
        folder = save_checkpoint(tmp_path / "own", saved, trained_on={"dataset": "toy"})
        loaded = load_model("film-unet", folder, device="cpu")
        assert loaded.config == saved.config
        assert loaded.preprocess == saved.preprocess
        assert loaded.threshold == 0.4
        assert loaded.provenance["trained_on"] == {"dataset": "toy"}
        assert len(loaded.provenance["sha256"]["model.safetensors"]) == 64
        weights = loaded.network.state_dict()
        assert all(torch.equal(v, weights[k]) for k, v in saved.network.state_dict().items())
        pixels = torch.randn(1, 3, saved.image_size, saved.image_size, generator=torch.Generator().manual_seed(0))
        tokens = saved.tokenize(["left ventricle"])
        with torch.inference_mode():
            assert torch.equal(
                saved.network(pixels, *tokens), loaded.network(pixels, *loaded.tokenize(["left ventricle"]))
            )

    def test_another_architecture_is_named_with_its_keys(self, tmp_path):
        folder = save_checkpoint(tmp_path / "own", load_model("film-unet", device="cpu"))
        (folder / checkpoints.CONFIG).unlink()
        with pytest.raises(InputError, match=r"does not hold a clipseg network: \d+ missing .*\d+ unexpected"):
            load_model("clipseg", folder, config={"preset": "tiny"}, device="cpu")

    def test_a_damaged_config_is_named(self, tmp_path):
        folder = save_checkpoint(tmp_path / "own", load_model("film-unet", device="cpu"))
        (folder / checkpoints.CONFIG).write_text("{")
        with pytest.raises(InputError, match=r"config\.json is not valid JSON"):
            load_model("film-unet", folder, device="cpu")
