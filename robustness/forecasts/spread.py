"""Between-subject standard deviation: from an earlier run, else from assumptions that are shown as such."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from robustness.errors import plural
from robustness.metrics.inference.power import sd_of_subject_means
from robustness.metrics.verdicts.spread import EXCESS, Spread
from robustness.results import parse_condition

if TYPE_CHECKING:
    import pandas as pd

UNKNOWN = "unknown"


class Assumed(NamedTuple):
    """Spread of one image's difference, how alike the images of one subject are, and where it applies."""

    sd: float
    icc: float
    what: str


ASSUMPTIONS = (
    Assumed(0.10, 0.5, "a condition against clean: dice and other shares, mask_change and its excess over paraphrase"),
    Assumed(0.05, 0.4, "a new model against an old one on the same images, the same metrics"),
)
_SHARES = frozenset(
    {"dice", "iou", "nsd", "boundary_iou", "precision", "sensitivity", "specificity", "mask_change", EXCESS}
)


class Sd(NamedTuple):
    """Standard deviation of the subjects' means, and where it comes from; NaN where nothing is known."""

    value: float
    source: str


@dataclass(frozen=True)
class SpreadModel:
    """Looks a spread up: the same condition of the earlier run, else the median of its family there, else assumed.

    Attributes:
        earlier: of `--like`, empty without one.
        per_subject: cases per subject.
        name: of the earlier run.
    """

    earlier: Spread
    per_subject: float
    name: str = ""

    def of(self, condition: str, metric: str) -> Sd:
        """Return the spread of a condition against clean."""
        if (condition, metric) in self.earlier:
            return Sd(self.earlier[condition, metric], f"{self.name}: {condition}")
        family = parse_condition(condition).family
        alike = [sd for (c, m), sd in self.earlier.items() if m == metric and parse_condition(c).family == family]
        if alike:
            return Sd(
                statistics.median(alike),
                f"{self.name}: median of {len(alike)} {family} {plural(len(alike), 'condition')}",
            )
        return self._assumed(metric, ASSUMPTIONS[0])

    def between_models(self, metric: str) -> Sd:
        """Return the spread of the difference of two models; one run cannot tell it."""
        return self._assumed(metric, ASSUMPTIONS[1])

    def _assumed(self, metric: str, assumed: Assumed) -> Sd:
        if metric not in _SHARES:
            return Sd(float("nan"), f"{UNKNOWN}: no assumption for {metric}, use --like RUN")
        return Sd(sd_of_subject_means(assumed.sd, assumed.icc, self.per_subject), "assumed")


def cases_per_subject(rows: pd.DataFrame) -> float:
    """Return the mean number of cases of a subject, of the dataset with the fewest."""
    cases = rows.drop_duplicates(["dataset", "split", "case_id"]).groupby(["dataset", "subject_id"]).size()
    return float(cases.groupby(level="dataset").mean().min()) if len(cases) else 1.0
