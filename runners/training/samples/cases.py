"""Training cases: which prompt and which change of the image each case gets in each epoch.

Every draw comes from (seed, epoch, case, what is drawn), so that order, batches, workers and a resume change nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from robustness.registry import PERTURBATIONS
from robustness.runners.data.load import Dataset
from robustness.runners.training.samples.absent_targets import AbsentTargets
from robustness.runners.training.samples.attribute_dropout import without_words
from robustness.runners.training.samples.augment import (
    brightened,
    other_wordings,
    paraphrased,
    rotated,
    shifted,
    with_wrong_attribute,
)
from robustness.runners.training.samples.counterfactual import Counterfactuals
from robustness.runners.training.samples.resized_cases import ResizedCases, Sample
from robustness.seeds import generator
from robustness.types import Case


class TrainingCases(ResizedCases):
    """The cases of one split, resized to the network and changed again in each epoch.

    Args:
        datasets: prompt key to the split read with that key; all list the same cases.
        size: side of the network's input in pixels.
        interpolation: PIL's filter for images; masks are resized by the nearest pixel.
        seed: of all draws.
        augment: names among "flip", "rotate", "shift", "gain", "misword", "reword".
        empty: share of prompts replaced by the empty text.
        attribute_dropout: chance of a word that is not needed to be left out.
        others: asks for other targets of the image now and then.
        absent: asks for what the image does not show now and then.
        wordings: texts of each sample that ask for the same mask, its own included.
        redraw: validation draws one of the listed texts again for each pass, as the reference benchmark does.
    """

    def __init__(
        self,
        datasets: Mapping[str, Dataset],
        *,
        size: int,
        interpolation: str = "bilinear",
        seed: int = 0,
        augment: Sequence[str] = (),
        empty: float = 0.0,
        attribute_dropout: float = 0.0,
        others: Counterfactuals | None = None,
        absent: AbsentTargets | None = None,
        wordings: int = 1,
        redraw: bool = False,
    ) -> None:
        super().__init__(datasets, size=size, interpolation=interpolation, seed=seed, empty=empty)
        self.augment = tuple(augment)
        self.attribute_dropout, self.others, self.redraw = attribute_dropout, others, redraw
        self.absent, self.wordings = absent, wordings
        self._context = (self.first if others is None else others.pool.first).context(seed)
        # Looked up only where it is used: the registry imports the whole room.
        self._flip = PERTURBATIONS.get("horizontal_flip")() if "flip" in self.augment else None
        self._rotation = PERTURBATIONS.get("rotation")() if "rotate" in self.augment else None

    def pools(self) -> list[Dataset]:
        """Return the data that counterfactual prompts and absent targets read besides the cases themselves."""
        read = [] if self.others is None else [self.others.pool.first]
        absent = None if self.absent is None else self.absent.source
        return read if absent is None or absent in read else [*read, absent]

    def order(self, epoch: int) -> list[int]:
        """Return the order of the cases in `epoch`."""
        return [int(i) for i in generator(self.seed, "epoch", epoch, "order").permutation(len(self))]

    def plain(self, index: int, epoch: int = 0) -> Sample:
        """Return a case as it is, with its first listed text (with `redraw` that of `epoch`): what validation sees."""
        case = self._case(index)
        text = self.first.infos[index].prompts[0].text
        if self.redraw:
            text = self._prompt(index, ("validation", epoch, case.case_id)).text
        return Sample(case.image, case.mask, text, (case.case_id,))

    @property
    def parts(self) -> tuple[TrainingCases, ...]:
        """The datasets' own cases: one set here, several in a pool."""
        return (self,)

    def drawn(self, index: int, epoch: int, *, turn: int = 0) -> Sample:
        """Return a case with the prompt and the changes that (seed, epoch, case) gives it.

        Args:
            index: place of the case.
            epoch: counted from 0.
            turn: how often the case came before in this epoch; each time draws again.

        Raises:
            CaseError: its files cannot be read.
        """
        key: tuple[object, ...] = ("epoch", epoch, self.first.infos[index].case_id, *(("turn", turn) if turn else ()))
        case = self._with_other_question(self.with_prompt(index, key), key)
        if self._flip is not None and generator(self.seed, *key, "flip").random() < 0.5:
            params = self._flip.draw(case, 1, generator(self.seed, *key, "flip", "params"))
            case = case if params is None else self._flip.apply(case, params)
        if self._rotation is not None:
            case = rotated(case, self._rotation, generator(self.seed, *key, "rotate"))
        image, mask = case.image, case.mask
        if "shift" in self.augment:
            image, mask = shifted(image, mask, generator(self.seed, *key, "shift"))
        if "gain" in self.augment:
            image = brightened(image, generator(self.seed, *key, "gain"))
        if "misword" in self.augment:
            case = with_wrong_attribute(case, generator(self.seed, *key, "misword"))
        if self.attribute_dropout:
            rng = generator(self.seed, *key, "words")
            case = without_words(case, self._context, chance=self.attribute_dropout, rng=rng)
        text = case.prompt.text
        if "reword" in self.augment:
            text = paraphrased(case, generator(self.seed, *key, "reword"))
        rewordings: tuple[str, ...] = ()
        if self.wordings > 1:
            rng = generator(self.seed, *key, "wordings")
            rewordings = other_wordings(case, text, count=self.wordings - 1, rng=rng)
        return Sample(image, mask, text, (self.seed, *key), rewordings)

    def _with_other_question(self, case: Case, key: tuple[object, ...]) -> Case:
        """Return the case with another question where one is drawn: for nothing first, else for another target."""
        absent = None if self.absent is None else self.absent.drawn(case, key)
        if absent is not None:
            return absent
        return case if self.others is None else self.others.drawn(case, key)
