"""Record the requests of an audit: the audit itself, with a model that only writes down what it is asked."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import torch

from robustness.errors import CaseError, InputError
from robustness.plans.audit import ModelSpec, Plan
from robustness.runners.audit.run import run_audit
from robustness.runners.data.load import Dataset
from robustness.runners.inference.request import Request
from robustness.types import Progress

if TYPE_CHECKING:
    import pandas as pd

NAME = "recorder"
_NOTED = "noted, not predicted"

Take = Callable[[Request], str]


@dataclass(eq=False)
class Recorder:
    """A model that answers no request, but hands each to `take` and remembers the id that it gets for it."""

    take: Take
    name: str = NAME
    threshold: float = 0.5
    image_size: int = 0
    network: torch.nn.Module | None = None
    ids: dict[tuple[str, str, int], str] = field(default_factory=dict)

    def lookup(self, request: Request) -> NoReturn:
        """Note a request; raise CaseError, so that nothing is scored."""
        self.ids[request.condition, request.case_id, request.prompt_index] = self.take(request)
        raise CaseError(_NOTED)

    def encode_image(self, images: Sequence[Any]) -> NoReturn:
        """Raise InputError: there is no network."""
        raise InputError(f"{self.name}: there is no network")

    encode_text = encode_image

    def decode(self, image_embedding: Any, text_embedding: Any) -> NoReturn:
        """Raise InputError: there is no network."""
        raise InputError(f"{self.name}: there is no network")

    def probabilities(self, image_embedding: Any, text_embedding: Any, sizes: Any = None) -> NoReturn:
        """Raise InputError: there is no network."""
        raise InputError(f"{self.name}: there is no network")


def record(plan: Plan, dataset: Dataset, index: int, take: Take, *, progress: Progress | None = None) -> pd.DataFrame:
    """Hand every request of an audit of `dataset`, the plan's data number `index`, to `take`.

    Returns:
        The audit's rows, one per prediction, with the id that `take` returned in the column `id`; it is "" for rows
        that need no prediction (`applicable` is false, `note` says why) and for unreadable cases (`error` says why).
    """
    recorder = Recorder(take)
    one = plan.model_copy(update={"model": [ModelSpec(name=NAME)], "data": [plan.data[index]]})
    with tempfile.TemporaryDirectory() as folder:
        run = run_audit(one, models=[recorder], datasets=[dataset], out=Path(folder) / NAME, progress=progress)
        rows = run.read_results()
    keys = zip(rows["condition"], rows["case_id"], rows["prompt_index"], strict=True)
    noted = rows["error"] == _NOTED
    ids = [recorder.ids.get(key, "") if has_text else "" for key, has_text in zip(keys, noted, strict=True)]
    return rows.assign(id=ids, error=rows["error"].where(~noted, ""))
