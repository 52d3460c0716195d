"""The study plan: models x datasets x prompts x folds x seeds, each finetuned and audited; fixed before it runs."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator, Field, model_validator

from robustness.errors import InputError
from robustness.plans.audit import DataSpec, EngineSpec, MetricSpec, PerturbationSpec, Plan, StatisticsSpec, parse_plan
from robustness.plans.finetune import TrainDataSpec, TrainModelSpec, TrainPlan, TrainSpec, parse_train_plan
from robustness.plans.toml import StrictModel, as_list, read_with_overrides, without_none
from robustness.plans.validation import validated


class StudyModelSpec(TrainModelSpec):
    """``[[model]]``: as in a finetune plan; `finetune = false` only audits it as it is."""

    label: str | None = None
    finetune: bool = True


class StudyDataSpec(TrainDataSpec):
    """``[[data]]``: as in a finetune plan, and the split that is audited."""

    name: str | None = None
    test_split: str = "test"


class SweepSpec(StrictModel):
    """``[sweep]``: what else is varied.

    Attributes:
        prompts: prompt keys; each trains and is audited with one. None: the data's own.
        folds: folds of the `splits` file of each ``[[data]]``, trained on ``fold0-train`` and so on. None: no folds.
        seeds: of training.
        zero_shot: audit every model as it is, too.
        cross: audit each finetuned model on the test split of every ``[[data]]``, not of its own only.
    """

    prompts: list[str] | None = Field(default=None, min_length=1)
    folds: list[Annotated[int, Field(ge=0)]] | None = Field(default=None, min_length=1)
    seeds: list[Annotated[int, Field(ge=0)]] = Field(default_factory=lambda: [0], min_length=1)
    zero_shot: bool = False
    cross: bool = False


class StudyAuditSpec(StrictModel):
    """``[audit]``: the tables of an audit plan that all audits share."""

    seed: int = Field(default=0, ge=0)
    perturbations: PerturbationSpec = PerturbationSpec()
    metrics: MetricSpec = MetricSpec()
    statistics: StatisticsSpec = StatisticsSpec()
    engine: EngineSpec = EngineSpec()


class Cell(NamedTuple):
    """One cell of a study; `train` is None where the model is audited as it is (zero-shot)."""

    name: str
    facts: dict[str, Any]
    train: TrainPlan | None
    audit: Plan


class StudyPlan(StrictModel):
    """A whole study."""

    title: str | None = None
    model: Annotated[list[StudyModelSpec], BeforeValidator(as_list)] = Field(min_length=1)
    data: Annotated[list[StudyDataSpec], BeforeValidator(as_list)] = Field(min_length=1)
    train: TrainSpec = TrainSpec()
    sweep: SweepSpec = SweepSpec()
    audit: StudyAuditSpec = StudyAuditSpec()

    @model_validator(mode="after")
    def _folds_need_splits(self) -> StudyPlan:
        if self.sweep.folds is not None and any(data.splits is None for data in self.data):
            raise ValueError("sweep.folds: expected splits = FILE in every [[data]]; make one with `robustness split`")
        return self

    def cells(self, checkpoints: Path) -> list[Cell]:
        """Return all cells in plan order: zero-shot ones first, then models x data x prompts x folds x seeds.

        Args:
            checkpoints: the folder in which cell NAME trains, as NAME/checkpoint.

        Raises:
            InputError: two cells have one name.
        """
        zero = [m for m in self.model if self.sweep.zero_shot or not m.finetune]
        planned = [self._zero_shot(m, d, p, f) for m, d, p, f in itertools.product(zero, *self._axes())]
        tuned = [m for m in self.model if m.finetune]
        for m, d, p, f, seed in itertools.product(tuned, *self._axes(), self.sweep.seeds):
            planned.append(self._finetuned(m, d, p, f, seed, checkpoints))
        names = [cell.name for cell in planned]
        duplicate = next((name for name in names if names.count(name) > 1), None)
        if duplicate is not None:
            raise InputError(f"model: expected cells of different names, {duplicate!r} comes twice; give labels")
        return planned

    def _axes(self) -> tuple[Sequence[StudyDataSpec], Sequence[str | None], Sequence[int | None]]:
        return self.data, self.sweep.prompts or [None], self.sweep.folds or [None]

    def _zero_shot(self, model: StudyModelSpec, data: StudyDataSpec, prompt: str | None, fold: int | None) -> Cell:
        facts = _facts(model, data, prompt, fold, None)
        spec = model.model_dump(exclude={"finetune", "label"}, exclude_none=True)
        audit = self._audit({**spec, "label": f"{facts['model']} (zero-shot)"}, [data], prompt, fold)
        return Cell(_name(facts), facts, None, audit)

    def _finetuned(
        self,
        model: StudyModelSpec,
        data: StudyDataSpec,
        prompt: str | None,
        fold: int | None,
        seed: int,
        checkpoints: Path,
    ) -> Cell:
        facts = _facts(model, data, prompt, fold, seed)
        name = _name(facts)
        folder = checkpoints / name / "checkpoint"
        learnt = data.model_dump(exclude={"name", "test_split"}, exclude_unset=True)
        learnt |= {} if prompt is None else {"prompt": [prompt]}
        learnt |= {} if fold is None else {"split": f"fold{fold}-train", "val_split": f"fold{fold}-val"}
        tree = {
            "title": f"{self.title or 'study'}: {name}",
            "model": model.model_dump(exclude={"finetune", "label"}),
            "data": learnt,
            "train": {**self.train.model_dump(exclude_unset=True), "seed": seed},
        }
        tested = self.data if self.sweep.cross else [data]
        fields = {"name": model.name, "checkpoint": str(folder), "device": model.device}
        audit = self._audit({**fields, "label": _label(facts)}, tested, prompt, fold)
        return Cell(name, facts, parse_train_plan(without_none(tree), source=f"study cell {name}"), audit)

    def _audit(
        self, model: dict[str, Any], data: Sequence[StudyDataSpec], prompt: str | None, fold: int | None
    ) -> Plan:
        tree = {"title": self.title, "model": model, **self.audit.model_dump(exclude_unset=True)}
        tree["data"] = [_tested(d, prompt, fold).model_dump() for d in data]
        return parse_plan(without_none(tree), source="study")


def load_study(path: str | Path, *, overrides: Sequence[str] = ()) -> StudyPlan:
    """Read a study plan; arguments and errors are those of `robustness.plans.audit.load_plan`."""
    return validated(StudyPlan, read_with_overrides(path, overrides), source=str(path))


def _tested(data: StudyDataSpec, prompt: str | None, fold: int | None) -> DataSpec:
    return DataSpec(
        path=data.path,
        name=data.name,
        split=data.test_split if fold is None else f"fold{fold}-test",
        prompt=prompt or data.validation_prompt,
        subject=data.subject,
        modality=data.modality,
        splits=data.splits,
        **data.reading(),
    )


def _facts(
    model: StudyModelSpec, data: StudyDataSpec, prompt: str | None, fold: int | None, seed: int | None
) -> dict[str, Any]:
    return {
        "model": model.label or model.name,
        "data": data.name or Path(data.path).stem,
        "prompt": prompt or "+".join(data.prompt),
        "fold": fold,
        "seed": seed,
    }


def _name(facts: dict[str, Any]) -> str:
    parts = [str(facts["model"]), str(facts["data"]), str(facts["prompt"])]
    parts += [] if facts["fold"] is None else [f"fold{facts['fold']}"]
    parts.append("zero-shot" if facts["seed"] is None else f"seed{facts['seed']}")
    return "__".join(re.sub(r"[^\w.+-]", "-", part) for part in parts)


def _label(facts: dict[str, Any]) -> str:
    fold = "" if facts["fold"] is None else f", fold {facts['fold']}"
    return f"{facts['model']} ({facts['data']} {facts['prompt']}{fold}, seed {facts['seed']})"
