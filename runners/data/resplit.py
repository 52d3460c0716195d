"""Read a whole dataset, whatever its splits, and divide it again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from robustness.errors import InputError, counted, verb
from robustness.runners.data import benchmark_folder
from robustness.runners.data import manifest as manifest_data
from robustness.runners.data.options import ReadingOptions
from robustness.runners.data.read_records import read_records
from robustness.runners.data.records import Record, field_text, is_absent, no_such, without_duplicates
from robustness.runners.data.splits import Splits, chosen, make_splits, read_splits, write_splits

__all__ = ["known_splits", "read_chosen", "rows_without_split", "split_dataset"]


def split_dataset(
    data: str | Path,
    out: str | Path,
    *,
    by: str | None = None,
    folds: int | None = None,
    val: float = 0.15,
    test: float = 0.2,
    seed: int = 0,
    sources: Sequence[str] | None = None,
    prompt: str = "p6",
    options: ReadingOptions | None = None,
) -> Splits:
    """Divide a dataset by whole subjects and write the file that `load_dataset(splits=...)` reads.

    Args:
        data: a dataset folder or manifest.
        out: the JSON file to write.
        by, folds, val, test, seed: as `robustness.runners.data.splits.make_splits`.
        sources: the data's own splits to pool; None: train, val and test where they exist, else all.
        prompt: a prompt key that the entries have.
        options: how files are read; which slices of volumes are cases.

    Raises:
        InputError: the data or a source does not exist, or cannot be divided so.
    """
    source = Path(data).expanduser().resolve()
    pooled = tuple(sources) if sources else _usual(source)
    records, files = _read_all(source, pooled, prompt, options)
    splits = make_splits(
        records,
        data=source.stem if source.is_file() else source.name,
        sources=pooled,
        files=files,
        by=by,
        folds=folds,
        val=val,
        test=test,
        seed=seed,
    )
    write_splits(Path(out), splits)
    return splits


def read_chosen(
    source: Path, splits: str | Path, *, split: str, prompt: str, options: ReadingOptions | None = None
) -> tuple[list[Record], list[Path]]:
    """Return the records of one made split and the files that they were read from, the splits file among them.

    Raises:
        InputError: no such split, or the data changed since the splits were made.
    """
    division = read_splits(splits)
    records, files = _read_all(source, division.sources, prompt, options)
    cases = chosen(division, records, split=split, files=files, where=str(splits))
    if not cases:
        raise InputError(
            f"splits: expected cases of {split!r} in {source.name}, found none; was it made for other data?"
        )
    return cases, [*files, Path(splits).expanduser().resolve()]


def _usual(source: Path) -> tuple[str, ...]:
    names = known_splits(source)
    usual = tuple(name for name in ("train", "val", "test") if name in names)
    return usual or tuple(names)


def known_splits(source: Path, *, shown: str = "") -> list[str]:
    """Return the names of a dataset's own splits; `shown` is what an error calls it.

    Raises:
        InputError: no dataset folder and no manifest.
    """
    if source.is_dir():
        return benchmark_folder.splits_of(source)
    if not source.is_file() or source.suffix.lower() not in manifest_data.SUFFIXES:
        raise InputError(f"data: expected a dataset folder or a .csv or .parquet manifest, got {shown or source}")
    return manifest_data.splits_of_table(manifest_data.read_table(source))


def rows_without_split(source: Path) -> str:
    """Return in a sentence how many rows of a table name no split, which no split holds; "" where all name one."""
    if not source.is_file():
        return ""
    table = manifest_data.read_table(source)
    if "split" not in table.columns:
        return ""
    # Spreadsheets leave rows without any value at the end.
    rows = [
        (number, field_text(row["split"]))
        for number, row in enumerate(table.to_dict("records"), start=1)
        if not (is_absent(row["image"]) and is_absent(row["mask"]))
    ]
    without = [number for number, split in rows if not split]
    if not without:
        return ""
    lacking = f"{len(without)} of {counted(len(rows), 'row')} {verb(len(without), 'name')} no split"
    left_out = "it is" if len(without) == 1 else "they are"
    return (
        f"{lacking} (first: {source.name} row {without[0]}), so {left_out} in none; write a split for each in the "
        "column 'split', or remove what is not wanted"
    )


def _read_all(
    source: Path, sources: Sequence[str], prompt: str, options: ReadingOptions | None = None
) -> tuple[list[Record], list[Path]]:
    names = known_splits(source)
    for name in sources:
        if name not in names:
            raise no_such("sources", name, names, str(source))
    records = [
        record for name in sources for record in read_records(source, split=name, prompt=prompt, options=options)
    ]
    files = [source / "anns" / f"{name}.json" for name in sources] if source.is_dir() else [source]
    return without_duplicates(records)[0], files
