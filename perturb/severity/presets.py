"""Parameters of severities that stand in tables: published sets by name, and this project's calibration by modality."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import resources
from typing import Any

from robustness.errors import InputError, suggest
from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.modality import canonical_modality
from robustness.registry import PERTURBATIONS
from robustness.types import DataContext

# The shorter side for which this project states lengths in pixels.
_SIDE = 256

Values = tuple[Any, ...]
Table = dict[str, Values]


def preset_names() -> tuple[str, ...]:
    """Return the published sets of parameters."""
    return tuple(sorted(_read("presets.toml")))


def preset_table(preset: str, context: DataContext) -> Table:
    """Return kind -> five values of a published set, lengths converted to this project's reference side.

    Args:
        preset: its name ("medmnist-c", "imagecorruptions"), or NAME:SET for one of its sets ("medmnist-c:chestmnist").
        context: the dataset, whose modality picks the set where none is named.

    Raises:
        InputError: no such preset or set, or it has none for the data's modality.
    """
    name, _, set_name = preset.partition(":")
    if name not in _read("presets.toml"):
        names = preset_names()
        raise InputError(
            f"perturbations.image.preset: expected one of {', '.join(names)}, got {preset!r}{suggest(name, names)}"
        )
    published = _read("presets.toml")[name]
    chosen = set_name or _set_of(name, published, modalities(context))
    if chosen not in published["sets"]:
        names = tuple(published["sets"])
        raise InputError(
            f"perturbations.image.preset: expected {name}: and one of {', '.join(names)}, got {preset!r}"
            f"{suggest(chosen, names)}"
        )
    table = published["sets"][chosen]
    return {kind: checked(kind, values, scale=_SIDE / published["side"]) for kind, values in table.items()}


def calibrated_table(context: DataContext) -> Table:
    """Return kind -> five values that this project calibrated for the data's modality; empty where it has none.

    A kind that is not listed has its own values, which were calibrated over several modalities.
    """
    stated = modalities(context)
    tables = _read("calibrated.toml")
    if len(stated) != 1 or stated[0] not in tables:
        return {}
    return {kind: checked(kind, row["values"]) for kind, row in tables[stated[0]].items()}


def plan_table(parameters: Mapping[str, Sequence[Any]]) -> Table:
    """Return a plan's ``[perturbations.image.parameters]`` as kind -> five values.

    Raises:
        InputError: an unknown kind, one without values, or values that it cannot have.
    """
    return {kind: checked(kind, values) for kind, values in parameters.items()}


def checked(kind: str, values: Any, *, scale: float = 1.0) -> Values:
    """Return the values of a kind as the entry keeps them.

    Raises:
        InputError: the entry has no values, or others.
    """
    entry: Any = PERTURBATIONS.get(kind)
    if not issubclass(entry, ImagePerturbation) or not entry.values:
        raise InputError(f"perturbations.image.parameters: {kind!r} has no values of severities that could be set")
    accepted: Values = entry().with_values(values).values
    return tuple(_scaled(value, scale) for value in accepted) if entry.lengths else accepted


def modalities(context: DataContext) -> tuple[str, ...]:
    """Return the distinct modalities that a dataset states, in this project's spelling, in order of appearance."""
    stated = (canonical_modality(str(info.metadata.get("modality") or "")) for info in context.infos)
    return tuple(dict.fromkeys(modality for modality in stated if modality))


def _set_of(name: str, published: Mapping[str, Any], stated_modalities: Sequence[str]) -> str:
    sets = tuple(published["sets"])
    if len(sets) == 1:
        return sets[0]
    chosen = dict.fromkeys(published["modalities"].get(modality, "") for modality in stated_modalities)
    if len(chosen) == 1 and "" not in chosen:
        return next(iter(chosen))
    stated = (
        f"no parameters for {', '.join(stated_modalities)}"
        if stated_modalities
        else "parameters by modality, and the data state none"
    )
    raise InputError(
        f"perturbations.image.preset: {name} has {stated}; name one of its sets, e.g. {name}:{sets[0]} "
        f"(sets: {', '.join(sets)})"
    )


def _scaled(value: Any, scale: float) -> Any:
    return tuple(one * scale for one in value) if isinstance(value, tuple) else value * scale


@lru_cache(maxsize=2)
def _read(file: str) -> dict[str, Any]:
    return tomllib.loads(resources.files("robustness.perturb.severity").joinpath(file).read_text("utf-8"))
