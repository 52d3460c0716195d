"""One audit while it runs: the parts of a plan, computed one after the other and stored."""

from __future__ import annotations

import json
import os
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robustness.errors import CaseError, InputError
from robustness.files import write_text
from robustness.perturb.joint import chosen_of
from robustness.perturb.select import Selected
from robustness.plans.audit import NOT_HASHED, Plan, parse_plan
from robustness.plans.differences import differing_keys
from robustness.plans.toml import read_toml
from robustness.run_folder import PLAN, STATE, RunFolder, read_table
from robustness.run_log import RunLog
from robustness.runners.attacks.model import rows_of
from robustness.runners.attacks.searches import Attacks, settings_of
from robustness.runners.attacks.worst_prompt import bind
from robustness.runners.audit.answer_guard import PartAnswers, answers_file
from robustness.runners.audit.failure_streak import FailureStreak
from robustness.runners.audit.gallery import GalleryCollector, Standings
from robustness.runners.audit.image_jobs import image_jobs
from robustness.runners.audit.jobs import Group, Job, JobMaker, Placed, jobs_of, jobs_of_streams
from robustness.runners.audit.parts import Part, cut_parts, first_parts, image_places, model_names
from robustness.runners.audit.plan_engine import engine_of
from robustness.runners.audit.reader import AuditStoppedError, ImageOf, Reader
from robustness.runners.audit.rerun import sampled_images, shows_noise
from robustness.runners.audit.results_table import results_table
from robustness.runners.audit.rows import SeriesIdentity
from robustness.runners.audit.saved_predictions import SavedPredictions
from robustness.runners.audit.scoring import Scored, Scorer
from robustness.runners.audit.state import HARDWARE, compare, describe, digest, only, without
from robustness.runners.audit.text_probe import Vectors, has_text_embedding, with_text_distance
from robustness.runners.data.load import Dataset
from robustness.runners.environment import environment, reuse_memory
from robustness.runners.inference.engine import Engine
from robustness.types import Segmenter

if TYPE_CHECKING:
    import pandas as pd

# Changed images of this many jobs are held at once; more would cost memory, fewer would starve the batches.
CHANGED_IMAGES_AT_ONCE = 32

# In a run's state: where the relative paths of its plan lie.
PLAN_FOLDER = "plan_folder"


class AuditSession:
    """Computes and stores the parts of one audit.

    Args:
        plan: the resolved plan; `models` and `datasets` are its `model` and `data`, loaded.
        run: the run's folder.
        strict: a case that fails is an error instead of a row.
        ahead: images that may be read before they are needed.
    """

    def __init__(
        self,
        plan: Plan,
        models: Sequence[Segmenter],
        datasets: Sequence[Dataset],
        run: RunFolder,
        *,
        strict: bool,
        ahead: int = 0,
    ) -> None:
        reuse_memory()
        self.plan, self.models, self.datasets, self.run, self.strict = plan, models, datasets, run, strict
        self.names = model_names(plan, models)
        self.parts = cut_parts(models, datasets, plan.engine.images_per_part)
        self.environment = environment(plan.engine.threads)
        self.chosen = [chosen_of(plan.perturbations, dataset.context(plan.seed)) for dataset in datasets]
        self.places = [image_places(dataset) for dataset in datasets]
        self.firsts = first_parts(self.parts)
        self.predicted_twice: dict[tuple[int, int], frozenset[str]] = {}
        self.standings = Standings()
        self.engines: dict[int, Engine] = {}
        self.streaks: dict[int, FailureStreak] = {}
        self.counted: dict[int, dict[str, int]] = {}
        self.vectors: dict[int, Vectors] = {}
        self.on_rows: Callable[[int], None] | None = None
        self.reader = Reader(
            datasets, self.places, [self._series(part) for part in self.parts], strict=strict, ahead=ahead
        )
        self.settings = settings_of(plan)
        self.attacks: dict[tuple[int, int], Attacks] = {}
        self.saved = SavedPredictions(run.path / "predictions", datasets) if plan.engine.save_predictions else None

    def state(self) -> dict[str, Any]:
        """Return what a resume and a replay must find unchanged, as JSON values."""
        state = {
            "plan_sha256": self.plan.sha256(),
            "parts": len(self.parts),
            "conditions": [chosen.conditions for chosen in self.chosen],
            "models": [without(describe(model), HARDWARE) for model in self.models],
            "datasets": [digest(dataset.fingerprint()) for dataset in self.datasets],
            "environment": {**self.environment, "hardware": [only(describe(m), HARDWARE) for m in self.models]},
        }
        return dict(json.loads(json.dumps(state)))

    def open_state(self, *, allow_drift: bool, plan_folder: Path | None = None) -> None:
        """Write the run's state, or compare it with the one that is there.

        `plan_folder`, where the plan's relative paths lie, is noted for a replay and never compared.
        """
        state = self.state()
        stored = self.run.read_json(STATE)
        if stored:
            same = stored["plan_sha256"] == state["plan_sha256"]
            compare(stored, state, allow_drift=allow_drift, plan_keys="" if same else self._differing_keys())
            self._keep_plan(stored["plan_sha256"])
            return
        write_text(self.run.path / PLAN, self.plan.to_toml())
        where = {} if plan_folder is None else {PLAN_FOLDER: str(plan_folder.resolve())}
        self.run.write_json(STATE, {**state, **where})

    def _differing_keys(self) -> str:
        try:
            stored = read_toml(self.run.path / PLAN)
        except InputError:
            return ""
        return differing_keys(stored, tomllib.loads(self.plan.to_toml()), leave_out=NOT_HASHED)

    def _keep_plan(self, sha256: str) -> None:
        """See that the run's plan is the one that its rows were made by: the conclusions are drawn from it."""
        if not os.path.lexists(self.run.path / PLAN):
            write_text(self.run.path / PLAN, self.plan.to_toml())
        stored = parse_plan(read_toml(self.run.path / PLAN), source=PLAN)
        if stored.sha256() != sha256:
            raise InputError(
                f"out: {PLAN} was changed since the audit began; restore it, or delete it and run the same audit "
                "again, which writes it again"
            )

    def first_of_sampled(self) -> set[int]:
        """Return the first parts that tell later ones which of their images to run a second time."""
        return {
            first
            for (_, dataset), first in self.firsts.items()
            if len(self._sampled(dataset, first)) < len(self.places[dataset])
        }

    def _sampled(self, dataset: int, first: int) -> frozenset[str]:
        images = list(self.places[dataset])
        return sampled_images(images, first=len(self.parts[first].images), seed=self.plan.seed)

    def run_part(self, index: int) -> None:
        """Predict, score and store one part."""
        part = self.parts[index]
        started = time.perf_counter()
        collector, scorer = GalleryCollector(self.plan.seed, self.standings), self._scorer(part)
        answers = PartAnswers(self.models[part.model], scorer.counts)

        def keep(scored: Scored) -> None:
            if scored.clean is not None:
                collector.offer(scored)
            if self.saved is not None:
                self.saved.save(scored)

        table = self.table_of(part, visit=keep, scorer=scorer)
        self.run.write_table(self.run.picture_part(part.index), collector.table())
        place = {"model": part.model, "dataset": part.dataset}
        self.run.write_json(answers_file(part.index), answers.record(place))
        seconds = time.perf_counter() - started
        self.run.write_part(part.index, table, self._work(part.model, seconds))
        failed = int((table["error"] != "").sum())
        RunLog(self.run.path).event("part", index=index, seconds=round(seconds, 3), rows=len(table), failed=failed)

    def table_of(
        self, part: Part, *, visit: Callable[[Scored], None] | None = None, scorer: Scorer | None = None
    ) -> pd.DataFrame:
        """Predict and score the images of a part; return its rows as they are stored, and write nothing.

        Args:
            part: its number may be any; images that no part holds are refused by the reader.
            visit: sees every prediction as it is scored.
            scorer: counts what the model answers; None: a new one.
        """
        joint = self.chosen[part.dataset].joint
        maker = JobMaker(series=self._series(part), selected=self._bound(part), seed=self.plan.seed, joint=joint)
        groups = self.reader.groups(part.keys(), then=self._following(part.index))
        rows = [placed for group in groups for placed in group.failed]
        for scored in self._scored(part, scorer or self._scorer(part), maker, groups, rows):
            rows.extend(((*scored.job.order, place), row) for place, row in enumerate(scored.rows))
            if visit is not None:
                visit(scored)
            if self.on_rows is not None:
                self.on_rows(len(rows))
        rows.sort(key=lambda placed: placed[0])
        table = results_table([row for _, row in rows])
        model = self.models[part.model]
        if not has_text_embedding(model):
            return table
        return with_text_distance(table, model, vectors=self.vectors.setdefault(part.model, {}))

    def _series(self, part: Part) -> SeriesIdentity:
        dataset = self.datasets[part.dataset]
        return SeriesIdentity(self.names[part.model], dataset.name, dataset.split)

    def _following(self, index: int) -> Iterator[ImageOf]:
        """Yield the images of the parts that come after one and are not there yet."""
        for part in self.parts[index + 1 :]:
            if not self.run.part(part.index).is_file():
                yield from part.keys()

    def _bound(self, part: Part) -> list[Selected]:
        """Return the part's perturbations with its model in the loop of those that search or attack."""
        place = part.model, part.dataset
        if place not in self.attacks:
            model, dataset = self.models[part.model], self.datasets[part.dataset]
            self.attacks[place] = Attacks(model, dataset, self.settings, self.plan.seed)
        chosen = bind(self.chosen[part.dataset].single, self.models[part.model], budget=self.settings.text_budget)
        return self.attacks[place].bind(chosen)

    def _work(self, model: int, seconds: float) -> dict[str, float]:
        """Return what a part cost, and how many of its texts were too long for the model."""
        counted = {k: v for k, v in self._engine(model).describe().items() if k.startswith("n_")}
        counted |= rows_of([attack.counters for place, attack in self.attacks.items() if place[0] == model])
        before, self.counted[model] = self.counted.get(model, {}), counted
        return {"seconds": round(seconds, 3), **{k: v - before.get(k, 0) for k, v in counted.items()}}

    def _predicted_twice(self, part: Part) -> frozenset[str]:
        """Return which images of a part are run a second time; see `robustness.runners.audit.rerun`."""
        place = part.model, part.dataset
        if place not in self.predicted_twice:
            first, images = self.firsts[place], self.places[part.dataset]
            chosen = self._sampled(part.dataset, first)
            if part.index == first:
                return chosen
            needed = len(chosen) < len(images) and shows_noise(read_table(self.run.part(first)))
            self.predicted_twice[place] = frozenset(images) if needed else chosen
        return self.predicted_twice[place]

    def _scorer(self, part: Part) -> Scorer:
        return Scorer(
            threshold=self.models[part.model].threshold,
            metrics=self.plan.metrics.names,
            nsd_tolerance_mm=self.plan.metrics.nsd_tolerance_mm,
            at_network_size=self.plan.metrics.resolution == "network",
            thresholds=self.plan.metrics.thresholds,
        )

    def _scored(
        self, part: Part, scorer: Scorer, maker: JobMaker, groups: Sequence[Group], rows: list[Placed]
    ) -> Iterator[Scored]:
        engine = self._engine(part.model)
        clean = jobs_of_streams((maker.clean_image_jobs(g) for g in groups), rows)
        yield from self._predict(engine, scorer, clean, rows)
        twice = self._predicted_twice(part)
        again = [
            job for g, image in zip(groups, part.images, strict=True) if image in twice for job in maker.rerun_jobs(g)
        ]
        yield from self._predict(engine, scorer, again, rows, fresh=True)
        changed = image_jobs(maker, groups, **_where_pictures_change(self.models[part.model]))
        waiting: list[Job] = []
        for job in jobs_of(changed, rows):
            # Jobs on one image stay together, so that it is encoded once.
            full = len(waiting) >= CHANGED_IMAGES_AT_ONCE
            if full and job.request.image_key != waiting[-1].request.image_key:
                yield from self._predict(engine, scorer, waiting, rows)
                waiting = []
            waiting.append(job)
        yield from self._predict(engine, scorer, waiting, rows)

    def _predict(
        self, engine: Engine, scorer: Scorer, jobs: Sequence[Job], rows: list[Placed], *, fresh: bool = False
    ) -> Iterator[Scored]:
        # Stored predictions that are missing say nothing of the next ones.
        stored = hasattr(engine.model, "lookup")
        streak = self.streaks.setdefault(id(engine), FailureStreak(engine.model.name))
        outcomes = engine.outcomes([job.request for job in jobs], fresh=fresh)
        for job, outcome in zip(jobs, outcomes, strict=True):
            streak.note(job.request.case_id, None if stored else outcome)
            if not isinstance(outcome, CaseError):
                yield scorer.score(job, outcome)
                continue
            if self.strict:
                raise AuditStoppedError(f"{job.request.case_id}: {outcome} (stopped: strict)") from outcome
            rows.extend(((*job.order, place), row.failed(outcome)) for place, row in enumerate(job.rows))

    def _engine(self, model: int) -> Engine:
        if model not in self.engines:
            self.engines[model] = engine_of(self.models[model], self.plan)
        return self.engines[model]


def _where_pictures_change(model: Segmenter) -> dict[str, Any]:
    """On the model's accelerator in batches; on the CPU one by one, which costs nothing there."""
    device = str(getattr(model, "device", "cpu"))
    return {"device": device, "at_once": 1 if device == "cpu" else CHANGED_IMAGES_AT_ONCE}
