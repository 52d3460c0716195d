"""Rows to a table with the contract's columns, in fixed order and fixed types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from robustness.results import COLUMNS, FLAGS
from robustness.runners.audit.rows import ResultRow

if TYPE_CHECKING:
    import pandas as pd

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
