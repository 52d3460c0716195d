"""What a model's own code raises, and answers that are no maps, as errors of the rows that they concern."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from robustness.errors import CaseError, InputError, one_line
from robustness.foreign_code import foreign_code
from robustness.runners.inference.request import Request
from robustness.types import Probability


def stops_all(error: Exception) -> bool:
    """Return whether an error is one of the whole: bad usage, or a lack of memory that smaller parts did not fix."""
    whole = isinstance(error, InputError | torch.cuda.OutOfMemoryError | MemoryError)
    return whole and not isinstance(error, CaseError)


def case_error(error: Exception, what: str) -> CaseError:
    """Return what a model raised for one image, text or pair as the error of the rows that it concerns."""
    if isinstance(error, CaseError):
        return error
    return CaseError(f"the model raised {type(error).__name__} for this {what}: {one_line(error, most=300)}")


def finite_or_error(outcome: Probability | CaseError) -> Probability | CaseError:
    """Return a map, or an error where it is no map: NaN lies above no threshold and would pass for an empty mask."""
    if isinstance(outcome, CaseError) or bool(np.isfinite(outcome).all()):
        return outcome
    return CaseError("the model's output is not finite (NaN or infinity)")


def looked_up(lookup: Callable[[Request], Probability], request: Request) -> Probability | CaseError:
    """Return the map that a model holds for a request, or the error of its case."""
    try:
        with foreign_code():
            return lookup(request)
    except CaseError as error:
        return error
