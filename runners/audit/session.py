"""One audit while it runs: the parts of a plan, computed one after the other and stored."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robustness.errors import CaseError
from robustness.perturb.joint import chosen_of
from robustness.perturb.select import Selected
from robustness.plans.audit import Plan
from robustness.run_folder import RunFolder, read_table
from robustness.run_log import RunLog
from robustness.runners.attacks.model import rows_of
from robustness.runners.attacks.searches import Attacks, settings_of
from robustness.runners.audit.answer_guard import FailureStreak, PartAnswers, answers_file
from robustness.runners.audit.gallery import GalleryCollector, Standings
from robustness.runners.audit.image_jobs import image_jobs
from robustness.runners.audit.jobs import (
    CHANGED_IMAGES_AT_ONCE,
    Group,
    Job,
    JobMaker,
    Placed,
    Wave,
    in_full_batches,
    jobs_of,
    jobs_of_streams,
)
from robustness.runners.audit.parts import (
    Part,
    cut_facts,
    cut_parts,
    first_parts,
    image_places,
    model_names,
    sampled_images,
    shows_noise,
)
from robustness.runners.audit.plan_engine import engine_of
from robustness.runners.audit.reader import AuditStoppedError, ImageOf, Reader
from robustness.runners.audit.rows import SeriesIdentity, results_table
from robustness.runners.audit.saved_predictions import SavedPredictions
from robustness.runners.audit.scoring import Scored, Scorer
from robustness.runners.audit.state import CHANGED_ON, HARDWARE, describe, digest, only, record_state, without
from robustness.runners.audit.text_probe import Vectors, has_text_embedding, with_text_distance
from robustness.runners.data.load import Dataset
from robustness.runners.environment import environment, reuse_memory
from robustness.types import Segmenter

if TYPE_CHECKING:
    import pandas as pd


class AuditSession:
    """Computes and stores the parts of one audit.

    Args:
        plan: the resolved plan; `models` and `datasets` are its `model` and `data`, loaded.
        run: the run's folder.
        strict: a case that fails is an error instead of a row.
        prefetch: images that may be read before they are needed.
        changes_on_device: images are changed on a model's accelerator, in batches; else one by one on the processor.
    """

    # Waves of jobs that may be with the model while the next one is prepared.
    waves_ahead = 0
    _maker: type[JobMaker] = JobMaker

    def __init__(
        self,
        plan: Plan,
        models: Sequence[Segmenter],
        datasets: Sequence[Dataset],
        run: RunFolder,
        *,
        strict: bool,
        prefetch: int = 0,
        changes_on_device: bool = True,
    ) -> None:
        reuse_memory()
        self.plan, self.models, self.datasets, self.run, self.strict = plan, models, datasets, run, strict
        self.changes_on_device = changes_on_device
        self.names = model_names(plan, models)
        self.parts = cut_parts(models, datasets, plan.engine.images_per_part, image_batch=plan.engine.image_batch)
        self.environment = environment(plan.engine.threads)
        self.chosen = [chosen_of(plan.perturbations, dataset.context(plan.seed)) for dataset in datasets]
        self.places = [image_places(dataset) for dataset in datasets]
        self.firsts = first_parts(self.parts)
        self.predicted_twice: dict[tuple[int, int], frozenset[str]] = {}
        self.standings = Standings()
        self.engines: dict[int, Any] = {}
        self.streaks: dict[int, FailureStreak] = {}
        self.counted: dict[int, dict[str, int]] = {}
        self.vectors: dict[int, Vectors] = {}
        self.on_rows: Callable[[int], None] | None = None
        self.reader = Reader(
            datasets, self.places, [self._series(part) for part in self.parts], strict=strict, prefetch=prefetch
        )
        self.settings = settings_of(plan)
        self.attacks: dict[tuple[int, int], Any] = {}
        self.saved = SavedPredictions(run.path / "predictions", datasets) if plan.engine.save_predictions else None

    def state(self) -> dict[str, Any]:
        """Return what a resume and a replay must find unchanged, as JSON values."""
        devices = {self._changes_on(number) for number in range(len(self.models))} - {"cpu"}
        changes = {CHANGED_ON: sorted(devices)} if devices else {}
        hardware = [only(describe(m), HARDWARE) for m in self.models]
        state = {
            "plan_sha256": self.plan.sha256(),
            **cut_facts(self.parts, self.datasets, self.plan.engine),
            "conditions": [chosen.conditions for chosen in self.chosen],
            "models": [without(describe(model), HARDWARE) for model in self.models],
            "datasets": [digest(dataset.fingerprint()) for dataset in self.datasets],
            "environment": {**self.environment, "hardware": hardware, **changes},
        }
        return dict(json.loads(json.dumps(state)))

    def open_state(self, *, allow_drift: bool, plan_folder: Path | None = None) -> None:
        """Write the run's state, or compare it with the one that is there.

        `plan_folder`, where the plan's relative paths lie, is noted for a replay and never compared.
        """
        record_state(self.run, self.plan, self.state(), allow_drift=allow_drift, plan_folder=plan_folder)

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
            answers.see(scored)
            if scored.clean is not None:
                collector.offer(scored)
            if self.saved is not None:
                self.saved.save(scored)

        table = self.table_of(part, visit=keep, scorer=scorer)
        self.run.write_table(self.run.picture_part(part.index), collector.table())
        self.run.write_json(answers_file(part.index), answers.record({"model": part.model, "dataset": part.dataset}))
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
        maker = self._maker(series=self._series(part), selected=self._bound(part), seed=self.plan.seed, joint=joint)
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
        return self.searches(part.model, part.dataset).bind(self.chosen[part.dataset].single)

    def searches(self, model: int, dataset: int) -> Any:
        """Return the searches and attacks of a model on a data set, the same ones each time."""
        place = model, dataset
        if place not in self.attacks:
            self.attacks[place] = self._searches(*place)
        return self.attacks[place]

    def search_counters(self, model: int) -> dict[str, Any]:
        """Return the counters of all searches and attacks of a model."""
        return rows_of([attack.counters for place, attack in self.attacks.items() if place[0] == model])

    def _searches(self, model: int, dataset: int) -> Any:
        return Attacks(self.models[model], self.datasets[dataset], self.settings, self.plan.seed)

    def _work(self, model: int, seconds: float) -> dict[str, float]:
        """Return what a part cost, and how many of its texts were too long for the model."""
        counted = {k: v for k, v in self._engine(model).describe().items() if k.startswith("n_")}
        counted |= self.search_counters(model)
        before, self.counted[model] = self.counted.get(model, {}), counted
        return {"seconds": round(seconds, 3), **{k: v - before.get(k, 0) for k, v in counted.items()}}

    def _predicted_twice(self, part: Part) -> frozenset[str]:
        """Return which images of a part are run a second time; see `robustness.runners.audit.parts`."""
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
        waves: deque[tuple[Sequence[Job], Iterator[Any]]] = deque()
        for wave in self._waves(part, maker, groups, rows, engine.image_batch):
            waves.append((wave.jobs, self._outcomes(engine, scorer, wave)))
            if len(waves) > self.waves_ahead:
                yield from self._answered(engine, scorer, *waves.popleft(), rows)
        for jobs, outcomes in waves:
            yield from self._answered(engine, scorer, jobs, outcomes, rows)

    def _waves(
        self, part: Part, maker: JobMaker, groups: Sequence[Group], rows: list[Placed], image_batch: int
    ) -> Iterator[Wave]:
        """Yield the jobs that the model is given together."""
        yield Wave(jobs_of_streams((maker.clean_image_jobs(g) for g in groups), rows))
        twice = self._predicted_twice(part)
        again = [
            job for g, image in zip(groups, part.images, strict=True) if image in twice for job in maker.rerun_jobs(g)
        ]
        yield Wave(again, fresh=True)
        device = self._changes_on(part.model)
        changed = image_jobs(maker, groups, device=device, at_once=1 if device == "cpu" else CHANGED_IMAGES_AT_ONCE)
        yield from map(Wave, in_full_batches(jobs_of(changed, rows), image_batch))

    def _outcomes(self, engine: Any, scorer: Scorer, wave: Wave) -> Iterator[Any]:
        """Return the outcomes of a wave; nothing is computed before the first is asked for."""
        outcomes: Iterator[Any] = engine.outcomes([job.request for job in wave.jobs], fresh=wave.fresh)
        return outcomes

    def _answered(
        self, engine: Any, scorer: Scorer, jobs: Sequence[Job], outcomes: Iterator[Any], rows: list[Placed]
    ) -> Iterator[Scored]:
        # Stored predictions that are missing say nothing of the next ones.
        stored = hasattr(engine.model, "lookup")
        streak = self.streaks.setdefault(id(engine), FailureStreak(engine.model.name))
        for job, outcome in zip(jobs, outcomes, strict=True):
            streak.note(job.request.case_id, None if stored else outcome)
            if not isinstance(outcome, CaseError):
                yield scorer.score(job, outcome)
                continue
            if self.strict:
                raise AuditStoppedError(f"{job.request.case_id}: {outcome} (stopped: strict)") from outcome
            rows.extend(((*job.order, place), row.failed(outcome)) for place, row in enumerate(job.rows))

    def _changes_on(self, model: int) -> str:
        """Return where images are changed; on the CPU one by one, which costs nothing there."""
        return str(getattr(self.models[model], "device", "cpu")) if self.changes_on_device else "cpu"

    def _engine(self, model: int) -> Any:
        if model not in self.engines:
            self.engines[model] = engine_of(self.models[model], self.plan)
        return self.engines[model]
