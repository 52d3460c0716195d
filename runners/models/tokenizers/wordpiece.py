"""BERT's WordPiece tokenizer, from a vocabulary on disk or on the hub.

Lower-cased words, split into the longest pieces that the vocabulary has, [CLS] first and [SEP] last, filled up with
[PAD]. Reference: Devlin et al. 2019, "BERT", doi:10.18653/v1/N19-1423.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from robustness.errors import InputError, first_line
from robustness.runners.inference.segmenter import Tokens

PUBMEDBERT = "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract"
PUBMEDBERT_SIZE = 30522
_FILES = ("tokenizer.json", "vocab.txt")
_PATIENCE_S = 10.0
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


class WordPieceTokenizer:
    """Texts to ids of fixed length; the vocabulary is read at the first text.

    Args:
        source: a folder with ``tokenizer.json`` or ``vocab.txt``, one of these files, or a hub name.
        context_length: ids per text, start, end and padding included; longer texts are cut before the end token.

    Raises:
        InputError: `context_length` is below 2; and, at the first text, the vocabulary cannot be had or read.
    """

    def __init__(self, source: str | Path, *, context_length: int = 256) -> None:
        if context_length < 2:
            raise InputError(f"context_length: expected at least 2 (start and end), got {context_length}")
        self.context_length = context_length
        self._source = source
        self._backend: Any = None

    def __call__(self, texts: Sequence[str]) -> Tokens:
        """Return ids and mask (B, context_length) of `texts`."""
        if not texts:
            empty = torch.empty(0, self.context_length, dtype=torch.long)
            return Tokens(empty, empty.clone())
        backend = self._loaded()
        room = self.context_length - 2
        first, last, pad = (backend.token_to_id(piece) for piece in ("[CLS]", "[SEP]", "[PAD]"))
        ids = torch.full((len(texts), self.context_length), pad, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, encoding in enumerate(backend.encode_batch(list(texts), add_special_tokens=False)):
            sequence = [first, *encoding.ids[:room], last]
            ids[row, : len(sequence)] = torch.tensor(sequence)
            mask[row, : len(sequence)] = 1
        return Tokens(ids, mask)

    def count(self, text: str) -> int:
        """Return the number of ids that `text` needs, start and end included; beyond the context it is cut."""
        return len(self._loaded().encode(text, add_special_tokens=False).ids) + 2

    def save(self, folder: Path) -> None:
        """Write the vocabulary into `folder`; one that was never needed stays where it is."""
        if self._backend is not None or not isinstance(self._source, str):
            self._loaded().save(str(folder / "tokenizer.json"))

    def _loaded(self) -> Any:
        if self._backend is None:
            self._backend = _read(self._file())
        return self._backend

    def _file(self) -> Path:
        if isinstance(self._source, str):
            return _download(self._source)
        return vocabulary_file(self._source) or self._source


def vocabulary_file(path: Path | None) -> Path | None:
    """Return the vocabulary's file at `path`, a folder or that file itself; None where there is none."""
    if path is not None and path.is_dir():
        return next((path / name for name in _FILES if (path / name).is_file()), None)
    return path if path is not None and path.suffix in {".json", ".txt"} and path.is_file() else None


def vocabulary_source(path: Path | None, *, vocab_size: int) -> str | Path | None:
    """Return where the vocabulary is to be read from.

    Args:
        path: what the user gave, or the folder of the checkpoint.
        vocab_size: of the network.

    Returns:
        `path` where it holds a vocabulary; itself as a hub name where it can only be one; PubMedBERT's hub name for a
        network of its size; else None.

    Raises:
        InputError: `path` does not exist and is no hub name.
    """
    if path is not None and vocabulary_file(path) is not None:
        return path
    if path is not None and not path.exists():
        if _HUB_NAME.fullmatch(path.as_posix()):
            return path.as_posix()
        raise InputError(f"tokenizer: expected a folder, a vocabulary file or a hub name, found none at {str(path)!r}")
    return PUBMEDBERT if vocab_size == PUBMEDBERT_SIZE else None


def _download(name: str) -> Path:
    import huggingface_hub

    cached = [huggingface_hub.try_to_load_from_cache(name, file) for file in _FILES]
    for path in cached:
        if isinstance(path, str):
            return Path(path)
    try:
        # Asked once: the client's own download tries a hub that does not answer for most of a minute.
        offered = {s.rfilename for s in huggingface_hub.HfApi().model_info(name, timeout=_PATIENCE_S).siblings or ()}
        return Path(huggingface_hub.hf_hub_download(name, next(file for file in _FILES if file in offered)))
    except Exception as error:  # the hub's client raises errors of several libraries, all of which mean the same here
        raise InputError(
            f"tokenizer: the vocabulary {name!r} could not be fetched from the hub ({first_line(error)}); "
            "give tokenizer=PATH of its vocab.txt or tokenizer.json, or put it beside the weights"
        ) from error


def _read(path: Path) -> Any:
    from tokenizers import Tokenizer

    try:
        backend = Tokenizer.from_file(str(path)) if path.suffix == ".json" else _from_vocabulary(path)
    except Exception as error:  # the library raises bare Exception for files that it cannot read
        raise InputError(f"tokenizer: {path} is no WordPiece vocabulary ({first_line(error)})") from error
    # Length and padding are this class's; a file may state its own.
    backend.no_truncation()
    backend.no_padding()
    missing = [piece for piece in _SPECIAL if backend.token_to_id(piece) is None]
    if missing:
        raise InputError(f"tokenizer: expected {', '.join(_SPECIAL)} in {path}, missing {', '.join(missing)}")
    return backend


def _from_vocabulary(path: Path) -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    pieces = path.read_text(encoding="utf-8").splitlines()
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    backend.normalizer = normalizers.BertNormalizer(lowercase=_lowercases(path.parent))
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return backend


def _lowercases(folder: Path) -> bool:
    stated = folder / "tokenizer_config.json"
    if not stated.is_file():
        return True
    document = json.loads(stated.read_text(encoding="utf-8"))
    return bool(document.get("do_lower_case", True)) if isinstance(document, dict) else True
