"""Reading pickled checkpoints without executing anything that they hold.

Lightning files pickle loss objects, partials and enums beside the weights, so that PyTorch's ``weights_only``
reader refuses them. Here only storages, ordered dictionaries and the rebuilding of tensors are real; every
other class becomes an inert stand-in, and a pickle that calls a function is refused by the function's name.

`Unpickler` and `load` make this module usable as ``torch.load(..., pickle_module=...)``.
"""

from __future__ import annotations

import _compat_pickle
import pickle
import sys
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any, NoReturn, TypeGuard

import torch
import torch.storage

_SETS = {"set": set, "frozenset": frozenset}
_INERT_BUILTINS = {"set", "frozenset", "dict", "list", "tuple", "complex", "bytearray", "bytes", "slice", "range"}
_PATHS = {"Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath"}
_INERT_STDLIB = {
    "argparse": {"Namespace"},
    "collections": {"defaultdict", "Counter", "deque"},
    "copyreg": {"_reconstructor"},
    "datetime": {"datetime", "date", "time", "timedelta", "timezone"},
    "functools": {"partial"},
    "pathlib": _PATHS,
    # Where Python 3.13 says that its paths live.
    "pathlib._local": _PATHS,
    "_codecs": {"encode"},
}
_INERT_FUNCTIONS = {
    ("numpy.core.multiarray", "scalar"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
}

MODULE_PARTS = ("_parameters", "_buffers", "_modules")
TRANSIENT = "_non_persistent_buffers_set"


def is_module_state(state: Any) -> TypeGuard[Mapping[str, Any]]:
    """Return whether the pickled state of an object is that of a `torch.nn.Module`."""
    return isinstance(state, Mapping) and all(isinstance(state.get(part), Mapping) for part in MODULE_PARTS)


def module_state(node: Any) -> dict[str, torch.Tensor] | None:
    """Return the state dict of a pickled module; None for everything else, {} for a module without tensors."""
    state = getattr(node, "module_state", None)
    return dict(_tensors(state, "", frozenset())) if is_module_state(state) else None


def _tensors(state: Mapping[str, Any], prefix: str, above: frozenset[int]) -> Iterator[tuple[str, torch.Tensor]]:
    if id(state) in above:
        return
    transient = state.get(TRANSIENT)
    left_out = transient if isinstance(transient, set | frozenset | list | tuple) else ()
    for part in ("_parameters", "_buffers"):
        for name, value in state[part].items():
            if isinstance(value, torch.Tensor) and name not in left_out:
                yield f"{prefix}{name}", value.detach()
    for name, child in state["_modules"].items():
        inner = getattr(child, "module_state", None)
        if is_module_state(inner):
            yield from _tensors(inner, f"{prefix}{name}.", above | {id(state)})


class RefusedPickle(pickle.UnpicklingError):
    """A pickle called something that is neither tensor rebuilding nor a plain class."""


class StandIn(dict[Any, Any]):
    """What an unknown class becomes: keeps nothing but the items of a mapping, does nothing."""

    origin = ""
    # torch looks for these on the classes of old files.
    dump_patches = False
    module_state: Any = None

    def __new__(cls, *args: Any, **kwargs: Any) -> StandIn:
        """Accept any arguments and keep none."""
        return super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        """Drop the state of the object that this one stands for, but keep a module's tensors and submodules."""
        if is_module_state(state):
            self.module_state = {part: state[part] for part in (*MODULE_PARTS, TRANSIENT) if part in state}

    def append(self, value: Any) -> None:
        """Drop an element of a list-like object."""

    def extend(self, values: Iterable[Any]) -> None:
        """Drop elements of a list-like object."""

    def add(self, value: Any) -> None:
        """Drop an element of a set-like object."""

    # A stand-in may have been a dictionary key, a set element, or an argument that is compared.
    def __hash__(self) -> int:  # type: ignore[override]
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other


class _Refused(StandIn):
    def __new__(cls, *args: Any, **kwargs: Any) -> NoReturn:
        raise RefusedPickle(cls.origin)


def rebuild_tensor(storage: Any, offset: int, size: Iterable[int], stride: Iterable[int], *_: Any) -> torch.Tensor:
    """Return the view of `storage` that a pickled tensor describes.

    Raises:
        pickle.UnpicklingError: the view reaches beyond its storage.
    """
    shape, steps = tuple(size), tuple(stride)
    numbers = (offset, *shape, *steps)
    if len(shape) != len(steps) or any(type(n) is not int or n < 0 for n in numbers):
        raise pickle.UnpicklingError("a tensor with a malformed shape")
    last = offset + sum((n - 1) * step for n, step in zip(shape, steps, strict=True))
    capacity = storage._untyped_storage.nbytes() // storage.dtype.itemsize
    if 0 not in shape and last >= capacity:
        raise pickle.UnpicklingError(f"a tensor of shape {list(shape)} reaches beyond its storage")
    rebuilt: torch.Tensor = torch._utils._rebuild_tensor(storage, offset, shape, steps)  # type: ignore[no-untyped-call]
    return rebuilt


def _rebuild_parameter(data: torch.Tensor, *_: Any) -> torch.Tensor:
    return data


def _rebuild_with_attributes(rebuild: Any, kind: Any, arguments: Iterable[Any], state: Any) -> Any:
    """Return a tensor that was pickled with attributes of its own, without them."""
    if rebuild not in (rebuild_tensor, _rebuild_parameter):
        raise RefusedPickle(getattr(rebuild, "origin", str(rebuild)))
    return rebuild(*arguments)


_REAL: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch", "Size"): torch.Size,
    ("torch", "device"): torch.device,
    ("torch._utils", "_rebuild_tensor"): rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _rebuild_parameter,
    ("torch._tensor", "_rebuild_from_type_v2"): _rebuild_with_attributes,
    ("torch.storage", "UntypedStorage"): torch.UntypedStorage,
    ("torch.storage", "TypedStorage"): torch.storage.TypedStorage,
    ("torch", "UntypedStorage"): torch.UntypedStorage,
}


class Unpickler(pickle.Unpickler):
    """`pickle.Unpickler` whose classes are storages, ordered dictionaries, tensor rebuilding, or inert."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """Return the real object where it is known to be harmless, else a stand-in that is never the thing itself."""
        module_name, global_name = _modern(module_name, global_name)
        if module_name == "builtins" and global_name in _SETS:
            return _SETS[global_name]
        if (module_name, global_name) in _REAL:
            return _REAL[module_name, global_name]
        if module_name == "torch" and _is_storage_or_dtype(global_name):
            return getattr(torch, global_name)
        base = StandIn if _is_inert(module_name, global_name) else _Refused
        return type("StandIn", (base,), {"origin": f"{module_name}.{global_name}"})


def load(file: IO[bytes], **options: Any) -> Any:
    """Read one pickle from `file`, as `pickle.load` does."""
    return Unpickler(file, **options).load()


def _modern(module: str, name: str) -> tuple[str, str]:
    # Up to protocol 2 a pickle calls the standard library by its Python 2 names: subprocess is "commands".
    if (module, name) in _compat_pickle.NAME_MAPPING:
        return _compat_pickle.NAME_MAPPING[module, name]
    return _compat_pickle.IMPORT_MAPPING.get(module, module), name


def _is_storage_or_dtype(name: str) -> bool:
    value = getattr(torch, name, None)
    if isinstance(value, torch.dtype):
        return True
    return isinstance(value, type) and name.endswith("Storage")


def _is_inert(module: str, name: str) -> bool:
    """Return whether an object of this name is a plain class, to judge by what can be known without importing it."""
    if module == "builtins":
        return name in _INERT_BUILTINS
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top in {"posix", "nt"}:
        return name in _INERT_STDLIB.get(module, set())
    # By convention classes are capitalised and functions are not; a function has no business in a checkpoint.
    last = name.rpartition(".")[2].lstrip("_")
    return (module, name) in _INERT_FUNCTIONS or last[:1].isupper()
