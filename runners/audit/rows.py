"""Rows of the results table: what was predicted, under which condition, what was measured; and the table itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, NamedTuple, Self

from robustness.results import CLEAN, COLUMNS, FLAGS, OTHER_OVERLAP, parse_condition
from robustness.types import Case, CaseInfo

if TYPE_CHECKING:
    import pandas as pd

Cell = str | int | float | bool | None
TEXT = (
    "model",
    "dataset",
    "split",
    "case_id",
    "subject_id",
    "target",
    "condition",
    "family",
    "attribute",
    "expectation",
    "prompt",
    "note",
    "error",
    "params",
    "truth",
    "other_case_id",
)
WHOLE = ("severity", "prompt_index")


class SeriesIdentity(NamedTuple):
    """The columns that say which model on which data a row belongs to."""

    model: str
    dataset: str
    split: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultRow:
    """One row of `robustness.results.COLUMNS`: made before its prediction, replaced by a filled one afterwards.

    Attributes:
        series: the columns `model`, `dataset` and `split`.
        case_id, subject_id, target: whose prediction it is.
        condition, family, attribute, severity: see `robustness.results.parse_condition`; a clean row has an attribute
            where it is scored against a second target.
        expectation: what should happen to the mask; "none" under the clean condition.
        prompt, prompt_index: the text, and which of the listed texts it is or comes from.
        applicable, note: False and a reason where the change does not apply; a prediction may have a note too.
        other_case_id, dice_other: the second target that the words name, and the Dice against it.
        other_overlap: share of the smaller of the two targets that lies in the other; None without a second target.
        error: why nothing was measured, or "".
        params: what was drawn, as JSON.
        truth: which words of the prompt are true of the case, as JSON.
        groups: columns of the data that the plan names, as text.
        measured: metrics, flags and sizes by column; empty until the prediction is scored.
    """

    series: SeriesIdentity
    case_id: str
    subject_id: str
    target: str
    condition: str
    family: str
    attribute: str
    severity: int
    expectation: str = "none"
    prompt: str = ""
    prompt_index: int = 0
    applicable: bool = True
    note: str = ""
    other_case_id: str | None = None
    dice_other: float | None = None
    other_overlap: float | None = None
    error: str = ""
    params: str = ""
    truth: str = ""
    groups: Mapping[str, str] = field(default_factory=dict)
    measured: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, series: SeriesIdentity, case: Case | CaseInfo, condition: str = CLEAN) -> Self:
        """Return the row of a case under a condition, before anything else is known of it."""
        parsed = parse_condition(condition)
        return cls(
            series=series,
            case_id=case.case_id,
            subject_id=case.subject_id,
            target=case.target,
            condition=condition,
            family=parsed.family,
            attribute=parsed.attribute,
            severity=parsed.severity,
            groups=dict(case.metadata.get("groups") or {}),
        )

    def failed(self, error: Exception) -> Self:
        """Return the row of a prediction that could not be made."""
        return replace(self, error=str(error))

    def inapplicable(self, reason: str) -> Self:
        """Return the row of a change that does not apply."""
        return replace(self, applicable=False, note=reason)

    def cells(self) -> dict[str, Cell]:
        """Return column -> value; groups and measured values are columns beside the fixed ones."""
        own = {name: getattr(self, name) for name in _OWN_COLUMNS}
        overlap = {} if self.other_overlap is None else {OTHER_OVERLAP: self.other_overlap}
        return {**self.series._asdict(), **own, **overlap, **self.groups, **self.measured}


_OWN_COLUMNS = tuple(
    each.name for each in fields(ResultRow) if each.name not in ("series", "groups", "measured", OTHER_OVERLAP)
)


def results_table(rows: Sequence[ResultRow]) -> pd.DataFrame:
    """Return rows as a table: text columns are strings, flags nullable booleans, the rest float64.

    Every part has the same types, also a part in which nothing could be measured.
    """
    import pandas as pd

    cells = [row.cells() for row in rows]
    extra = sorted({key for row in cells for key in row} - set(COLUMNS) - {"params", "truth"})
    columns = [*COLUMNS, *extra, "params", "truth"]
    table = pd.DataFrame(cells, columns=columns)
    types: dict[str, str] = dict.fromkeys(columns, "float64")
    types |= dict.fromkeys(TEXT, "str") | dict.fromkeys(WHOLE, "int64") | dict.fromkeys(FLAGS, "boolean")
    # What the data themselves state (groups) is text; metrics are numbers.
    types |= {key: "str" for key in extra if any(isinstance(row.get(key), str) for row in cells)}
    return table.astype({**types, "applicable": "bool"})
