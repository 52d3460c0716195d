"""Embeddings of several members side by side, and encoders that members have in common."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch

from robustness.registry import MODELS
from robustness.runners.inference.devices import autocast
from robustness.runners.inference.embedding import TensorEmbedding, Tensors
from robustness.runners.inference.segmenter import NetworkSegmenter, SplitNetwork
from robustness.runners.models.entry import ModelEntry
from robustness.types import Embedding, Image, Segmenter


@dataclass(frozen=True, eq=False)
class MemberEmbeddings:
    """The embeddings that each member made of the same rows."""

    embeddings: tuple[Any, ...]

    def __len__(self) -> int:
        return len(self.embeddings[0])

    def take(self, rows: Sequence[int]) -> MemberEmbeddings:
        """Return the embeddings of `rows`, repeats allowed, in that order."""
        return MemberEmbeddings(tuple(embedding.take(rows) for embedding in self.embeddings))

    @staticmethod
    def concat(parts: Sequence[MemberEmbeddings]) -> MemberEmbeddings:
        """Join embeddings by rows."""
        joined = zip(*(part.embeddings for part in parts), strict=True)
        return MemberEmbeddings(tuple(type(embeddings[0]).concat(embeddings) for embeddings in joined))


class Encoders:
    """Encodes images and texts for several members; an encoder that members share runs once.

    Two networks share an encoder where its weights, the preparation of its input and its arithmetic are the same, and
    their decoders start from what it gives alone (`SplitNetwork.image_features`, `text_features`).

    Attributes:
        image_groups, text_groups: for each member, the number of the first member with the same encoder.
    """

    def __init__(self, members: Sequence[Segmenter]) -> None:
        self.members = tuple(members)
        self.image_groups = _groups([_identity(member, "image") for member in members])
        self.text_groups = _groups([_identity(member, "text") for member in members])

    def encode_image(self, images: Sequence[Image]) -> MemberEmbeddings:
        """Encode images (H, W, 3), each distinct encoder once."""
        features: dict[int, Tensors] = {}
        return MemberEmbeddings(tuple(self._image(index, images, features) for index in range(len(self.members))))

    def encode_text(self, texts: Sequence[str]) -> MemberEmbeddings:
        """Encode texts, each distinct encoder once."""
        features: dict[int, Tensors] = {}
        return MemberEmbeddings(tuple(self._text(index, texts, features) for index in range(len(self.members))))

    def _image(self, index: int, images: Sequence[Image], features: dict[int, Tensors]) -> Embedding:
        member, group = self.members[index], self.image_groups[index]
        if self.image_groups.count(group) == 1 or not isinstance(member, NetworkSegmenter):
            return member.encode_image(images)
        network: Any = member.network
        with autocast(member.device, member.precision):
            if group not in features:
                features[group] = network.image_features(member.preprocess.pixel_values(images).to(member.device))
            return TensorEmbedding(tuple(network.image_embedding(features[group])))

    def _text(self, index: int, texts: Sequence[str], features: dict[int, Tensors]) -> Embedding:
        member, group = self.members[index], self.text_groups[index]
        if self.text_groups.count(group) == 1 or not isinstance(member, NetworkSegmenter):
            return member.encode_text(texts)
        network: Any = member.network
        with autocast(member.device, member.precision):
            if group not in features:
                features[group] = network.text_features(*_tokens(member, texts))
            return TensorEmbedding(tuple(network.text_embedding(features[group])))


def _tokens(member: NetworkSegmenter, texts: Sequence[str]) -> Tensors:
    ids, mask = member.without_padding(member.tokenize(texts))
    return ids.to(member.device), mask.to(member.device)


def _groups(identities: Sequence[str | None]) -> list[int]:
    return [index if one is None else identities.index(one) for index, one in enumerate(identities)]


def _identity(member: Segmenter, part: str) -> str | None:
    """Return what an encoder's output depends on, as a hash; None where it cannot be separated from the rest."""
    if not isinstance(member, NetworkSegmenter) or not member.model or (part == "text" and not member.takes_text):
        return None
    kind = type(member.network)
    split = getattr(kind, f"{part}_features", None)
    # Without a split of its own, an encoder's embedding holds what the decoder adds to it.
    if split is None or split is getattr(SplitNetwork, f"{part}_features"):
        return None
    keys = _keys_of(member, part)
    if not keys:
        return None
    digest = hashlib.sha256(json.dumps(_preparation(member, part), sort_keys=True, default=str).encode())
    state = member.network.state_dict()
    for key in sorted(keys):
        digest.update(f"{key} {tuple(state[key].shape)}".encode())
        digest.update(state[key].detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _keys_of(member: NetworkSegmenter, part: str) -> list[str]:
    """Return the state-dict keys, buffers included, of one encoder."""
    beginnings = cast("type[ModelEntry]", MODELS.get(member.model)).encoders
    if part not in beginnings:
        return []
    before = [start for other, starts in beginnings.items() if other != part for start in starts]
    own = beginnings[part]
    # "image" may be everything under a common word that "text" does not claim first.
    first = next(iter(beginnings)) == part
    return [
        key
        for key in member.network.state_dict()
        if key.startswith(tuple(own)) and (first or not key.startswith(tuple(before) or ("\0",)))
    ]


def _preparation(member: NetworkSegmenter, part: str) -> dict[str, Any]:
    facts = {"model": member.model, "device": str(member.device), "precision": member.precision, "part": part}
    prepare = member.preprocess.as_dict()
    config = {key: value for key, value in member.config.items() if key not in ("words",)}
    if part == "image":
        names = ("image_size", "interpolation", "mean", "std")
        return {**facts, "config": config, **{name: prepare[name] for name in names}}
    probe = member.tokenize(["left upper lobe", "a polyp"]).input_ids.tolist() if member.tokenizer else None
    return {**facts, "config": config, "context_length": prepare["context_length"], "probe": probe}
