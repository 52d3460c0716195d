"""Base class of every perturbation: draw, then apply, then record."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, Union

import numpy as np

from robustness.errors import CaseError, InputError, counted, one_line
from robustness.foreign_code import foreign_code
from robustness.types import EXPECTATIONS, Case, DataContext, Mask, NotApplicable, Params, Prompt

if TYPE_CHECKING:
    import torch


class BasePerturbation:
    """Base of all entries; a subclass fills `propose` and `apply` (or one of the two shapes below).

    Class attributes:
        target: "prompt", "image" or "both" (moves the mask and the words).
        severities: the severity levels it has; ``(0,)`` where levels make no sense for a prompt edit, ``(1,)`` for an
            image change without levels.
        expectation: what a prompt-faithful, robust model should do; `expect` may refine it per case.
        per_prompt: the changed case depends on more than the image and the record: on the words or on the model.
        needs_model: nothing can be drawn without a model in the loop; an audit binds one.
    """

    name: str = ""
    target: ClassVar[str] = "prompt"
    severities: tuple[int, ...] = (0,)
    expectation: str = "none"
    per_prompt: ClassVar[bool] = True
    needs_model: ClassVar[bool] = False

    @classmethod
    def expand(cls, context: DataContext) -> Sequence[BasePerturbation]:
        """Return the perturbations that this entry stands for on a dataset (`antonym` -> one per kind)."""
        return (cls(),)

    def propose(self, case: Case, severity: int, rng: np.random.Generator) -> Params | NotApplicable:
        """Return JSON parameters, or the reason why the change does not apply."""
        raise NotImplementedError(f"{type(self).__name__} must define propose()")

    def draw(self, case: Case, severity: int, rng: np.random.Generator) -> Params | None:
        """Return JSON parameters, or None where the change does not apply."""
        proposed = self.propose(case, severity, rng)
        return None if isinstance(proposed, NotApplicable) else proposed

    def apply(self, case: Case, params: Params) -> Case:
        """Return the changed case."""
        raise NotImplementedError(f"{type(self).__name__} must define apply()")

    def apply_batch(self, cases: Sequence[Case], params: Sequence[Params], device: Device = "cpu") -> list[Case]:
        """Return the changed cases; entries that work on tensors do it on `device`."""
        return [self.apply(case, one) for case, one in zip(cases, params, strict=True)]

    def apply_mask(self, mask: Mask, params: Params) -> Mask:
        """Return `mask` (H, W) moved as `apply` moves the case's; the identity unless geometry changes."""
        return mask

    def apply_prompt(self, prompt: Prompt, params: Params) -> Prompt:
        """Return `prompt` with the words that the change makes false rewritten; the identity by default."""
        return prompt

    def expect(self, case: Case, params: Params) -> str:
        """Return the expectation for this case."""
        return self.expectation

    def condition(self, severity: int) -> str:
        """Return the condition's name: ``antonym:size``, ``image:gaussian_noise@3``."""
        name = self.name if self.target == "prompt" else f"image:{self.name}"
        return f"{name}@{severity}" if severity else name

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


Device: TypeAlias = Union[str, "torch.device"]


class PerturbationError(InputError):
    """What a perturbation returned cannot be used: its own mistake, and neither the data's nor the model's."""


def proposed(change: BasePerturbation, case: Case, severity: int, rng: np.random.Generator) -> Params | NotApplicable:
    """Return what a perturbation proposes for a case, or why it does not apply; a text that is as it was does not.

    Raises:
        PerturbationError: it proposes what is no change, or one of a plugin raises an error.
    """
    with own_errors(change, case):
        params = change.propose(case, severity, rng)
        if isinstance(params, NotApplicable):
            return params
        if not isinstance(params, dict):
            raise InputError(f"expected a dict or NotApplicable from propose(), got {params!r}")
        if not _is_own(change):
            _check_json(params)
        return _with_new_texts(change, case, params) if change.target == "prompt" else params


def applied(
    change: BasePerturbation, cases: Sequence[Case], params: Sequence[Params], device: Device = "cpu"
) -> list[Case]:
    """Return the changed cases.

    Raises:
        CaseError: a case cannot be changed.
        PerturbationError: what came back is no changed case, or a perturbation of a plugin raises an error.
    """
    with own_errors(change, cases[0] if len(cases) == 1 else None):
        changed = list(change.apply_batch(cases, params, device))
        if len(changed) != len(cases):
            raise InputError(f"expected {counted(len(cases), 'case')} from apply_batch(), got {len(changed)}")
        for before, after in zip(cases, changed, strict=True):
            _check_case(change, before, after)
        return changed


def expectation_of(change: BasePerturbation, case: Case, params: Params) -> str:
    """Return what a perturbation expects of a model on a case.

    Raises:
        PerturbationError: it is none of `EXPECTATIONS`.
    """
    with own_errors(change, case):
        stated = change.expect(case, params)
        if stated not in EXPECTATIONS:
            raise InputError(f"expected one of {', '.join(EXPECTATIONS)} from expect(), got {stated!r}")
        return stated


@contextlib.contextmanager
def own_errors(change: BasePerturbation | type[BasePerturbation], case: Case | None = None) -> Iterator[None]:
    """Turn what a perturbation does wrong into one line that names it; a bug of this package keeps its traceback."""
    try:
        with foreign_code():
            yield
    except (CaseError, PerturbationError):
        raise
    except Exception as error:
        by_user = isinstance(error, InputError)
        if not by_user and _is_own(change):
            raise
        entry = change if isinstance(change, type) else type(change)
        where = f" on case {case.case_id!r}" if case is not None else ""
        problem = one_line(error, most=400) if by_user else f"{type(error).__name__}: {one_line(error, most=300)}"
        cure = "" if _is_own(change) else "; mend the plugin, or leave it out of the plan"
        name = f"perturbation {change.name!r} ({entry.__module__}.{entry.__qualname__})"
        raise PerturbationError(f"{name}{where}: {problem}{cure}") from error


def _is_own(change: BasePerturbation | type[BasePerturbation]) -> bool:
    entry = change if isinstance(change, type) else type(change)
    return entry.__module__.startswith("robustness.")


def _check_json(params: Params) -> None:
    try:
        json.dumps(params)
    except (TypeError, ValueError) as error:
        raise InputError(f"expected JSON values from propose(), {one_line(error)}") from None


def _with_new_texts(change: BasePerturbation, case: Case, params: Params) -> Params | NotApplicable:
    """Return the proposal with the texts that differ from the prompt."""
    texts: list[Any] = params.get("texts") or [params.get("text")]
    for text in texts:
        if not isinstance(text, str):
            raise InputError(f'expected {{"text": TEXT}} from propose(), got {text!r} as the text')
        if not text.strip() and not getattr(change, "may_be_empty", False):
            raise InputError("expected words from propose(), got an empty text; a control sets may_be_empty = True")
    new = [text for text in texts if text != case.prompt.text]
    if not new:
        return NotApplicable("the proposed prompt is the prompt as it was: nothing would change")
    return params if len(new) == len(texts) else {**params, "texts": new}


def _check_case(change: BasePerturbation, before: Case, after: Any) -> None:
    if not isinstance(after, Case):
        raise InputError(f"expected a Case from apply(), got an object of type {type(after).__name__}")
    if after.case_id != before.case_id:
        raise InputError(f"expected the case {before.case_id!r} from apply(), got {after.case_id!r}")
    if change.target != "both":
        if after.image.shape != before.image.shape:
            raise InputError(f"expected an image {before.image.shape} from apply(), got {after.image.shape}")
        if after.mask is not before.mask and not np.array_equal(after.mask, before.mask):
            raise InputError("expected the reference as it was from apply(); what moves it has target = 'both'")
