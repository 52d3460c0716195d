"""The determinism certificate of a run: measured once, kept beside its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from robustness.plans.audit import Plan
from robustness.run_folder import CERTIFICATE, RunFolder

if TYPE_CHECKING:
    from robustness.runners.data.dataset import Dataset
    from robustness.types import Segmenter

# What a certificate is of: on another machine, or with another number of threads, the noise is another.
_MACHINE = ("platform", "threads", "accelerator", "packages")


def ensure_certificate(folder: RunFolder, plan: Plan, models: Sequence[Segmenter], datasets: Sequence[Dataset]) -> bool:
    """Measure the noise of the computation and write it into the run, unless this machine's is there already.

    Returns:
        Whether it was measured now, so that the run's conclusions must be drawn again.
    """
    from robustness.runners.audit.certificate import certify
    from robustness.runners.audit.parts import model_names
    from robustness.runners.environment import environment

    machine = {key: value for key, value in environment(plan.engine.threads).items() if key in _MACHINE}
    stored: Mapping[str, Any] = folder.read_json(CERTIFICATE)
    if stored.get("machine") == machine:
        return False
    measured = certify(plan, models, datasets, model_names(plan, models))
    folder.write_json(CERTIFICATE, {"machine": machine, **measured})
    return True
