"""What tokenizers make of changed prompts, with CLIP's own vocabulary and a small WordPiece one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from robustness.errors import InputError
from robustness.perturb.select import select
from robustness.runners.models.tokenizers.clip import ClipTokenizer
from robustness.runners.models.tokenizers.report import COLUMNS, token_report, token_report_of, token_summary
from robustness.runners.models.tokenizers.wordpiece import WordPieceTokenizer
from tests.perturb.prompt_cases import FAMILIES, context_of, make_case


@dataclass
class Reader:
    """As much of a segmenter as the report looks at."""

    tokenizer: Any
    name: str = "reader"


def one(model: Any, before: str, after: str) -> dict[str, Any]:
    return token_report(model, [("x", "a", before, after)]).iloc[0].to_dict()  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def clip() -> Reader:
    pytest.importorskip("open_clip", reason="CLIP's vocabulary comes with open_clip_torch")
    return Reader(ClipTokenizer())


@pytest.fixture
def wordpiece(tmp_path: Path) -> Reader:
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"one small large polyp po ##lyp .".split()]
    (tmp_path / "vocab.txt").write_text("\n".join(pieces), "utf-8")
    return Reader(WordPieceTokenizer(tmp_path, context_length=6))


def test_letter_case_vanishes_in_clip_and_a_swap_does_not(clip: Reader) -> None:
    assert one(clip, "small polyp", "SMALL Polyp")["same_ids"]
    row = one(clip, "small polyp", "large polyp")
    assert not row["same_ids"]
    assert row["tokens_before"] == row["tokens_after"] == len("small pol yp".split()) + 2
    assert row["limit"] == 77


def test_what_is_cut_off_is_counted_before_the_cut(clip: Reader) -> None:
    row = one(clip, "polyp", "small " * 100)
    assert (row["truncated_before"], row["truncated_after"]) == (False, True)
    assert row["tokens_after"] == 102
    # Words behind the limit reach no model.
    assert one(clip, "small " * 90 + "polyp", "small " * 90 + "tumor")["same_ids"]


def test_unknown_pieces_are_counted_where_a_vocabulary_has_them(wordpiece: Reader) -> None:
    row = one(wordpiece, "small polyp", "sm\u0430ll p\u043elyp")
    assert (row["unknown_before"], row["unknown_after"]) == (0, 2)
    assert one(wordpiece, "zorp", "blorf")["same_ids"]
    assert one(wordpiece, "one small polyp", "one small large polyp one")["truncated_after"]


def test_a_plan_is_reported_change_by_change(clip: Reader) -> None:
    cases = [make_case(FAMILIES[f], case_id=f, image_id=f) for f in ("polyp", "brain")]
    chosen = select(["antonym", "case@4", "homoglyph@5", "paraphrase", "empty"], [], context_of(cases))
    table = token_report_of(clip, cases, chosen)  # type: ignore[arg-type]
    assert tuple(table.columns) == COLUMNS
    assert table[table.condition == "case@4"].same_ids.all()
    assert (table[table.condition == "empty"].tokens_after == 2).all()
    summary = token_summary(table).set_index("condition")
    assert summary.loc["homoglyph@5", "growth"] > 5
    assert summary.loc["case@4", "same_ids"] == 1.0
    assert summary.loc["paraphrase", "n"] == 6


def test_a_model_without_a_tokenizer_is_refused() -> None:
    with pytest.raises(InputError, match="tokenizer"):
        token_report(Reader(None), [])  # type: ignore[arg-type]
