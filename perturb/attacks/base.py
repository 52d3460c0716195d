"""Base class of the attacks: eps in pixel units, settings, a search that needs a model, and a record that replays."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from robustness.errors import CaseError, InputError
from robustness.perturb.base import BasePerturbation
from robustness.perturb.image.pixels import DEEP, to_bytes
from robustness.types import Case, NotApplicable, Params

EPS_LEVELS = (1.0, 2.0, 4.0, 6.0, 8.0)
LOSSES = ("dice+bce", "dice", "bce")
# Where a case holds the image that a model is to see when eight bits cannot hold it.
EXACT = "image_exact"

_HELD_BYTES = 2**29
_SLACK = 0.01

Loss = Literal["dice+bce", "dice", "bce"]
ImageArray = npt.NDArray[Any]


class ExactImage(np.ndarray):
    """An image of an attack that 8 bits cannot hold: float32 (H, W, 3) in [0, 1].

    A type of its own, because a plain float array given to a model is a mistake, and stays refused.
    """


@dataclass(frozen=True)
class AttackSettings:
    """How hard attacks try; the plan's ``[perturbations.attack]``.

    Attributes:
        eps: largest change of a pixel at severities 1 to 5, in levels of 1/255; rising.
        steps: gradient steps of `pgd` (and of every attack that uses it).
        restarts: independent starts of `pgd`; the one that ends with the highest loss counts.
        step_size: one step as a share of eps; None: 2.5 / steps, so that a step can be taken back and more.
        random_start: whether `pgd` begins at a random point of the ball around the image instead of the image.
        round_trip: whether the attacked image is rounded to 8 bits before the model sees it.
        loss: what is raised, of the mask asked for: "dice+bce" (soft Dice plus binary cross entropy), "dice" or "bce".
        budget: images that `query_attack` may show to a model, the clean one not counted.
        text_budget: texts that `worst_case`, and each turn of `joint_worst_case`, may try, the clean one not counted.
        rounds: turns of `joint_worst_case`, each a search for words and an attack under them.
        universal_images: images that the perturbation of `universal` is made from.
        universal_epochs: passes over them.

    Raises:
        InputError: a value out of range.
    """

    eps: tuple[float, ...] = EPS_LEVELS
    steps: int = 10
    restarts: int = 2
    step_size: float | None = None
    random_start: bool = True
    round_trip: bool = False
    loss: Loss = "dice+bce"
    budget: int = 200
    text_budget: int = 64
    rounds: int = 2
    universal_images: int = 16
    universal_epochs: int = 5

    def __post_init__(self) -> None:
        eps = tuple(float(level) for level in self.eps)
        object.__setattr__(self, "eps", eps)
        rising = all(a < b for a, b in zip((0.0, *eps), eps, strict=False))
        if len(eps) != len(EPS_LEVELS) or not rising or not eps[-1] <= 255:
            raise InputError(f"attack.eps: expected {len(EPS_LEVELS)} rising levels in (0, 255], got {list(eps)}")
        counts = ("steps", "restarts", "budget", "text_budget", "rounds", "universal_images", "universal_epochs")
        for name in counts:
            if getattr(self, name) < 1:
                raise InputError(f"attack.{name}: expected at least 1, got {getattr(self, name)}")
        if self.step_size is not None and not 0 < self.step_size <= 2:
            raise InputError(f"attack.step_size: expected a share of eps in (0, 2], got {self.step_size}")
        if self.loss not in LOSSES:
            raise InputError(f"attack.loss: expected one of {', '.join(LOSSES)}, got {self.loss!r}")

    @property
    def step(self) -> float:
        """One step as a share of eps."""
        return 2.5 / self.steps if self.step_size is None else self.step_size


class Attacked(NamedTuple):
    """What a search found.

    Attributes:
        image: the image to evaluate, uint8 or float32 in [0, 1], (H, W, 3).
        facts: what the record says of the search, as JSON values.
        prompt: the text under which it hurts most; None: the case's own.
    """

    image: ImageArray
    facts: dict[str, Any]
    prompt: str | None = None


# (case, eps in [0, 1], seed, settings) -> what was found, or why nothing can be.
Search = Callable[[Case, float, int, AttackSettings], "Attacked | NotApplicable"]


class Attack(BasePerturbation):
    """Base of the entries that search with a model in the loop; an audit binds one (`runners.attack.bind_attacks`).

    The largest change of any pixel is `eps`, an L-infinity ball in *pixel* units; a gray image stays gray, so its
    three channels change together. The attacked prompt is the evaluated prompt. What a search finds is a bound: the
    model's score under the worst change of that size is *at most* the score shown. Expectation: "none" (a bound).

    Params: `eps` (in levels of 1/255), `seed`, `settings`, `sha256` of the image that was evaluated, and what the
    search tells: `clean_loss loss` and others, with `suspicious`, a list of signs that the attack did not work.
    `apply` repeats the search where the image is no longer at hand, and refuses an image with another hash.

    Class attributes:
        needs_model: nothing can be drawn without a model.
        uses: the settings that the entry reads, which go into its record.
        unbound: why it does not apply without a model.
    """

    target: ClassVar[str] = "image"
    severities: tuple[int, ...] = (1, 2, 3, 4, 5)
    expectation = "none"
    needs_model: ClassVar[bool] = True
    per_prompt: ClassVar[bool] = True
    uses: ClassVar[tuple[str, ...]] = ()
    unbound: ClassVar[str] = "an attack needs a model in the loop: audit one whose gradient is at hand"

    def __init__(self, *, search: Search | None = None, settings: AttackSettings | None = None) -> None:
        self.search = search
        self.settings = settings or AttackSettings()
        self._held: dict[str, Attacked] = {}

    def bound_to(self, search: Search, settings: AttackSettings) -> Attack:
        """Return this attack with a model in the loop."""
        return type(self)(search=search, settings=settings)

    def propose(self, case: Case, severity: int, rng: np.random.Generator) -> Params | NotApplicable:
        """Search, and return the record of what was found; severity 0 is the identity."""
        if not 0 <= severity <= len(self.settings.eps):
            raise InputError(f"severity: expected 0 to {len(self.settings.eps)}, got {severity}")
        if severity == 0:
            return {"eps": 0.0}
        if self.search is None:
            return NotApplicable(self.unbound)
        level, seed = self.settings.eps[severity - 1], int(rng.integers(2**31))
        attack = self.search(case, level / 255, seed, self.settings)
        if isinstance(attack, NotApplicable):
            return attack
        facts = {key: as_json(value) for key, value in attack.facts.items()}
        params = {
            "eps": level,
            "seed": seed,
            "settings": {name: getattr(self.settings, name) for name in self.uses},
            "sha256": image_sha256(attack.image),
            "note": said_of(facts.get("suspicious", [])),
            **facts,
        }
        self._hold(params["sha256"], attack)
        return params

    def apply(self, case: Case, params: Params) -> Case:
        """Return the case with the attacked image (and words, where the attack changes them).

        Raises:
            CaseError: repeating the search, here or on this machine, gives another image than the recorded one.
        """
        if not params["eps"]:
            return case
        attack = self._held.pop(params["sha256"], None) or self._again(case, params)
        changed = with_image(case, attack.image)
        return changed if attack.prompt is None else reworded(changed, attack.prompt)

    def _again(self, case: Case, params: Params) -> Attacked:
        if self.search is None:
            raise CaseError(f"{self.name}: {self.unbound}")
        settings = dataclasses.replace(self.settings, **params["settings"])
        attack = self.search(case, params["eps"] / 255, params["seed"], settings)
        if isinstance(attack, NotApplicable) or image_sha256(attack.image) != params["sha256"]:
            raise CaseError(f"{self.name}: the search gives another image than the record's; model or machine differ")
        return attack

    def _hold(self, digest: str, attack: Attacked) -> None:
        # A draw is applied at once, or after those of its batch; what was never applied must not pile up.
        self._held[digest] = attack
        while sum(one.image.nbytes for one in self._held.values()) > _HELD_BYTES and len(self._held) > 1:
            del self._held[next(iter(self._held))]


def image_sha256(image: ImageArray) -> str:
    """Return the hash of an image's type, shape and pixels."""
    kind = f"{image.dtype.str} {image.shape}"
    return hashlib.sha256(kind.encode() + np.ascontiguousarray(image).tobytes()).hexdigest()


def with_image(case: Case, image: ImageArray) -> Case:
    """Return the case with an attacked image: uint8 as it is, float32 under `EXACT` beside its 8-bit view."""
    metadata = {k: v for k, v in case.metadata.items() if k not in (EXACT, DEEP)}
    if image.dtype == np.uint8:
        return dataclasses.replace(case, image=image, metadata=metadata)
    return dataclasses.replace(case, image=to_bytes(image), metadata={**metadata, EXACT: image.view(ExactImage)})


def evaluated_image(case: Case) -> ImageArray:
    """Return the image that a model is to see: the `ExactImage` of an attack, else the case's uint8 image."""
    exact: ExactImage | None = case.metadata.get(EXACT)
    return case.image if exact is None else exact


def reworded(case: Case, text: str) -> Case:
    """Return the case with another text."""
    from robustness.types import Prompt

    return dataclasses.replace(case, prompt=Prompt(text, paraphrases=case.prompt.paraphrases))


def as_json(value: Any) -> Any:
    """Return a fact as JSON can hold it: a number that is not finite becomes None."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def said_of(signs: list[str]) -> str:
    """Return the note of a row whose attack shows signs of not having worked; empty without any."""
    return f"suspicious attack (gradient masking?): {'; '.join(signs)}" if signs else ""


def signs(
    *,
    clean_loss: float,
    loss: float,
    noise_loss: float | None = None,
    fgsm_loss: float | None = None,
    gradient: float | None = None,
) -> list[str]:
    """Return the signs that an attack did not work: it then says nothing about robustness.

    Args:
        clean_loss, loss: of the image before and after.
        noise_loss: of random noise of the same eps.
        fgsm_loss: of one full gradient step of the same eps.
        gradient: largest absolute gradient at the clean image; NaN where any value was not finite.

    Source: Athalye, Carlini and Wagner, "Obfuscated Gradients Give a False Sense of Security", ICML 2018,
    arXiv:1802.00420; Carlini et al., "On Evaluating Adversarial Robustness", 2019, arXiv:1902.06705.
    """
    suspicions = []
    if gradient is not None and not math.isfinite(gradient):
        suspicions.append("the gradient is not finite")
    elif gradient == 0:
        suspicions.append("the gradient is zero")
    if not loss > clean_loss:
        suspicions.append("the loss does not rise")
    if noise_loss is not None and noise_loss >= loss:
        suspicions.append("random noise of the same size is as strong")
    # Where the loss is all but linear both find the same corner, and rounding decides which is higher.
    if fgsm_loss is not None and fgsm_loss - loss > _SLACK * abs(loss - clean_loss):
        suspicions.append("one gradient step (fgsm) is stronger")
    return suspicions
