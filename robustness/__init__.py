"""vlsm-robustness: audits of vision-language segmentation models on 2D medical images.

Public names are loaded at first use (PEP 562), so that ``import robustness`` stays fast and pulls no torch.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

__version__ = "0.1.0"

_here = Path(__file__).resolve().parent
if not (_here / "perturb").is_dir():
    # In a checkout the other rooms lie beside this folder, not inside it as in an installed wheel.
    __path__.append(str(_here.parent))

_PUBLIC = {
    "Attribute": "robustness.types",
    "Case": "robustness.types",
    "InputError": "robustness.errors",
    "METRICS": "robustness.registry",
    "MODELS": "robustness.registry",
    "PERTURBATIONS": "robustness.registry",
    "Plan": "robustness.plans.audit",
    "Prompt": "robustness.types",
    "RobustnessError": "robustness.errors",
    "Run": "robustness.workflows.run",
    "audit": "robustness.workflows.audit",
    "check_dataset": "robustness.runners.data.check",
    "effects": "robustness.metrics.analyses.effects",
    "export": "robustness.workflows.exchange",
    "finetune": "robustness.workflows.audit",
    "forecast": "robustness.forecasts.forecast",
    "load_dataset": "robustness.runners.data.load",
    "load_model": "robustness.runners.models.load",
    "load_plan": "robustness.plans.audit",
    "load_predictions": "robustness.runners.models.black_box.predictions",
    "mask_metrics": "robustness.metrics.scores.masks",
    "open_run": "robustness.workflows.run",
    "parse_prompt": "robustness.perturb.language.parse",
    "perturb_prompt": "robustness.perturb.preview",
    "score": "robustness.workflows.exchange",
    "segmenter": "robustness.runners.models.black_box.callable",
    "verdicts": "robustness.metrics.verdicts.verdicts",
}

__all__ = ["__version__", *sorted(_PUBLIC)]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'robustness' has no attribute {name!r}")
    value = getattr(importlib.import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
