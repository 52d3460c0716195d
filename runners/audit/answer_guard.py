"""Guard over the maps of a model that is not ours, over a whole data set: a reading that went wrong shows here.

A mask that is read in the wrong way is empty, or full, on every image; the model then changes nothing under any prompt
and would be certified to ignore it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from robustness.errors import CaseError, InputError, counted
from robustness.results import CLEAN
from robustness.run_folder import RunFolder
from robustness.runners.audit.scoring import MapCounts, Scored, resize_nearest
from robustness.runners.inference.segmenter import NetworkSegmenter
from robustness.types import Mask, Segmenter

# The highest value of a map that a 0/1 mask gives where it is read as grey levels of 255.
_ONE_LEVEL = 1.0 / 255 + 1e-6
# Where a sigmoid puts numbers in [0, 1].
_SIGMOID_OF_SHARES = (0.5 - 1e-6, 1 / (1 + math.exp(-1)) + 1e-6)
# One map may well be empty.
_FEWEST = 2
# Clean maps that tell how masks lie, and how much better, in mean Dice, another reading of them must fit.
_FEWEST_FITS, _MUCH, _GOOD = 3, 0.5, 0.7
# A map that is all but empty fits a large reference too once it is inverted, as a full one does.
_BEYOND_FULL = 0.15
_AS_SENT, _INVERTED, _FULL = "as sent", "inverted", "full"
# So many different cases that fail in a row are no quirk of one image or one prompt: the model has stopped working.
_MOST_FAILURES = 8


def answers_file(part: int) -> str:
    """Return where the count of a part's maps is noted, inside the run's folder."""
    return f".gallery/answers-{part:05d}.json"


@dataclass
class Answers:
    """The counts of one (model, data set), how its maps were read, and what grey images were taken for."""

    counts: MapCounts = field(default_factory=MapCounts)
    forms: Counter[str] = field(default_factory=Counter)
    meanings: set[str] = field(default_factory=set)
    fits: Counter[str] = field(default_factory=Counter)
    n_fits: int = 0

    def facts(self) -> dict[str, Any]:
        """Return what a manifest holds, as JSON values."""
        turned = turned_by(self)
        return {
            **vars(self.counts),
            "read_as": dict(sorted(self.forms.items())),
            **({"fits_better": turned} if turned else {}),
        }


def fits_of(predicted: Mask, reference: Mask) -> dict[str, float]:
    """Return the Dice of a clean mask as it was sent, inverted and turned, and that of a full one.

    {} where the reference is empty or full, which tells nothing. Rows and columns are exchanged in squares alone:
    elsewhere a map of the wrong size is refused.
    """
    reference = resize_nearest(reference, predicted.shape)
    if not reference.any() or reference.all():
        return {}
    readings = {
        _AS_SENT: predicted,
        _INVERTED: ~predicted,
        _FULL: np.ones_like(predicted),
        "mirrored left to right": predicted[:, ::-1],
        "upside down": predicted[::-1],
        "turned by half": predicted[::-1, ::-1],
    }
    if predicted.shape[0] == predicted.shape[1]:
        readings["with rows and columns exchanged"] = predicted.T
    area = np.count_nonzero(reference)
    return {
        name: 2.0 * np.count_nonzero(mask & reference) / (np.count_nonzero(mask) + area)
        for name, mask in readings.items()
    }


def turned_by(answers: Answers) -> str:
    """Return how the maps of a model fit the references much better than as they were sent; "" where no way does."""
    if answers.n_fits < _FEWEST_FITS:
        return ""
    means = {name: total / answers.n_fits for name, total in answers.fits.items()}
    least = max(_GOOD, means[_AS_SENT] + _MUCH)
    fitting = {name: dice for name, dice in means.items() if dice >= least and name != _FULL}
    if fitting.get(_INVERTED, 1.0) < means[_FULL] + _BEYOND_FULL:
        del fitting[_INVERTED]
    if not fitting:
        return ""
    best = max(fitting, key=lambda name: fitting[name])
    return f"{best} (mean Dice {fitting[best]:.2f}, as sent {means[_AS_SENT]:.2f})"


class PartAnswers:
    """What one part of an audit notes of a model's maps.

    Args:
        model: asked how it read its answers, where it does.
        counts: of the part's maps, filled while it runs.
    """

    def __init__(self, model: Segmenter, counts: MapCounts) -> None:
        self._reader = getattr(model, "reader", None)
        self._before: Counter[str] = Counter(self._reader.forms) if self._reader is not None else Counter()
        self.counts = counts
        self.fits: Counter[str] = Counter()
        self.n_fits = 0

    def see(self, scored: Scored) -> None:
        """Note how a clean mask lies on its reference; only maps of models that are not ours are looked at."""
        if self._reader is None or scored.job.rows[0].condition != CLEAN:
            return
        fits = fits_of(scored.predicted, scored.job.reference)
        self.fits.update(fits)
        self.n_fits += bool(fits)

    def record(self, place: Mapping[str, int]) -> dict[str, Any]:
        """Return what is noted of the part; `place` says of which model and data set."""
        forms = Counter(self._reader.forms) - self._before if self._reader is not None else Counter()
        meaning = getattr(self._reader, "meaning", None)
        fits = {"fits": dict(self.fits), "n_fits": self.n_fits}
        return {**place, **vars(self.counts), "forms": dict(forms), "meaning": meaning, **fits}


def answers_of(run: RunFolder, parts: Iterable[int]) -> dict[tuple[int, int], Answers]:
    """Return the answers of each (model, data set) over the parts of a run, whatever session made them."""
    whole: dict[tuple[int, int], Answers] = {}
    for part in parts:
        record = run.read_json(answers_file(part))
        if not record:
            continue
        answers = whole.setdefault((int(record["model"]), int(record["dataset"])), Answers())
        counts = answers.counts
        for name in ("n_maps", "n_empty", "n_full"):
            setattr(counts, name, getattr(counts, name) + int(record[name]))
        counts.highest = max(counts.highest, float(record["highest"]))
        counts.lowest = min(counts.lowest, float(record.get("lowest", 0.0)))
        answers.forms.update(record["forms"])
        answers.fits.update(record.get("fits", {}))
        answers.n_fits += int(record.get("n_fits", 0))
        if record["meaning"]:
            answers.meanings.add(str(record["meaning"]))
    return whole


def check_answers(
    answers: Mapping[tuple[int, int], Answers],
    models: Sequence[Segmenter],
    datasets: Sequence[str],
    *,
    thresholds: Sequence[float] = (),
) -> None:
    """Check that the maps of no model that is not ours are all alike in a way that a wrong reading makes.

    Args:
        answers: of each (model, data set), by their places.
        models: the models.
        datasets: names of the data sets.
        thresholds: further ones that the plan looks at; a map that rises above one of them is not empty.

    Raises:
        InputError: all empty, all full, inverted, or read in two ways; the likely cause is named.
    """
    for (model, dataset), read in answers.items():
        if isinstance(models[model], NetworkSegmenter):
            continue
        name, threshold = models[model].name, models[model].threshold
        problem = _problem(read, threshold, min((threshold, *thresholds)))
        if problem:
            raise InputError(
                f"answers: {problem} ({read.counts.n_maps} maps of {name} on {datasets[dataset]}), so that no verdict "
                "could mean anything; fix it and audit into a new folder"
            )


def _problem(answers: Answers, threshold: float, lowest: float) -> str:
    counts = answers.counts
    if len(answers.meanings) > 1:
        return (
            "grey pictures were read as masks in one part and as probabilities in another; state returns = 'mask' or "
            "'probabilities'"
        )
    if counts.n_maps < _FEWEST:
        return ""
    turned = turned_by(answers)
    if turned.startswith(_INVERTED):
        return f"the maps fit the references when they are {turned}: inside and outside are exchanged"
    if counts.highest == 0:
        return "every map is 0 everywhere; does the model get image and prompt, and is the right channel sent?"
    if counts.n_empty == counts.n_maps and counts.highest <= _ONE_LEVEL:
        return "no map rises above 1/255, as 0/1 masks do that are read as grey levels; state returns = 'mask'"
    if counts.n_empty == counts.n_maps and counts.highest <= lowest:
        return (
            f"no pixel of any map lies above the threshold {threshold:g} (the highest is {counts.highest:.3g}); state "
            "another threshold, or returns = 'mask' for label maps"
        )
    if _SIGMOID_OF_SHARES[0] <= counts.lowest and counts.highest <= _SIGMOID_OF_SHARES[1]:
        return (
            f"every map lies between {counts.lowest:.3g} and {counts.highest:.3g}, where a sigmoid puts numbers in [0, "
            "1]; are probabilities or masks declared as returns = 'logits', or does the model apply a sigmoid twice?"
        )
    if counts.n_full == counts.n_maps:
        return (
            f"every map lies above the threshold {threshold:g} everywhere; are masks inverted, or logits sent as "
            "probabilities (returns = 'logits')?"
        )
    return ""


@dataclass
class FailureStreak:
    """The cases that failed since a model last gave a map."""

    model: str
    cases: set[Hashable] = field(default_factory=set)

    def note(self, case: Hashable, outcome: object) -> None:
        """Take one outcome, a map or an error, into account.

        Raises:
            InputError: too many different cases failed in a row.
        """
        if not isinstance(outcome, CaseError):
            self.cases.clear()
            return
        self.cases.add(case)
        if len(self.cases) >= _MOST_FAILURES:
            raise InputError(
                f"model: {self.model} failed for {counted(len(self.cases), 'case')} in a row; the last: {outcome}; fix "
                "it and run again, finished parts are kept"
            )
