"""Set-up of a training: network, cases, what is frozen, and the facts that its folder records."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from robustness.errors import InputError
from robustness.plans.finetune import TrainDataSpec, TrainPlan, TrainSpec
from robustness.plans.paths import resolve, resolved_options
from robustness.registry import MODELS
from robustness.runners.data.check.opened import check_opened, refuse_errors
from robustness.runners.data.load import Dataset
from robustness.runners.data.membership import RECORD, pixel_digests, recorded
from robustness.runners.inference.segmenter import NetworkSegmenter
from robustness.runners.models.ensemble.fusion import FusionSegmenter, fusion_segmenter
from robustness.runners.models.ensemble.segmenter import Ensemble
from robustness.runners.models.load import load_model
from robustness.runners.training.lora import add_adapters
from robustness.runners.training.parts import freeze, parameters_by_part
from robustness.runners.training.ranks import Ranks, own_device
from robustness.runners.training.samples.absent_targets import AbsentTargets
from robustness.runners.training.samples.cases import TrainingCases
from robustness.runners.training.samples.counterfactual import Counterfactuals
from robustness.runners.training.samples.pool import Cases, PooledCases, limited
from robustness.runners.training.samples.resized_cases import open_split


@dataclass(frozen=True)
class TrainingSetup:
    """A network with its cases, ready to train.

    Attributes:
        segmenter: the network; what is frozen asks for no gradient.
        training, validation: the cases.
        frozen: the parts whose own weights do not learn.
        trainable: learning parameters of each part.
        facts: what ``training.json`` and the checkpoint record, besides `training_record`.
    """

    segmenter: NetworkSegmenter
    training: Cases
    validation: Cases
    frozen: tuple[str, ...]
    trainable: dict[str, int]
    facts: dict[str, Any]

    def counted(self) -> str:
        """Return one line about how many parameters learn."""
        shares = ", ".join(f"{part} {count:,}" for part, count in self.trainable.items())
        return f"{sum(self.trainable.values()):,} of {self.facts['parameters']:,} parameters learn ({shares})"


def set_up(plan: TrainPlan, base_dir: Path | None) -> TrainingSetup:
    """Return what `plan` starts from.

    Args:
        plan: the plan.
        base_dir: where its relative paths are looked up before the current folder.

    Raises:
        InputError: a model, a checkpoint, data or an option that cannot be used.
    """
    segmenter = _start(plan, base_dir)
    _refuse_texts_unread(plan, segmenter)
    training, validation = _cases(plan, segmenter, base_dir)
    frozen = _frozen_parts(plan)
    parts = parameters_by_part(segmenter)
    freeze(segmenter, frozen, parts)
    parameters = sum(p.numel() for p in segmenter.network.parameters())
    if plan.train.lora is not None:
        parts = add_adapters(segmenter, plan.train.lora, parts, seed=plan.train.seed)
    trainable = _learning(segmenter, parts)
    facts = {
        "plan_sha256": plan.sha256(),
        "data": " + ".join(dict.fromkeys(part.first.name for part in training.parts)),
        "data_sha256": _data_sha256([training.first, validation.first, *training.pools(), *validation.pools()]),
        "notes": _notes(training, validation),
        "cases": {plan.data.split: len(training), plan.data.val_split: len(validation)},
        "prompts": list(dict.fromkeys(key for part in training.parts for key in part.datasets)),
        "started_from": dict(segmenter.provenance),
        "parameters": parameters,
        "trainable": sum(trainable.values()),
        "trainable_by_part": trainable,
        "frozen": [*frozen, *(["members"] if isinstance(segmenter, FusionSegmenter) else [])],
    }
    return TrainingSetup(segmenter, training, validation, tuple(frozen), trainable, facts)


def refuse_untrainable(name: str) -> None:
    """Check that a registered model can be finetuned.

    Raises:
        UnknownNameError: no such model.
        InputError: it cannot.
    """
    if not getattr(MODELS.get(name), "trainable", False):
        raise InputError(
            f"name: {name!r} cannot be finetuned here; expected a network such as clipseg, cris or film-unet "
            "(a black box runs as it is, and instance models have trainers of their own)"
        )


def training_record(plan: TrainPlan, setup: TrainingSetup, ranks: Ranks) -> dict[str, Any]:
    """Return, by its key, who was trained on, who chose the checkpoint, and whose cases were asked for besides.

    Every image is read for it, so it is made where a training begins, and not where a finished one is opened again.
    Several processes share the images, and all must call this: were one to read all of them, the others would wait for
    it, and of a large dataset beyond the time after which they give up.
    """
    own = [("train", part.first) for part in setup.training.parts]
    choosing = [("validation", part.first) for part in setup.validation.parts]
    besides = [("pool", data) for part in setup.training.parts for data in part.pools()]

    def read_together(data: Dataset) -> dict[str, str]:
        shares = ranks.gathered(pixel_digests(data, part=ranks.rank, parts=ranks.size))
        return {image: digest for share in shares for image, digest in share.items()}

    return {RECORD: recorded([*own, *choosing, *besides], form=plan.train.subjects, pixels=read_together)}


def _notes(training: Cases, validation: Cases) -> list[str]:
    """Return how the data were read (windows, masks, slices), each decision once, with the dataset's name."""
    datasets = [part.first for cases in (training, validation) for part in cases.parts]
    return list(dict.fromkeys(f"{dataset.name}: {note}" for dataset in datasets for note in dataset.notes))


def _start(plan: TrainPlan, base_dir: Path | None) -> NetworkSegmenter:
    spec = plan.model
    refuse_untrainable(spec.name)
    options = resolved_options(spec.options, base_dir)
    loaded: Any = load_model(
        spec.name,
        spec.checkpoint and resolve(spec.checkpoint, base_dir),
        device=own_device(spec.device, plan.train),
        precision="float32",
        threshold=spec.threshold,
        config=spec.config,
        seed=plan.train.seed,
        **options,
    )
    if isinstance(loaded, Ensemble):
        loaded = fusion_segmenter(loaded, seed=plan.train.seed)
    segmenter: NetworkSegmenter = loaded
    segmenter.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return segmenter


def _cases(plan: TrainPlan, segmenter: NetworkSegmenter, base_dir: Path | None) -> tuple[Cases, Cases]:
    groups = [_cases_of(data, plan.train, segmenter, base_dir) for data in (plan.data, *plan.pool)]
    if len(groups) == 1:
        return groups[0]
    stated = [data.weight for data in (plan.data, *plan.pool)]
    weights = None if all(w is None for w in stated) else [1.0 if w is None else w for w in stated]
    training, validation = zip(*groups, strict=True)
    return PooledCases(training, weights=weights, seed=plan.train.seed), PooledCases(validation)


def _cases_of(
    data: TrainDataSpec, spec: TrainSpec, segmenter: NetworkSegmenter, base_dir: Path | None
) -> tuple[TrainingCases, TrainingCases]:
    splits, lexicon = (stated and resolve(stated, base_dir) for stated in (data.splits, data.lexicon))
    data = data.model_copy(update={"path": resolve(data.path, base_dir), "splits": splits, "lexicon": lexicon})
    prepare = segmenter.preprocess
    sizes: dict[str, Any] = {"size": prepare.image_size, "interpolation": prepare.interpolation}
    others, absent = _other_questions(data, spec, sizes)
    opened = open_split(data, data.split, data.prompt)
    if data.fraction < 1:
        opened = {
            key: dataset.subset(limited(dataset, data.fraction, seed=spec.seed)) for key, dataset in opened.items()
        }
    training = TrainingCases(
        opened,
        seed=spec.seed,
        augment=spec.augment,
        empty=data.empty,
        attribute_dropout=spec.attribute_dropout,
        others=others,
        absent=absent,
        wordings=spec.consistency_texts if spec.consistency else 1,
        **sizes,
    )
    random_texts = "random_validation_text" in spec.reference_accidents
    keys = data.prompt if random_texts else [data.validation_prompt]
    return training, TrainingCases(open_split(data, data.val_split, keys), seed=spec.seed, redraw=random_texts, **sizes)


def _other_questions(
    data: TrainDataSpec, spec: TrainSpec, sizes: dict[str, Any]
) -> tuple[Counterfactuals | None, AbsentTargets | None]:
    """Return what asks for other and for absent targets; both read the same annotations, opened once."""
    if not spec.counterfactual and not spec.absent:
        return None, None
    pool = TrainingCases(
        open_split(data, data.counterfactual_split or data.split, data.prompt), seed=spec.seed, **sizes
    )
    others = Counterfactuals(pool, share=spec.counterfactual, seed=spec.seed) if spec.counterfactual else None
    context = pool.first.context(spec.seed)
    if not spec.absent:
        return others, None
    return others, AbsentTargets(context, share=spec.absent, seed=spec.seed, source=pool.first)


def _refuse_texts_unread(plan: TrainPlan, segmenter: NetworkSegmenter) -> None:
    used = [name for name in ("absent", "consistency") if getattr(plan.train, name)]
    if used and not segmenter.takes_text:
        raise InputError(
            f"train.{used[0]}: expected a model that reads its prompt, got {segmenter.name}, which reads no text; leave"
            " this key out"
        )


def _frozen_parts(plan: TrainPlan) -> list[str]:
    adapted = plan.train.lora.parts if plan.train.lora is not None else []
    chosen = plan.train.freeze
    if chosen is None:
        chosen = ["image", "text"] if getattr(MODELS.get(plan.model.name), "published", None) else []
    if len(set(chosen)) == 3:
        raise InputError("train.freeze: expected at most two of image, text, decoder, got all; nothing would learn")
    return list(dict.fromkeys([*chosen, *adapted]))


def _learning(segmenter: NetworkSegmenter, parts: dict[str, list[str]]) -> dict[str, int]:
    named = dict(segmenter.network.named_parameters())
    counts = {
        part: sum(named[name].numel() for name in names if named[name].requires_grad) for part, names in parts.items()
    }
    if not sum(counts.values()):
        raise InputError(f"train.freeze: nothing of {segmenter.name} would learn; freeze fewer parts")
    return counts


def _data_sha256(datasets: Sequence[Dataset]) -> str:
    files = {name: digest for dataset in datasets for name, digest in dataset.fingerprint().items()}
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def check_before_training(plan: TrainPlan, setup: TrainingSetup) -> list[str]:
    """Return one line for each decision of the reader, and for each kind of finding in the data of a training.

    Raises:
        InputError: a dataset has an error and the plan does not say to go on (``[data] check``).
    """
    lines = [f"note: {note}" for note in setup.facts["notes"]]
    pairs = zip([plan.data, *plan.pool], setup.training.parts, setup.validation.parts, strict=True)
    for spec, training, validation in pairs:
        if spec.check == "off":
            continue
        own, other = training.first, validation.first
        findings = check_opened(own, {other.split: other.records} if other.split != own.split else {})
        lines += [f"check: {own.name}: {f.level}: {f.message} ({f.code})" for f in findings]
        if spec.check != "warn":
            refuse_errors(findings, own.name)
    return lines
