"""The model `film-unet`: a text-conditioned U-Net small enough to be trained from scratch on a CPU in minutes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from robustness.registry import MODELS
from robustness.runners.inference.preprocess import Preprocess
from robustness.runners.inference.segmenter import Tokenizer, Tokens
from robustness.runners.models.entry import Config, ModelEntry
from robustness.runners.models.film_unet.network import FilmUNet, FilmUNetConfig
from robustness.runners.models.tokenizers.bytes import PAD, ByteVocabulary, pieces

CONTEXT_LENGTH = 256


class ByteTokenizer:
    """`ByteVocabulary` as a segmenter needs it: tensors padded to `context_length`."""

    def __init__(self, words: Sequence[str] | None = None, *, context_length: int = CONTEXT_LENGTH) -> None:
        self.context_length = context_length
        self.vocabulary = ByteVocabulary(words, max_length=context_length)

    def __call__(self, texts: Sequence[str]) -> Tokens:
        """Return ids and mask (B, context_length); longer texts are cut."""
        return self._tokens([self.vocabulary.encode(text) for text in texts])

    def count(self, text: str) -> int:
        """Return the number of ids that `text` needs."""
        return self.vocabulary.count(text)

    def spelled(self, texts: Sequence[str], share: float, generators: Sequence[np.random.Generator]) -> Tokens:
        """Return ids in which each known word is spelled with probability `share`.

        Training on them teaches the network what spelled words mean; without it every rare word is noise to it.

        Args:
            texts: B texts.
            share: probability in [0, 1].
            generators: one for each text, so that a text's ids do not depend on its neighbours.
        """
        chosen = [
            np.flatnonzero(rng.random(len(pieces(text))) < share).tolist()
            for text, rng in zip(texts, generators, strict=True)
        ]
        pairs = zip(texts, chosen, strict=True)
        return self._tokens([self.vocabulary.encode(text, spell=positions) for text, positions in pairs])

    def _tokens(self, sequences: Sequence[Sequence[int]]) -> Tokens:
        filled = np.full((len(sequences), self.context_length), PAD, dtype=np.int64)
        for row, sequence in enumerate(sequences):
            filled[row, : len(sequence)] = sequence
        ids = torch.from_numpy(filled)
        return Tokens(ids, (ids != PAD).long())


@MODELS.add("film-unet")
class FilmUNetEntry(ModelEntry):
    """Small text-conditioned U-Net; ``text=False`` is its image-only contrast, `film-unet-image-only`."""

    title: ClassVar[str] = "small text-conditioned U-Net (FiLM) for a CPU; text=False: its image-only contrast"
    signature: ClassVar[tuple[str, ...]] = ("bottleneck.", "encoder.0.", "head.")
    encoders: ClassVar[Mapping[str, tuple[str, ...]]] = {"image": ("encoder.",), "text": ("text_encoder.",)}

    def default_config(self) -> Config:
        """Return the configuration; `words` is the vocabulary, so that a checkpoint carries its own."""
        return {
            "image_size": 128,
            "widths": [8, 16, 32, 56, 72],
            "token_width": 48,
            "text_width": 96,
            "text": True,
            "words": list(ByteVocabulary().words),
        }

    def preprocess(self, config: Config) -> Preprocess:
        """Return the preparation of images: one mean and deviation for all channels, as most images are gray."""
        return Preprocess(
            image_size=config["image_size"],
            mean=(0.5, 0.5, 0.5),
            std=(0.25, 0.25, 0.25),
            tokenizer="bytes" if config["text"] else None,
            context_length=CONTEXT_LENGTH,
        )

    def build(self, config: Config) -> nn.Module:
        """Return the network with fresh weights."""
        fields: dict[str, Any] = {key: value for key, value in config.items() if key != "words"}
        return FilmUNet(FilmUNetConfig(**fields, vocabulary_size=len(ByteVocabulary(config["words"]))))

    def tokenizer(self, config: Config, folder: Path | None) -> Tokenizer:
        """Return the tokenizer; its words stand in the configuration, so `folder` is not read."""
        return ByteTokenizer(config["words"])

    def reads_text(self, config: Config) -> bool:
        """Return whether the network has a text path."""
        return bool(config["text"])

    def display_name(self, name: str, config: Config) -> str:
        """Return `film-unet`, or `film-unet-image-only` without the text path."""
        return name if config["text"] else f"{name}-image-only"
