"""What a checkpoint may ask for: storages no larger than their file, networks no larger than their weights."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch

from robustness.errors import InputError
from robustness.registry import MODELS
from robustness.runners.checkpoints.checkpoint import save_checkpoint
from robustness.runners.checkpoints.memory_bound import MemoryDemandError, check_pickles
from robustness.runners.checkpoints.network_bound import NetworkDemandError, check_network
from robustness.runners.checkpoints.weight_files import read_weights
from robustness.runners.models.load import load_model

# Four terabytes of float32: nothing that a machine could take before it is refused.
MANY = 1 << 40
NETWORKS = ("film-unet", "clipseg", "biomedclipseg", "cris", "unet", "sam3", "grounded-sam")


class Storage:
    """Pickles as a storage of 32-bit numbers that states its own size."""

    def __init__(self, count: int) -> None:
        self.count = count


class _Pickler(pickle.Pickler):
    def __init__(self, stream: io.BytesIO, *more: Any) -> None:
        super().__init__(stream, protocol=2)
        self.more = more

    def persistent_id(self, value: Any) -> Any:
        return ("storage", torch.FloatStorage, "0", "cpu", value.count, *self.more) if type(value) is Storage else None


class Tensor:
    """Pickles as a tensor of two numbers over a storage."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage

    def __reduce__(self) -> Any:
        rebuild = torch._utils._rebuild_tensor_v2
        return rebuild, (self.storage, 0, (2,), (1,), False, OrderedDict())


def archive(path: Path, count: int) -> Path:
    """Write the form of today: a zip archive whose pickle names its storages."""
    stream = io.BytesIO()
    _Pickler(stream).dump({"weight": Tensor(Storage(count))})
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", stream.getvalue())
        file.writestr("archive/byteorder", "little")
        file.writestr("archive/data/0", bytes(8))
        file.writestr("archive/version", "3\n")
    return path


def pickles(path: Path, count: int) -> Path:
    """Write the old form: five pickles, then the storages."""
    stream = io.BytesIO()
    machine = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    for value in (0x1950A86A20F9469CFC6C, 1001, machine):
        pickle.dump(value, stream, protocol=2)
    _Pickler(stream, None).dump({"weight": Tensor(Storage(count))})
    pickle.dump(["0"], stream, protocol=2)
    path.write_bytes(stream.getvalue() + (2).to_bytes(8, "little") + bytes(8))
    return path


class TestStorages:
    @pytest.mark.parametrize("write", [archive, pickles])
    def test_an_honest_size_is_read(self, write: Any, tmp_path: Path) -> None:
        assert torch.equal(read_weights(write(tmp_path / "weights.pt", 2))["weight"], torch.zeros(2))

    @pytest.mark.parametrize("write", [archive, pickles])
    @pytest.mark.parametrize("count", [MANY, 100_000])
    def test_a_storage_larger_than_its_file_is_refused_before_memory_is_taken(
        self, write: Any, count: int, tmp_path: Path
    ) -> None:
        path = write(tmp_path / "weights.pt", count)
        with pytest.raises(MemoryDemandError, match=f"asks for {4 * count} bytes"):
            read_weights(path)

    @pytest.mark.parametrize("legacy", [False, True], ids=["zip", "pickle"])
    def test_tensors_that_share_a_storage_count_once(self, legacy: bool, tmp_path: Path) -> None:
        whole = torch.arange(1 << 12, dtype=torch.float64)
        path = tmp_path / "weights.pt"
        shared = {str(n): whole[n:] for n in range(50)}
        torch.save(shared, path, _use_new_zipfile_serialization=not legacy)
        check_pickles(path, archive=not legacy)
        assert all(torch.equal(read_weights(path)[key], tensor) for key, tensor in list(shared.items())[:3])


def folder_of(name: str, place: Path) -> Path:
    """Save a small network of a registered model."""
    small = {"encoder_name": "resnet18", "encoder_weights": None} if name == "unet" else {"preset": "tiny"}
    if name == "film-unet":
        small = {"image_size": 32, "widths": [8, 16], "token_width": 8, "text_width": 8}
    return save_checkpoint(place, load_model(name, config=small, device="cpu"))


def leaves(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of the integers of a document."""
    if isinstance(tree, dict):
        return [leaf for key, value in tree.items() for leaf in leaves(value, (*path, key))]
    if isinstance(tree, list):
        return [leaf for number, value in enumerate(tree) for leaf in leaves(value, (*path, number))]
    return [path] if isinstance(tree, int) and not isinstance(tree, bool) else []


def enlarged(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = json.loads(json.dumps(document))
    node = changed["config"]
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value
    return changed


class TestNetworks:
    @pytest.mark.slow
    @pytest.mark.parametrize("name", NETWORKS)
    def test_a_networks_own_config_is_within_its_bound(self, name: str, tmp_path: Path) -> None:
        network = load_model(name, folder_of(name, tmp_path), device="cpu")
        assert network.model == name

    @pytest.mark.parametrize("name", NETWORKS)
    def test_an_outline_takes_no_memory(self, name: str) -> None:
        entry = MODELS.get(name)()
        preset = {} if name in ("film-unet", "unet") else {"preset": "tiny"}
        full = dict(load_model(name, config=preset or {"image_size": 64}, device="cpu").config)
        taken = sum(p.numel() for p in entry.outline(full).parameters() if p.device.type != "meta")
        # One table of a few rows is made by a constructor that knows no device.
        assert taken <= 256

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("name", "path", "value", "reason"),
        [
            (
                "grounded-sam",
                ("detector", "decoder_layers"),
                10**6,
                r"decoder_layers is 1000000, more than the \d+ tensors",
            ),
            (
                "grounded-sam",
                ("detector", "backbone_config", "depths"),
                [10**7, 1, 1, 1],
                "depths is 10000000, more than",
            ),
            ("grounded-sam", ("detector", "d_model"), 10**9, r"d_model is 1000000000, more than the \d+ values"),
            ("grounded-sam", ("detector", "text_config", "pad_token_id"), 10**6, "Padding_idx must be within"),
            ("grounded-sam", ("sam", "prompt_encoder_config", "num_point_embeddings"), 10**6, r"more than \d+ tensors"),
            ("grounded-sam", ("detector", "num_queries"), 10**7, "network of more than [0-9]+ values"),
            ("sam3", ("transformers", "detr_decoder_config", "num_layers"), 10**6, "num_layers is 1000000, more than"),
            ("film-unet", ("image_size",), 10**6, "image_size: expected at most 9459 pixels"),
        ],
    )
    def test_a_config_that_the_weights_cannot_fill_is_refused_before_it_is_built(
        self, name: str, path: tuple[str, ...], value: Any, reason: str, tmp_path: Path
    ) -> None:
        folder = folder_of(name, tmp_path)
        document = json.loads((folder / "config.json").read_text("utf-8"))
        (folder / "config.json").write_text(json.dumps(enlarged(document, path, value)), "utf-8")
        with pytest.raises(InputError, match=reason):
            load_model(name, folder, device="cpu")

    @pytest.mark.slow
    def test_counting_stops_at_the_bound_and_leaves_no_hook(self) -> None:
        def endless() -> torch.nn.Module:
            with torch.device("meta"):
                return torch.nn.ModuleList(torch.nn.Identity() for _ in range(10**9))

        shapes = {"weight": (8, 8)}
        with pytest.raises(NetworkDemandError, match="more than 16388 layers"):
            check_network(endless, {}, shapes, source="weights.pt")
        assert torch.nn.Linear(2, 2).weight.shape == (2, 2)
        with pytest.raises(NetworkDemandError, match=r"depth\.width is 100000000, more than the 64 values"):
            check_network(endless, {"depth": {"width": [3, 10**8]}}, shapes, source="weights.pt")
