"""The model `ensemble`: any members of the registry, by the mean of their maps or of their logits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from torch import nn

from robustness.errors import InputError, suggest
from robustness.registry import MODELS
from robustness.runners.models.black_box.entry import CompositeEntry, Load

if TYPE_CHECKING:
    from robustness.runners.checkpoints.checkpoint import Checkpoint
    from robustness.runners.models.ensemble.segmenter import Ensemble

_MEMBER = ("name", "checkpoint", "label", "device", "precision", "threshold", "config", "options", "weight")


@MODELS.add("ensemble")
class EnsembleModel(CompositeEntry):
    """Several models as one: options = {members = [{name = "clipseg", checkpoint = "..."}, ...]}.

    Each member is a table with the keys of a plan's ``[model]`` and an optional `weight`. `combine` is "probabilities"
    (the default), "logits" or "fusion", a head that `finetune` trains; its folder is the checkpoint, and holds the
    members' tables.
    """

    title: ClassVar[str] = "several models as one: mean of probabilities or logits, or a learned fusion"
    options: ClassVar[tuple[str, ...]] = ("members", "combine", "member_weights", "hidden")
    trainable: ClassVar[bool] = True
    published: ClassVar[str | None] = None

    def parts(self, network: nn.Module) -> dict[str, list[str]]:
        """Return the names of a head's parameters; members are no part of what is trained."""
        return {"image": [], "text": [], "decoder": [name for name, _ in network.named_parameters()]}

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
            InputError: fewer than two members, an unknown key, weights that are no shares, or a checkpoint that is no
                head of these members.
        """
        from robustness.runners.checkpoints.checkpoint import load_strict
        from robustness.runners.models.ensemble.fusion import check_members
        from robustness.runners.models.ensemble.segmenter import HIDDEN, Ensemble, fresh_head

        opened = None if source is None else _opened(source)
        stored = opened.own_config() if opened else {}
        specs = [_checked(one) for one in options.get("members") or stored.get("members") or []]
        if len(specs) < 2:
            raise InputError(
                'members: expected at least two tables such as {name = "clipseg", checkpoint = "DIR"}, got '
                f"{len(specs)}"
            )
        combine = _combination(options.get("combine", "fusion" if opened else "probabilities"), opened is not None)
        weights = _weights(options.get("member_weights", stored.get("member_weights")), specs)
        members = tuple(_loaded(load, spec, common) for spec in specs)
        size = image_size or max(int(getattr(member, "image_size", 0) or 0) for member in members)
        if opened is not None:
            size, threshold = _trained_size(opened, image_size, size), threshold or opened.threshold
        head = None
        if combine == "fusion":
            head = fresh_head(weights, hidden=options.get("hidden", stored.get("hidden", HIDDEN)), seed=0)
        ensemble = Ensemble(
            name="ensemble",
            members=members,
            combine=combine,
            image_size=int(size),
            weights=weights,
            threshold=0.5 if threshold is None else threshold,
            head=head,
            head_provenance={} if head is None else opened.provenance() if opened else {"random": True},
            specs=specs,
        )
        if head is not None and opened is not None:
            check_members(ensemble, stored.get("fingerprints", ()))
            load_strict(head, opened, model="ensemble")
        return ensemble


def _opened(source: str) -> Checkpoint:
    from robustness.runners.checkpoints.checkpoint import open_checkpoint

    opened = open_checkpoint(source, model="ensemble")
    if not opened.own:
        raise InputError(
            f"checkpoint: expected the folder of a trained fusion for 'ensemble', got {source!r}; its members state "
            "checkpoints of their own"
        )
    return opened


def _trained_size(opened: Checkpoint, stated: int | None, size: int) -> int:
    trained = int(opened.document.get("preprocess", {}).get("image_size", size))
    if stated not in (None, trained):
        raise InputError(f"image_size: expected {trained}, at which the head was trained, got {stated}")
    return trained


def _combination(stated: Any, trained: bool) -> str:
    from robustness.runners.models.ensemble.segmenter import COMBINATIONS

    combine = str(stated)
    if combine not in COMBINATIONS:
        near = suggest(combine, COMBINATIONS)
        raise InputError(f"combine: expected one of {', '.join(COMBINATIONS)}, got {combine!r}{near}")
    if trained and combine != "fusion":
        raise InputError(f'combine: expected "fusion" with the checkpoint of a head, got {combine!r}')
    return combine


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
