"""The engine of a plan for one model."""

from __future__ import annotations

from typing import TypeVar

from robustness.plans.audit import EngineSpec, Plan
from robustness.runners.inference.engine import Engine
from robustness.runners.inference.image_feature_cache import ImageFeatureCache
from robustness.runners.inference.mask_answers import MaskEngine
from robustness.runners.inference.segmenter import NetworkSegmenter
from robustness.types import Segmenter

E = TypeVar("E", bound=Engine)


def engine_of(model: Segmenter, plan: Plan) -> Engine:
    """Return the engine that a plan asks for; only networks have features that a cache can keep.

    A model that says so (`pairs_at_once`) gets that many pairs at a time where the plan's number is smaller. A network
    that says so (`images_at_once`) encodes that many images at once where the plan leaves its number at the default.
    """
    return _engine(Engine, model, plan)


def mask_engine_of(model: Segmenter, plan: Plan, *, whole: bool) -> MaskEngine:
    """Return the same engine with masks for outcomes; `whole`: with their maps."""
    engine = _engine(MaskEngine, model, plan)
    engine.thresholds, engine.whole = (model.threshold, *plan.metrics.thresholds), whole
    return engine


def _engine(kind: type[E], model: Segmenter, plan: Plan) -> E:
    spec, cache = plan.engine, None
    if spec.cache is not None and isinstance(model, NetworkSegmenter):
        cache = ImageFeatureCache(spec.cache, model, limit_gib=spec.cache_gib, dtype=spec.cache_dtype)
    pairs = getattr(model, "pairs_at_once", None) or 0
    by_default = spec.image_batch == EngineSpec.model_fields["image_batch"].default
    images = getattr(getattr(model, "network", None), "images_at_once", 0) if by_default else 0
    return kind(
        model,
        batch_size=max(spec.batch_size, pairs),
        image_batch=max(spec.image_batch, pairs // 2, images),
        resolution=plan.metrics.resolution,
        cache=cache,
        keep_texts=True,
    )
