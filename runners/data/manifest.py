"""A table of cases: CSV, TSV or Parquet with the columns image, mask, prompt.

Optional columns: `case_id`, `subject_id`, `target`, `split`, `modality`, `spacing_mm_y`, `spacing_mm_x`; columns p0..p9
are the prompt keys of the reference benchmark; `attributes.side` and the like state facts of the target; every further
column becomes metadata. Paths are relative to the table.
Rows with one case_id are the listed texts of one case, in row order: they agree in every column but the
prompts. Without a `case_id` column the mask names the case. Values of
a CSV stay text ("007" is a name).
"""

from __future__ import annotations

import contextlib
import csv
import itertools
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from robustness.errors import InputError
from robustness.results import case_id_of
from robustness.runners.data.entry_masks import entry_mask, mask_id, stated_case_id
from robustness.runners.data.masks.convention import MaskConvention
from robustness.runners.data.records import (
    SUBJECT_KEYS,
    Record,
    field_text,
    is_absent,
    joined_rows,
    listed_texts,
    listing,
    no_such,
    refuse_nested,
    spacing_of,
)
from robustness.runners.data.volumes.open import is_volume

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".csv", ".tsv", ".parquet", ".pq")
DEFAULT_PROMPT = "p6"

_NEEDED = ("image", "mask")
_OWN = frozenset(
    {"image", "mask", "prompt", "case_id", "target", "split", "modality", "spacing_mm_y", "spacing_mm_x"}
    | {"mask_label", "mask_key"}
)
_OF_ONE_VALUE = (*_NEEDED, "case_id", "target", "split", "modality", "spacing_mm_y", "spacing_mm_x")
# What a list becomes in a CSV.
_LIST = re.compile(r"""\[\s*["'].*["']\s*\]""", re.DOTALL)
# "attributes.side": what the data state of the target, as an entry's `attributes` do.
_ATTRIBUTE = "attributes."
_PROMPT_KEY = re.compile(r"p\d+")


def read_table(path: Path) -> pd.DataFrame:
    """Return a manifest's rows; absent values are None.

    Raises:
        InputError: the file cannot be read, holds no row, or lacks the columns `image` or `mask`.
    """
    import pandas as pd

    if path.suffix.lower() not in SUFFIXES:
        hint = "; a COCO file is named in the rows of a table" if path.suffix.lower() == ".json" else ""
        raise InputError(f"data: expected a folder or a file ending in {', '.join(SUFFIXES)}, got {path}{hint}")
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            table = _of_texts(pd.read_parquet(path), path)
        else:
            encoding = _encoding(path)
            separator, above = _separator(path, encoding)
            _refuse_ragged(path, encoding, separator, above)
            options: dict[str, Any] = {"dtype": str, "keep_default_na": False, "encoding": encoding}
            with warnings.catch_warnings():
                # Empty fields beyond the last column, of a separator at the end of each row.
                warnings.simplefilter("ignore", pd.errors.ParserWarning)
                table = pd.read_csv(path, sep=separator, skiprows=above, index_col=False, **options)
    except InputError:
        raise
    except UnicodeDecodeError:
        raise InputError(
            f"data: expected {path} as UTF-8 text, got another encoding; save the table as UTF-8"
        ) from None
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise InputError(f"data: expected a readable table in {path}, got {' '.join(str(error).split())}") from None
    missing = [column for column in _NEEDED if column not in table.columns]
    if missing:
        columns = listing(map(str, table.columns))
        raise InputError(
            f"data: expected columns image, mask, prompt in {path}, found {columns}; {missing[0]!r} is missing: "
            "give these names to the columns that hold the files (volumes need no prompt)"
        )
    if "spacing_mm" in table.columns:
        raise InputError(
            f"data: expected the columns spacing_mm_y and spacing_mm_x (mm along rows and columns) in {path}, found "
            "spacing_mm; write its two numbers into these columns"
        )
    if table.empty:
        raise InputError(f"data: expected at least one row in {path}, found none")
    for column in table.columns.intersection([*_OF_ONE_VALUE, *SUBJECT_KEYS]):
        rows = enumerate(table[column], start=1)
        refuse_nested(str(column), ((f"row {number} of {path}", value) for number, value in rows))
    return table.astype(object).where(table.notna(), None)


def read_manifest(path: Path, *, split: str, prompt: str, convention: MaskConvention | None = None) -> list[Record]:
    """Return one record for each case of a manifest, in the order of first rows.

    Args:
        path: the table.
        convention: what its masks mean.
        split: which rows of the column `split`; a manifest without that column is one set, called "test".
        prompt: the column that holds the prompt; the default "p6" means `prompt` where there is no column p6.

    Raises:
        InputError: the table, split or prompt column does not exist, or a row names no file.
    """
    table = read_table(path)
    columns = [str(column) for column in table.columns]
    volumes = all(is_volume(path.parent / str(name)) for name in table["image"].dropna())
    # Volumes need no text: prompts are made for each slice from what it shows.
    column = "prompt" if volumes and "prompt" not in columns else prompt_column(columns, prompt, path)
    # Lists of Parquet come as arrays, which no entry of a JSON file holds.
    rows = [
        {str(key): cell.tolist() if isinstance(cell, np.ndarray) else cell for key, cell in row.items()}
        for row in table.to_dict("records")
    ]
    chosen = _of_split(rows, columns, split, path)
    return joined_rows(
        [
            _record(path.parent, path.name, number, row, column, convention or MaskConvention())
            for number, row in enumerate(rows, start=1)
            if number in chosen
        ]
    )


def _of_texts(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Return a Parquet table with bytes as the text that they are: some writers mark no column as text."""
    for column in table.columns[table.dtypes == "object"]:
        try:
            table[column] = [cell.decode() if isinstance(cell, bytes) else cell for cell in table[column]]
        except UnicodeDecodeError:
            raise InputError(
                f"data: expected numbers, texts and names of files in {path}, got bytes that are no UTF-8 text in the "
                f"column {column!r}; write images and masks as files"
            ) from None
    return table


def splits_of_table(table: pd.DataFrame) -> list[str]:
    """Return the values of the column `split` in order of appearance; ["test"] where there is none."""
    return _named(table["split"]) if "split" in table.columns else ["test"]


def _named(values: Iterable[Any]) -> list[str]:
    """Return the splits that rows name, in order of appearance; a blank names none.

    Raises:
        InputError: no row names one.
    """
    named = list(dict.fromkeys(str(value) for value in values if field_text(value)))
    if not named:
        raise InputError("split: expected a name in the column 'split', all rows are empty; fill or remove the column")
    return named


def prompt_column(columns: Sequence[str], prompt: str, path: Path) -> str:
    """Return the column that holds the prompts.

    Raises:
        InputError: there is no such column.
    """
    if prompt in columns:
        return prompt
    if prompt == DEFAULT_PROMPT and "prompt" in columns:
        return "prompt"
    if not prompt_keys_of(columns):
        names = listing(columns)
        raise InputError(
            f"data: expected a column prompt in {path}, found {names}; add one text for each row (what a user would"
            " type), or name the column that holds the texts with prompt"
        )
    offered = [column for column in columns if column not in _OWN or column == "prompt"]
    raise no_such("prompt", "prompt" if prompt == DEFAULT_PROMPT else prompt, offered, f"the columns of {path}")


def prompt_keys_of(columns: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that hold prompts: `prompt`, and p0, p1, ... of the reference benchmark."""
    return tuple(column for column in columns if column == "prompt" or _PROMPT_KEY.fullmatch(column))


def _encoding(path: Path) -> str:
    """Return "utf-16" for a file that begins so (the Unicode text of spreadsheets), else "utf-8-sig"."""
    with path.open("rb") as file:
        return "utf-16" if file.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def _separator(path: Path, encoding: str) -> tuple[str, int]:
    """Return what separates columns, and the number of lines above the header ("sep=;", which spreadsheets write)."""
    with path.open(encoding=encoding) as file:
        header = file.readline()
    stated = re.fullmatch(r"sep=(.)\s*", header, re.IGNORECASE)
    return (stated[1], 1) if stated else (max((",", ";", "\t"), key=header.count), 0)


def _refuse_ragged(path: Path, encoding: str, separator: str, above: int) -> None:
    """Refuse rows with more fields than the header, and columns of one name.

    pandas takes the first field of such rows for a name of the row, so that all others move by one column: of a text
    with a comma and no quotes its second half alone was left.

    Raises:
        InputError: a row or a column is such a one.
    """
    with path.open(encoding=encoding, newline="") as file, contextlib.suppress(csv.Error):
        rows = csv.reader(itertools.islice(file, above, None), delimiter=separator)
        header = next(rows, [])
        if not set(_NEEDED) <= set(header):
            return
        repeated = next((name for name in header if name and header.count(name) > 1), None)
        if repeated is not None:
            raise InputError(f"data: expected each column once in {path}, found {repeated!r} twice; rename one of them")
        for number, row in enumerate((row for row in rows if row), start=1):
            if any(row[len(header) :]):
                raise InputError(
                    f"data: expected {len(header)} fields in row {number} of {path}, as its header has, got "
                    f"{len(row)}; a text that holds {separator!r} stands in quotes"
                )


def _of_split(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], split: str, path: Path) -> set[int]:
    """Return the numbers of the rows of a split, from 1."""
    if "split" not in columns:
        if split != "test":
            raise InputError(
                f"split: expected a column 'split' in {path} to pick {split!r} from, found {listing(columns)}"
            )
        return set(range(1, len(rows) + 1))
    splits = _named(row["split"] for row in rows)
    if split not in splits:
        raise no_such("split", split, splits, f"the column 'split' of {path}")
    alike = [name for name in splits if name != split and name.strip().casefold() == split.strip().casefold()]
    if alike:
        raise InputError(f"split: expected one spelling of {split!r} in {path}, found {alike[0]!r} as well; write one")
    return {number for number, row in enumerate(rows, start=1) if str(row["split"]) == split}


def _record(
    folder: Path, file: str, number: int, row: Mapping[str, Any], column: str, convention: MaskConvention
) -> Record:
    where = f"{file} row {number}"
    for key in _NEEDED:
        if is_absent(row[key]):
            raise InputError(f"data: expected a path under {key!r} in {where}, found none")
        if "://" in str(row[key]):
            raise InputError(f"data: expected a path under {key!r} in {where}, got the address {row[key]}; download it")
    image, mask = (str(row[key]).replace("\\", "/").removeprefix("./") for key in _NEEDED)
    texts = listed_texts(row.get(column))
    if any(_LIST.fullmatch(text.strip()) for text in texts):
        raise InputError(
            f"data: expected one text under {column!r} in {where}, got a list written as text ({texts[0][:60]});"
            " write a row for each text, or a Parquet table"
        )
    given = row.get("case_id")
    named = {key: row.get(key) for key in ("mask_label", "mask_key", "target") if not is_absent(row.get(key))}
    own = entry_mask(folder, {**named, "mask_name": mask}, convention, where)
    suffix = own.case_id.removeprefix(case_id_of(mask))
    return Record(
        where=where,
        case_id=mask_id(folder, mask) + suffix if is_absent(given) else stated_case_id(given),
        image_name=image,
        image_path=folder / image,
        mask_name=mask,
        mask_path=folder / mask,
        texts=texts,
        siblings={key: value for key, value in row.items() if _PROMPT_KEY.fullmatch(key) and not is_absent(value)},
        target=field_text(row.get("target")),
        modality=field_text(row.get("modality")),
        attributes={
            key.removeprefix(_ATTRIBUTE): value
            for key, value in row.items()
            if key.startswith(_ATTRIBUTE) and not is_absent(value)
        },
        extra={
            key: value
            for key, value in row.items()
            if key not in _OWN | {column} and not _PROMPT_KEY.fullmatch(key) and not key.startswith(_ATTRIBUTE)
        },
        spacing_mm=spacing_of(row.get("spacing_mm_y"), row.get("spacing_mm_x"), where),
        problem="" if any(text.strip() for text in texts) else f"{where}: expected a text under {column!r}, found none",
        source=own.source,
        stated_id="" if is_absent(given) else stated_case_id(given),
    )
