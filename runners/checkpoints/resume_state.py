"""The resume file of a training, read without executing anything that it holds.

``last.ckpt`` is written by Lightning with PyTorch's pickle. It is read with PyTorch's weights-only reader, which knows
tensors, ordered dictionaries and plain values and calls nothing; before that its form and after that its content are
compared with what this training wrote.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch

from robustness.errors import InputError
from robustness.regular_files import check_regular

# Where a resume file states which training it is of.
IDENTITY: Final = "training"
_NEEDS: Final[Mapping[str, type]] = {
    "epoch": int,
    "global_step": int,
    "state_dict": dict,
    "loops": dict,
    "optimizer_states": list,
    "training_log": list,
}
_UNREADABLE: Final = (
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    MemoryError,
    RecursionError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
)


def check_resume_file(
    path: Path, *, shapes: Mapping[str, tuple[int, ...]], columns: tuple[str, ...], identity: Mapping[str, str]
) -> None:
    """Refuse a resume file that is not one of this training.

    Args:
        path: ``last.ckpt``.
        shapes: name to shape of every weight of the network in training.
        columns: the columns of the training log.
        identity: what says which training it is of; see `IDENTITY`.

    Raises:
        InputError: truncated, of another form, with anything but tensors and plain values in it, or of another
            training.
    """
    state = _read(path)
    for key, kind in _NEEDS.items():
        if not isinstance(state.get(key), kind):
            raise _refused(path, f"it holds no {key!r}")
    stated = {key: tuple(value.shape) for key, value in state["state_dict"].items() if isinstance(value, torch.Tensor)}
    different = next((key for key in {**shapes, **stated} if shapes.get(key) != stated.get(key)), None)
    if different is not None or len(stated) != len(state["state_dict"]):
        raise _refused(path, f"it is of another network ({different or 'its weights are no tensors'})")
    if state.get(IDENTITY) != dict(identity):
        raise _refused(path, "it is of a training with another plan or other data")
    if not all(_is_row(row, columns) for row in state["training_log"]):
        raise _refused(path, "its training log is damaged")


def _read(path: Path) -> dict[str, Any]:
    try:
        size = check_regular(path).st_size
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
        # torch.save stores members as they are; a packed one can unfold into any amount of memory.
        if any(m.compress_type != zipfile.ZIP_STORED for m in members) or sum(m.file_size for m in members) > size:
            raise _refused(path, "it holds packed data")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except InputError:
        raise
    except pickle.UnpicklingError as error:
        raise _refused(path, "it holds more than tensors and plain values, of which nothing was run") from error
    except _UNREADABLE as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
        raise _refused(path, f"it is no resume file, or cut short: {reason}") from error
    if not isinstance(state, dict):
        raise _refused(path, f"it holds a {type(state).__name__}")
    return state


def _is_row(row: Any, columns: tuple[str, ...]) -> bool:
    return isinstance(row, dict) and all(
        isinstance(row.get(name), int | float) and not isinstance(row.get(name), bool) for name in columns
    )


def _refused(path: Path, reason: str) -> InputError:
    return InputError(
        f"out: {path.name} cannot be resumed from: {reason}; remove it, and the same command trains from the start"
    )
