"""The entry of the model registry: what a model module provides."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from robustness.runners.inference.preprocess import Preprocess
from robustness.runners.inference.segmenter import Tokenizer

if TYPE_CHECKING:
    from robustness.runners.checkpoints.prefixes import Relaid

Config = dict[str, Any]


Shapes = Mapping[str, tuple[int, ...]]
_DRAWS = ("normal_", "uniform_")


class ModelEntry:
    """What one model file tells; subclasses fill `default_config`, `preprocess`, `build` and, with text, `tokenizer`.

    Class attributes:
        title: one line for ``robustness list models``.
        takes_text: whether a prompt reaches the network; `reads_text` may refine it by configuration.
        trims_text: whether padding may be cut to the longest text; `trims_padding` may refine it by configuration.
        published: hub name of the published weights; where there is one, weights are never random by mistake.
        presets: named configurations (``config={"preset": "tiny"}``), given as changes to the default.
        prefixes: key prefixes that wrappers add and that are cut, longest first.
        signature: beginnings of keys that every network of this kind has, whatever wraps it.
        encoders: "text" and "image" to the beginnings of their parameters' names, the first that fits; {} where
            gradients may tell what belongs to which.
        trainable: whether `finetune` takes it.
    """

    title: ClassVar[str] = ""
    takes_text: ClassVar[bool] = True
    trims_text: ClassVar[bool] = True
    published: ClassVar[str | None] = None
    presets: ClassVar[Mapping[str, Config]] = {}
    prefixes: ClassVar[tuple[str, ...]] = ("module.", "net.")
    signature: ClassVar[tuple[str, ...]] = ()
    encoders: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    trainable: ClassVar[bool] = True

    def open(self, checkpoint: str | Path, *, model: str, given: Config, choice: Any = None) -> Any:
        """Return the `Checkpoint` at a path or hub name.

        `given` are the fields that the caller set, `choice` what the caller says of a file with several networks.
        """
        from robustness.runners.checkpoints.checkpoint import open_checkpoint

        return open_checkpoint(
            checkpoint,
            model=model,
            prefixes=self.prefixes,
            signature=self.signature,
            choice=choice,
            relay=type(self).relay,
        )

    @staticmethod
    def relay(state: Mapping[str, torch.Tensor], base: Mapping[str, torch.Tensor] | None, source: str) -> Relaid | None:
        """Return weights in another layout under the network's own keys; None for a layout that is not known."""
        return None

    def default_config(self) -> Config:
        """Return the published configuration; its keys are the ones that a user may set."""
        raise NotImplementedError(f"{type(self).__name__} must define default_config()")

    def config_from_file(self, document: Config) -> Config:
        """Return what a foreign ``config.json`` beside the weights tells, in this model's own keys."""
        return {}

    def config_from_shapes(self, shapes: Shapes, config: Config) -> Config:
        """Return the fields that the shapes of a state dict tell; keys of another network must not raise."""
        return {}

    def preprocess(self, config: Config) -> Preprocess:
        """Return the preparation of images and texts that belongs to `config`."""
        raise NotImplementedError(f"{type(self).__name__} must define preprocess()")

    def preprocess_from_folder(self, folder: Path, default: Preprocess) -> Preprocess:
        """Return `default` changed by foreign preprocessing files in `folder`."""
        return default

    def build(self, config: Config) -> nn.Module:
        """Return a `SplitNetwork` with fresh weights, drawn from torch's generator (the caller seeds it)."""
        raise NotImplementedError(f"{type(self).__name__} must define build()")

    def skeleton(self, config: Config) -> nn.Module:
        """Return a `SplitNetwork` whose weights will all be overwritten; override where drawing them takes seconds."""
        return self.build(config)

    def outline(self, config: Config) -> nn.Module:
        """Return the network on the device "meta", which takes no memory; override where `skeleton` reads files."""
        with without_values():
            return self.skeleton(config)

    def tokenizer(self, config: Config, folder: Path | None) -> Tokenizer | None:
        """Return the tokenizer, from files in `folder` where there are any; None without a vocabulary."""
        return None

    def reads_text(self, config: Config) -> bool:
        """Return whether a prompt reaches the network under `config`."""
        return self.takes_text

    def trims_padding(self, config: Config) -> bool:
        """Return whether padding may be cut to the longest text of a call without changing the logits."""
        return self.trims_text

    def parts(self, network: nn.Module) -> dict[str, list[str]] | None:
        """Return the names of the parameters of "image", "text" and "decoder"; None where `encoders` names none."""
        if not self.encoders:
            return None
        names: dict[str, list[str]] = {"image": [], "text": [], "decoder": []}
        for name, _ in network.named_parameters():
            part = next((p for p, beginnings in self.encoders.items() if name.startswith(beginnings)), "decoder")
            names[part].append(name)
        return names

    def display_name(self, name: str, config: Config) -> str:
        """Return what results call the model."""
        return name


@contextlib.contextmanager
def without_values() -> Iterator[None]:
    """Build networks on the device "meta", which takes no memory; nothing is drawn for weights that have no values."""
    with _NothingDrawn(), torch.device("meta"):
        yield


class _NothingDrawn(TorchFunctionMode):
    # To draw normal numbers on "meta", torch imports its compiler, which takes more than a second, and draws none.

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = kwargs or {}
        tensor = named["tensor"] if "tensor" in named else next(iter(args), None)
        draws = getattr(func, "__module__", "") == nn.init.__name__ or getattr(func, "__name__", "") in _DRAWS
        if draws and isinstance(tensor, torch.Tensor) and tensor.is_meta:
            return tensor
        return func(*args, **named)


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> Config:
    """Return `base` with `changes` laid over it, nested mappings field by field."""
    merged = copy.deepcopy(dict(base))
    for key, value in changes.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = copy.deepcopy(value)
    return merged
