"""The dataset that a command's argument names: a folder, a table, or the `[data]` of a plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import StringConstraints

from robustness.errors import InputError
from robustness.plans.paths import resolve
from robustness.plans.toml import as_list, read_toml

# Whose left the words of a data set mean: of the patient, or of the viewer.
Owner = Literal["patient", "viewer"]
# One word stands for sides and locations; `display` is where columns and rows run to in the patient ("LP").
Display = Annotated[str, StringConstraints(pattern="^[LRAPHFSIlraphfsi]{2}$")]
Convention = Owner | dict[Literal["side", "location", "display"], Owner | Display]
# Keys of `[data]` that say how files are read.
READING = ("labels", "masks", "window", "slices", "exif")


@dataclass(frozen=True, slots=True)
class DataSource:
    """A dataset and how its files are read.

    Attributes:
        path: of the folder or table.
        prompt: the plan's prompt key; None where there is no plan, or it names several.
        modality: as the plan states it.
        reading: the plan's `labels masks window slices exif`, where stated; keywords of `reading_options`.
    """

    path: Path
    prompt: str | None = None
    modality: str | None = None
    reading: Mapping[str, Any] = field(default_factory=dict)


def data_source(argument: Path) -> DataSource:
    """Return the dataset of a command's argument; of a plan (.toml) the first `[data]`.

    Raises:
        InputError: a plan without `[data] path`.
    """
    if argument.suffix.lower() != ".toml":
        return DataSource(argument)
    tables = as_list(read_toml(argument).get("data"))
    data = tables[0] if tables and isinstance(tables[0], dict) else {}
    if not isinstance(data.get("path"), str):
        raise InputError(f"data: expected [data] path in the plan {argument}, found none")
    prompt, modality = data.get("prompt"), data.get("modality")
    return DataSource(
        path=Path(resolve(data["path"], argument.parent)),
        prompt=prompt if isinstance(prompt, str) and prompt != "random" else None,
        modality=modality if isinstance(modality, str) else None,
        reading={name: data[name] for name in READING if name in data},
    )
