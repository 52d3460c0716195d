"""Joint conditions: one image change and one prompt change at once, written ``image:gaussian_blur@3+antonym:size``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from robustness.errors import InputError
from robustness.perturb.prompt.worst_case import WorstCase
from robustness.perturb.select import Selected, select
from robustness.plans.audit import JointSpec, PerturbationSpec
from robustness.types import DataContext

_FORM = "image:NAME@SEVERITY+PROMPT, such as image:gaussian_blur@3+antonym:size"


@dataclass(frozen=True, slots=True)
class Joint:
    """An image condition and a prompt condition, each drawn as it is drawn alone."""

    image: Selected
    prompt: Selected

    @property
    def condition(self) -> str:
        """The condition's name, the image's part first."""
        return f"{self.image.condition}+{self.prompt.condition}"


class Chosen(NamedTuple):
    """The conditions of a plan on one dataset; `joint` ones have both of their parts among `single`."""

    single: list[Selected]
    joint: list[Joint]

    @property
    def conditions(self) -> list[str]:
        """The names of all conditions in plan order."""
        return [s.condition for s in self.single] + [j.condition for j in self.joint]


def select_all(
    prompt: Sequence[str],
    image: str | Sequence[str] | Mapping[str, Any],
    joint: Sequence[str | Mapping[str, Any]] | None,
    context: DataContext,
) -> Chosen:
    """Return what a plan's ``[perturbations]`` names on one dataset, joint grids included.

    Args:
        prompt, image, context: as for `select`.
        joint: grids ``{"image": [...], "prompt": [...]}``, of which every image change meets every prompt change, and
            single conditions as they are written. Severities that are not named are those of `image`. What a grid
            needs alone, so that each joint row has its image row and its prompt row, is added to the single
            conditions.

    Raises:
        InputError: an unknown name, a name on the wrong side, or a change that no grid can hold (a search, `other`).
    """
    single = select(prompt, image, context)
    # Severities, presets and parameters hold for the grids too.
    options = dict(image) if isinstance(image, Mapping) else {}
    joints: dict[str, Joint] = {}
    for images, prompts in map(_sides, joint or ()):
        changed = select([], {**options, "kinds": images}, context)
        worded = select(prompts, [], context)
        for one in (*changed, *worded):
            _refuse(one)
        for pair in (Joint(i, p) for i in changed for p in worded):
            joints.setdefault(pair.condition, pair)
    parts = {one.condition: one for one in single}
    for pair in joints.values():
        parts.setdefault(pair.image.condition, pair.image)
        parts.setdefault(pair.prompt.condition, pair.prompt)
    same = [Joint(parts[p.image.condition], parts[p.prompt.condition]) for p in joints.values()]
    return Chosen(list(parts.values()), same)


def chosen_of(spec: PerturbationSpec, context: DataContext) -> Chosen:
    """Return the conditions that a plan's ``[perturbations]`` stands for on one dataset; see `select_all`."""
    grids = [grid if isinstance(grid, str) else grid.model_dump() for grid in spec.joint or ()]
    return select_all(spec.prompt, spec.image.model_dump(), grids, context)


def prompt_names(grid: JointSpec | str) -> list[str]:
    """Return the prompt changes that a grid of a plan names."""
    return _sides(grid if isinstance(grid, str) else grid.model_dump())[1]


def _sides(grid: str | Mapping[str, Any]) -> tuple[list[str], list[str]]:
    if not isinstance(grid, str):
        return list(grid["image"]), list(grid["prompt"])
    parts = [part.strip() for part in grid.split("+")]
    images = [part for part in parts if part.startswith("image:")]
    if len(parts) != 2 or len(images) != 1:
        raise InputError(f"perturbations.joint: expected {_FORM}, got {grid!r}")
    return images, [part for part in parts if part not in images]


def _refuse(one: Selected) -> None:
    if isinstance(one.perturbation, WorstCase) or getattr(one.perturbation, "needs_model", False):
        raise InputError(
            f"perturbations.joint: {one.condition!r} is a search, whose result depends on the other half; "
            "expected changes that are drawn alone"
        )
    if one.perturbation.expectation == "follow":
        raise InputError(
            f"perturbations.joint: {one.condition!r} asks for another target; expected a change of the case's prompt"
        )
