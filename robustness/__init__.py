"""vlsm-robustness: audits of vision-language segmentation models on 2D medical images.

Public names are loaded at first use (PEP 562), so that ``import robustness`` stays fast and pulls no torch; type
checkers and editors read the imports below.
"""

from __future__ import annotations

from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from robustness.errors import InputError, RobustnessError
    from robustness.forecasts.forecast import forecast
    from robustness.gates.assertions import GateError
    from robustness.metrics.analyses.effects import effects
    from robustness.metrics.scores.masks import mask_metrics
    from robustness.metrics.verdicts.verdicts import verdicts
    from robustness.perturb.language.parse import parse_prompt
    from robustness.perturb.preview import perturb_prompt
    from robustness.plans.audit import Plan, load_plan
    from robustness.registry import METRICS, MODELS, PERTURBATIONS
    from robustness.runners.data.check.dataset import check_dataset
    from robustness.runners.data.load import load_dataset
    from robustness.runners.models.black_box.callable import segmenter
    from robustness.runners.models.black_box.predictions import load_predictions
    from robustness.runners.models.load import load_model
    from robustness.types import Attribute, Case, Prompt
    from robustness.workflows.audit import audit, finetune
    from robustness.workflows.demo_files import demo_checkpoint, demo_data
    from robustness.workflows.exchange import export, score
    from robustness.workflows.run import Run, open_run

__version__ = "0.1.0"

_here = Path(__file__).resolve().parent
if not (_here / "perturb").is_dir():
    # In a checkout the other rooms lie beside this folder, not inside it as in an installed wheel.
    __path__.append(str(_here.parent))

from robustness.lazy import load  # noqa: E402 - the search path of the rooms comes first

_MODULES = {
    "Attribute": "robustness.types",
    "Case": "robustness.types",
    "GateError": "robustness.gates.assertions",
    "InputError": "robustness.errors",
    "METRICS": "robustness.registry",
    "MODELS": "robustness.registry",
    "PERTURBATIONS": "robustness.registry",
    "Plan": "robustness.plans.audit",
    "Prompt": "robustness.types",
    "RobustnessError": "robustness.errors",
    "Run": "robustness.workflows.run",
    "audit": "robustness.workflows.audit",
    "check_dataset": "robustness.runners.data.check.dataset",
    "demo_checkpoint": "robustness.workflows.demo_files",
    "demo_data": "robustness.workflows.demo_files",
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

__all__ = [
    "METRICS",
    "MODELS",
    "PERTURBATIONS",
    "Attribute",
    "Case",
    "GateError",
    "InputError",
    "Plan",
    "Prompt",
    "RobustnessError",
    "Run",
    "__version__",
    "audit",
    "check_dataset",
    "demo_checkpoint",
    "demo_data",
    "effects",
    "export",
    "finetune",
    "forecast",
    "load_dataset",
    "load_model",
    "load_plan",
    "load_predictions",
    "mask_metrics",
    "open_run",
    "parse_prompt",
    "perturb_prompt",
    "score",
    "segmenter",
    "verdicts",
]


if not TYPE_CHECKING:  # a type checker would take every name for one that exists

    def __getattr__(name: str) -> Any:
        value = load(__name__, _MODULES, name)
        if isinstance(value, FunctionType):
            from robustness.arguments import checks_arguments

            value = checks_arguments(value, __name__)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
