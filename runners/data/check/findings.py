"""One thing that is wrong with a dataset or worth knowing, and how findings are ordered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from robustness.runners.data.records import Record

if TYPE_CHECKING:
    import pandas as pd

LEVELS = ("error", "warning", "info")
COLUMNS = ("level", "code", "split", "case_id", "file", "message")

Splits = Mapping[str, Sequence[Record]]


class Finding(NamedTuple):
    """One thing that is wrong or worth knowing; `split`, `case_id` and `file` are "" where they do not apply."""

    level: str
    code: str
    message: str
    split: str = ""
    case_id: str = ""
    file: str = ""


def table_of(findings: Iterable[Finding]) -> pd.DataFrame:
    """Return findings as a table with the columns `COLUMNS`, errors first, else in their order."""
    import pandas as pd

    rows = [{column: getattr(finding, column) for column in COLUMNS} for finding in findings]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    order = table["level"].map({level: rank for rank, level in enumerate(LEVELS)})
    return table.iloc[order.sort_values(kind="stable").index].reset_index(drop=True)
