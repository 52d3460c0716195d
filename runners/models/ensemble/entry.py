"""The model `ensemble`: any members of the registry, by the mean of their maps or of their logits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from robustness.errors import InputError, suggest
from robustness.registry import MODELS
from robustness.runners.models.composite import CompositeEntry, Load

if TYPE_CHECKING:
    from robustness.runners.models.ensemble.segmenter import Ensemble

_MEMBER = ("name", "checkpoint", "label", "device", "precision", "threshold", "config", "options", "weight")


@MODELS.add("ensemble")
class EnsembleModel(CompositeEntry):
    """Several models as one: options = {members = [{name = "clipseg", checkpoint = "..."}, ...]}.

    Each member is a table with the keys of a plan's ``[model]`` and an optional `weight`. `combine` is "probabilities"
    (the default) or "logits".
    """

    title: ClassVar[str] = "several models as one: mean of probabilities or logits"
    options: ClassVar[tuple[str, ...]] = ("members", "combine", "member_weights")

    def compose(
        self,
        load: Load,
        source: str | None,
        *,
        threshold: float | None,
        image_size: int | None,
        common: Mapping[str, Any],
        options: Mapping[str, Any],
    ) -> Ensemble:
        """Return the ensemble with every member loaded.

        Raises:
            InputError: fewer than two members, an unknown key, or weights that are no shares.
        """
        from robustness.runners.models.ensemble.segmenter import COMBINATIONS, Ensemble

        if source is not None:
            raise InputError("checkpoint: expected none for 'ensemble'; its members state theirs")
        specs = [_checked(one) for one in options.get("members") or []]
        if len(specs) < 2:
            raise InputError(
                'members: expected at least two tables such as {name = "clipseg", checkpoint = "DIR"}, got '
                f"{len(specs)}"
            )
        combine = str(options.get("combine", "probabilities"))
        if combine not in COMBINATIONS:
            near = suggest(combine, COMBINATIONS)
            raise InputError(f"combine: expected one of {', '.join(COMBINATIONS)}, got {combine!r}{near}")
        weights = _weights(options.get("member_weights"), specs)
        members = tuple(_loaded(load, spec, common) for spec in specs)
        size = image_size or max(int(getattr(member, "image_size", 0) or 0) for member in members)
        return Ensemble(
            name="ensemble",
            members=members,
            combine=combine,
            image_size=int(size),
            weights=weights,
            threshold=0.5 if threshold is None else threshold,
        )


def _checked(spec: Any) -> dict[str, Any]:
    if not isinstance(spec, Mapping) or not isinstance(spec.get("name"), str):
        raise InputError(f'members: expected tables such as {{name = "clipseg", checkpoint = "DIR"}}, got {spec!r}')
    for key in spec:
        if key not in _MEMBER:
            raise InputError(f"members: unknown key {key!r}{suggest(str(key), _MEMBER)} (known: {', '.join(_MEMBER)})")
    if spec["name"] in ("ensemble", "predictions"):
        raise InputError(f"members: expected models that predict, got {spec['name']!r}")
    return dict(spec)


def _loaded(load: Load, spec: Mapping[str, Any], common: Mapping[str, Any]) -> Any:
    own = {key: spec[key] for key in ("device", "precision", "threshold", "config") if spec.get(key) is not None}
    shared = {} if spec["name"] in ("python", "command", "http") else dict(common)
    return load(spec["name"], spec.get("checkpoint"), **{**shared, **own, **spec.get("options", {})})


def _weights(stated: Any, specs: Sequence[Mapping[str, Any]]) -> tuple[float, ...]:
    weights = stated if stated is not None else [spec.get("weight", 1.0) for spec in specs]
    if not isinstance(weights, Sequence) or len(weights) != len(specs):
        raise InputError(f"member_weights: expected one number per member ({len(specs)}), got {weights!r}")
    if not all(isinstance(w, int | float) and math.isfinite(w) and w >= 0 for w in weights) or not sum(weights) > 0:
        raise InputError(f"member_weights: expected numbers of at least 0, one of them above, got {list(weights)!r}")
    return tuple(float(w) / float(sum(weights)) for w in weights)
