"""From the names in a plan to perturbations with severities, in plan order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from robustness.errors import InputError, suggest
from robustness.perturb.base import BasePerturbation, own_errors
from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.modality import COMMON_KINDS, KINDS_BY_MODALITY, PIPELINE_KINDS
from robustness.perturb.severity.presets import Table, calibrated_table, modalities, plan_table, preset_table
from robustness.registry import PERTURBATIONS
from robustness.types import DataContext

DEFAULT_SEVERITIES = (1, 3, 5)
MODALITY, ALL, IMAGE = "modality", "all", "image"
GROUPS = {ALL: COMMON_KINDS, "common": COMMON_KINDS, "pipeline": PIPELINE_KINDS}

_ALIASES = {"antonym:target": "wrong_class"}
_IMAGE_KEYS = ("kinds", "severities", "preset", "parameters")
_NAME = re.compile(r"(?:image:)?(?P<name>[^@]*?)(?:@(?P<severity>\d+))?")


@dataclass(frozen=True, slots=True)
class Selected:
    """One perturbation at one severity: one condition of an audit."""

    perturbation: BasePerturbation
    severity: int

    @property
    def condition(self) -> str:
        """The condition's name: ``antonym:size``, ``image:gaussian_noise@3``."""
        return self.perturbation.condition(self.severity)

    def __repr__(self) -> str:
        return f"Selected({self.condition!r})"


def select(
    prompt: Sequence[str], image: str | Sequence[str] | Mapping[str, Any], context: DataContext
) -> list[Selected]:
    """Return what a plan's ``[perturbations]`` names on one dataset, in plan order, each condition once.

    Args:
        prompt: "antonym" (one condition for each kind that the prompts state), "antonym:size" (one kind), "typo@3" (one
            severity).
        image: names, or ``{"kinds": ..., "severities": [...], "preset": ..., "parameters": {...}}``. Kinds are
            "modality" (what is plausible for the data's modality, the common list where that is unknown), "all" or
            "common" (the common list), "pipeline", or names ("gaussian_noise", "image:gaussian_noise@3"; "image" inside
            a list means "modality"). Severities default to 1, 3, 5; an entry without severity levels has its own. A
            preset brings published parameters and its own list for "modality" and "all"; `parameters` (name -> five
            values) go before a preset, and that before the calibration of the data's modality.
        context: the dataset.

    Raises:
        InputError: an unknown name, kind or severity, or a name on the wrong side.
    """
    candidates = [*_prompt_side(prompt, context), *_image_side(image, context)]
    unique: dict[str, Selected] = {}
    for chosen in candidates:
        unique.setdefault(chosen.condition, chosen)
    return list(unique.values())


def select_names(names: Sequence[str], context: DataContext, severities: Sequence[int] | None = None) -> list[Selected]:
    """Return what a flat list of names stands for; see `split_names` and `select`."""
    prompt, image = split_names(names)
    return select(prompt, {"kinds": image, "severities": list(severities or DEFAULT_SEVERITIES)}, context)


def split_names(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Sort a flat list into the names of prompt changes and those of image changes ("image" means the modality's list).

    Raises:
        UnknownNameError: a name that is not registered.
    """
    prompt: list[str] = []
    image: list[str] = []
    for name in names:
        is_image = name in (IMAGE, MODALITY, *GROUPS) or _entry(name).target != "prompt"
        (image if is_image else prompt).append(name)
    return prompt, image


def _prompt_side(names: Sequence[str], context: DataContext) -> Iterator[Selected]:
    for written in names:
        name, severity = _parts(written)
        entry = _entry(written)
        if entry.target != "prompt":
            raise InputError(f"perturbations.prompt: {written!r} changes the image; list it under perturbations.image")
        for instance in _instances(entry, _ALIASES.get(name, name), context):
            for level in _levels(instance, severity, instance.severities):
                yield Selected(instance, level)


def _image_side(image: str | Sequence[str] | Mapping[str, Any], context: DataContext) -> Iterator[Selected]:
    spec: Mapping[str, Any] = image if isinstance(image, Mapping) else {"kinds": image}
    unknown = sorted(set(spec) - set(_IMAGE_KEYS))
    if unknown:
        raise InputError(f"perturbations.image: expected the keys {', '.join(_IMAGE_KEYS)}, got {unknown[0]!r}")
    severities = tuple(spec.get("severities") or DEFAULT_SEVERITIES)
    published = preset_table(spec["preset"], context) if spec.get("preset") else None
    values = (published or calibrated_table(context)) | plan_table(spec.get("parameters") or {})
    for written in _spelled_out(spec.get("kinds", MODALITY), context, published):
        entry = _entry(written)
        if entry.target == "prompt":
            raise InputError(f"perturbations.image: {written!r} changes the prompt; list it under perturbations.prompt")
        name, severity = _parts(written)
        if published is not None and name not in values:
            raise InputError(
                f"perturbations.image: the preset {spec['preset']!r} has no {name!r}; it has {', '.join(published)}"
            )
        for instance in _instances(entry, name, context):
            for level in _levels(instance, severity, severities):
                yield Selected(_valued(instance, values), level)


def image_names(kinds: Sequence[str], context: DataContext) -> list[str]:
    """Return the entries that a list of image kinds and groups names, each once.

    Raises:
        InputError: an unknown name, or one that changes the prompt.
    """
    names = dict.fromkeys(_parts(written)[0] for written in _spelled_out([k.strip() for k in kinds], context, None))
    for name in names:
        if _entry(name).target == "prompt":
            raise InputError(f"kinds: expected changes of the image, got {name!r}, which changes the prompt")
    return list(names)


def _valued(instance: BasePerturbation, values: Table) -> BasePerturbation:
    if instance.name in values and isinstance(instance, ImagePerturbation):
        return instance.with_values(values[instance.name])
    return instance


def _spelled_out(kinds: str | Sequence[str], context: DataContext, published: Table | None) -> list[str]:
    """Replace the groups in a list of image kinds by the names that they stand for; in a preset, by its own list."""
    names: list[str] = []
    for kind in [kinds] if isinstance(kinds, str) else kinds:
        if published is not None and kind in (MODALITY, IMAGE, ALL, "common"):
            names.extend(published)
        elif kind in (MODALITY, IMAGE):
            names.extend(kinds_of(context))
        else:
            names.extend(GROUPS.get(kind, (kind,)))
    return names


def kinds_of(context: DataContext) -> tuple[str, ...]:
    """Return the image changes that are plausible for a dataset's modality (for several: all of theirs).

    Where the modality is unknown it is the common list.
    """
    names = [name for modality in modalities(context) for name in KINDS_BY_MODALITY[modality]]
    return tuple(dict.fromkeys(names)) or COMMON_KINDS


def _entry(written: str) -> type[BasePerturbation]:
    name, _ = _parts(written)
    name = _ALIASES.get(name, name)
    return cast("type[BasePerturbation]", PERTURBATIONS.get(name.partition(":")[0]))


def _parts(written: str) -> tuple[str, int | None]:
    match = _NAME.fullmatch(written)
    if match is None:
        raise InputError(f"perturbations: expected NAME, NAME:KIND or NAME@SEVERITY, got {written!r}")
    level = match["severity"]
    return match["name"], None if level is None else int(level)


def _instances(entry: type[BasePerturbation], name: str, context: DataContext) -> list[BasePerturbation]:
    with own_errors(entry):
        instances = list(entry.expand(context))
    head, _, kind = name.partition(":")
    if not kind:
        return instances
    chosen = [instance for instance in instances if instance.name == name]
    if not chosen and not instances:
        raise InputError(
            f"perturbations: {name!r} changes one kind of word, and no prompt of {context.name or 'the data'} states "
            "any; see the prompts with robustness check (is a column of the table missing?)"
        )
    if not chosen:
        kinds = [instance.name.partition(":")[2] for instance in instances if ":" in instance.name]
        listed = f"one of {', '.join(kinds)} (what {context.name or 'the data'} states)" if kinds else "no kind"
        raise InputError(f"perturbations: expected {listed} after {head + ':'!r}, got {kind!r}{suggest(kind, kinds)}")
    return chosen


def _levels(instance: BasePerturbation, severity: int | None, levels: Iterable[int]) -> list[int]:
    available = instance.severities
    if severity is not None:
        if severity not in available:
            raise InputError(
                f"perturbations: expected a severity of {instance.name} in {list(available)}, got {severity}"
            )
        return [severity]
    if len(available) == 1:
        return list(available)
    chosen = sorted(set(levels))
    wrong = [level for level in chosen if level not in available]
    if wrong:
        raise InputError(f"perturbations: expected severities of {instance.name} in {list(available)}, got {wrong[0]}")
    return chosen
