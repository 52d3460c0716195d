"""CLIP's byte-pair tokenizer, offline: the merges come with open_clip, the rules are those of transformers.

Lower-cased byte-level BPE, start 49406, end 49407, padding 49407; texts longer than the context keep their end
token last. Reference: Radford et al. 2021, "Learning transferable visual models from natural language supervision".
"""

from __future__ import annotations

import functools
import gzip
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from robustness.errors import InputError
from robustness.runners.inference.segmenter import Tokens

VOCABULARY_SIZE = 49408
_SPECIAL = ("<|startoftext|>", "<|endoftext|>")
_END_OF_WORD = "</w>"
_FILES = ("tokenizer.json", "vocab.json")


class ClipTokenizer:
    """Texts to ids of fixed length.

    Args:
        context_length: ids per text, start, end and padding included.
        folder: where ``tokenizer.json`` or ``vocab.json`` + ``merges.txt`` lie; they are preferred to open_clip's.
    """

    def __init__(self, *, context_length: int = 77, folder: Path | None = None) -> None:
        if context_length < 2:
            raise InputError(f"context_length: expected at least 2 (start and end), got {context_length}")
        self.context_length = context_length
        self._folder = folder if has_vocabulary(folder) else None
        self._backend: Any = None

    def __call__(self, texts: Sequence[str]) -> Tokens:
        """Return ids and mask (B, context_length) of `texts`."""
        if not texts:
            empty = torch.empty(0, self.context_length, dtype=torch.long)
            return Tokens(empty, empty.clone())
        batch = self._loaded()(
            list(texts),
            padding="max_length",
            truncation=True,
            max_length=self.context_length,
            return_attention_mask=True,
            return_tensors="pt",
        )
        return Tokens(batch["input_ids"], batch["attention_mask"])

    def count(self, text: str) -> int:
        """Return the number of ids that `text` needs, start and end included; beyond the context it is cut."""
        return len(self._loaded()(text)["input_ids"])

    def _loaded(self) -> Any:
        if self._backend is None:
            self._backend = _from_folder(self._folder) if self._folder else _from_open_clip()
        return self._backend

    def save(self, folder: Path) -> None:
        """Write the vocabulary that came with a checkpoint; open_clip's needs no copy."""
        if self._folder is not None:
            self._loaded().save_pretrained(folder)


def has_vocabulary(folder: Path | None) -> bool:
    """Return whether `folder` holds the files of a CLIP tokenizer."""
    return folder is not None and any((folder / name).is_file() for name in _FILES)


def _from_folder(folder: Path) -> Any:
    from transformers import CLIPTokenizer

    try:
        return CLIPTokenizer.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # the readers of tokenizer files raise bare Exception and errors of their own
        raise InputError(f"tokenizer: the files in {folder} are no CLIP tokenizer ({error})") from error


@functools.cache
def _from_open_clip() -> Any:
    from transformers import CLIPTokenizer

    vocabulary, merges = clip_vocabulary()
    # Its annotation wants strings; pairs are what the BPE underneath takes.
    pairs: Any = merges
    return CLIPTokenizer(vocab=vocabulary, merges=pairs, model_max_length=10**6)


@functools.cache
def clip_vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Return piece to id, and the merges in order of rank, as open_clip ships them.

    Raises:
        InputError: open_clip is not installed.
    """
    # Importing open_clip would pull its whole model zoo; only one of its data files is needed.
    package = importlib.util.find_spec("open_clip")
    if package is None or package.origin is None:
        raise InputError("tokenizer: CLIP's vocabulary comes with open_clip_torch; pip install open_clip_torch")
    path = Path(package.origin).parent / "bpe_simple_vocab_16e6.txt.gz"
    lines = gzip.decompress(path.read_bytes()).decode("utf-8").split("\n")
    single = list(_byte_characters())
    n_merges = VOCABULARY_SIZE - 2 * len(single) - len(_SPECIAL)
    # The first line states the version of the file.
    merges = [(left, right) for left, right in (line.split() for line in lines[1 : n_merges + 1])]
    pieces = [*single, *(c + _END_OF_WORD for c in single), *(left + right for left, right in merges), *_SPECIAL]
    return {piece: index for index, piece in enumerate(pieces)}, merges


def _byte_characters() -> list[str]:
    """Return the 256 characters that stand for bytes: printable ones first, then substitutes above 255."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = 256 - len(printable)
    return [chr(b) for b in printable] + [chr(256 + n) for n in range(others)]
