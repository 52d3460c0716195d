"""Several models as one: each image and text is encoded once for each encoder, and the members' maps become one map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from robustness.errors import InputError
from robustness.runners.data.membership import without_names
from robustness.runners.inference.embedding import Tensors
from robustness.runners.inference.segmenter import NetworkSegmenter, SplitNetwork, resize_maps
from robustness.runners.models.ensemble.encoders import Encoders, MemberEmbeddings
from robustness.types import Image, Probability, Segmenter

COMBINATIONS = ("probabilities", "logits", "fusion")
# A probability of 0 or 1 of a black box is a logit without end.
LARGEST_LOGIT = 12.0
_MACHINE = ("device", "device_name", "precision", "threads")

HIDDEN = 16


class FusionHead(SplitNetwork):
    """Logits (B, 1, S, S) from the members' logits (B, M, S, S): their weighted mean and a correction of it.

    The mean is a 1 x 1 convolution that starts at the members' weights; the correction is two 3 x 3 convolutions with a
    ReLU between them, of which the second starts at 0. A fresh head is the mean of logits, and training moves on from
    there.

    Args:
        weights: of the members, summing to 1.
        hidden: channels between the two convolutions.
    """

    def __init__(self, weights: Sequence[float], *, hidden: int = HIDDEN) -> None:
        super().__init__()
        if isinstance(hidden, bool) or not isinstance(hidden, int) or not 1 <= hidden <= 1024:
            raise InputError(f"hidden: expected a whole number of channels from 1 to 1024, got {hidden!r}")
        self.mean = nn.Conv2d(len(weights), 1, 1)
        self.first = nn.Conv2d(len(weights), hidden, 3, padding=1)
        self.second = nn.Conv2d(hidden, 1, 3, padding=1)
        with torch.no_grad():
            self.mean.weight.copy_(torch.tensor(weights).view(1, -1, 1, 1))
            self.mean.bias.zero_()  # type: ignore[union-attr]
            self.second.weight.zero_()
            self.second.bias.zero_()  # type: ignore[union-attr]

    def decode(self, image: Tensors, text: Tensors) -> torch.Tensor:
        """Return logits (B, 1, S, S) from the maps of the pairs; what a prompt says is in the maps already."""
        (maps,) = image
        correction = self.second(functional.relu(self.first(maps)))
        fused: torch.Tensor = self.mean(maps) + correction
        return fused


def fresh_head(weights: Sequence[float], *, hidden: int, seed: int) -> FusionHead:
    """Return a head that has learned nothing; the caller's generator stays as it is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return FusionHead(weights, hidden=hidden)


@dataclass(eq=False)
class Ensemble:
    """Members behind the `Segmenter` protocol.

    Attributes:
        members: any segmenters that predict; stored predictions do not.
        combine: "probabilities": their weighted mean, each resized to the image; "logits": the mean of logits, each
            resized, then a sigmoid; "fusion": what `head` makes of the logits at `image_size`, resized.
        weights: one per member, summing to 1.
        image_size: side of the map at network resolution.
        head: of "fusion"; `head_provenance` tells where its weights come from.
        specs: the members as a plan states them.
    """

    name: str
    members: tuple[Segmenter, ...]
    combine: str = "probabilities"
    weights: tuple[float, ...] = ()
    threshold: float = 0.5
    image_size: int = 0
    network: torch.nn.Module | None = None
    head: FusionHead | None = None
    head_provenance: Mapping[str, Any] = field(default_factory=dict)
    specs: Sequence[Mapping[str, Any]] = ()

    def __post_init__(self) -> None:
        self.encoders = Encoders(self.members)
        if self.head is not None:
            self.head = self.head.to(self.device).eval()

    @property
    def takes_text(self) -> bool:
        """Whether a prompt reaches any member."""
        return any(getattr(member, "takes_text", True) for member in self.members)

    @property
    def device(self) -> torch.device:
        """Where the members that are networks compute; the CPU where none is."""
        return next((m.device for m in self.members if isinstance(m, NetworkSegmenter)), torch.device("cpu"))

    def cut_texts(self, texts: Sequence[str]) -> list[str] | None:
        """Return those of `texts` that a member does not read to their end; None where no member can tell."""
        answers = [member.cut_texts(texts) for member in self.members if hasattr(member, "cut_texts")]
        cuts = [cut for cut in answers if cut is not None]
        if not cuts:
            return None
        return [text for text in texts if any(text in cut for cut in cuts)]

    def encode_image(self, images: Sequence[Image]) -> MemberEmbeddings:
        """Encode uint8 RGB images (H, W, 3) for each member."""
        return self.encoders.encode_image(images)

    def encode_text(self, texts: Sequence[str]) -> MemberEmbeddings:
        """Encode prompts for each member."""
        return self.encoders.encode_text(texts)

    def decode(self, image_embedding: MemberEmbeddings, text_embedding: MemberEmbeddings) -> torch.Tensor:
        """Return logits (B, 1, S, S) of the pairs at `image_size`."""
        maps = np.stack(self.probabilities(image_embedding, text_embedding, None))
        return torch.from_numpy(maps)[:, None].logit(eps=1e-7)

    def probabilities(
        self,
        image_embedding: MemberEmbeddings,
        text_embedding: MemberEmbeddings,
        sizes: Sequence[tuple[int, int]] | None = None,
    ) -> list[Probability]:
        """Return one float32 map in [0, 1] per pair, at `sizes` (H, W), or at `image_size` where None.

        Raises:
            InputError: network size is asked for and no member states one.
        """
        if (sizes is None or self.head is not None) and not self.image_size:
            raise InputError(f"resolution: network size needs image_size=N, no member of {self.name} states one")
        goals = [(self.image_size, self.image_size)] * len(image_embedding) if sizes is None else list(sizes)
        if self.combine == "probabilities":
            return self._mean(image_embedding, text_embedding, goals)
        if self.head is not None:
            return self._fused(self.head, image_embedding, text_embedding, goals)
        return self._mean_of_logits(image_embedding, text_embedding, goals)

    def member_logits(self, image_embedding: MemberEmbeddings, text_embedding: MemberEmbeddings) -> torch.Tensor:
        """Return what a head reads: the members' bounded logits (B, M, S, S) at `image_size`, on the CPU."""
        goals = [(self.image_size, self.image_size)] * len(image_embedding)
        with torch.no_grad():
            raw = [self._native(*parts, sizes=goals) for parts in self._parts(image_embedding, text_embedding)]
            maps = [torch.cat([_resized(one, size).cpu() for one, size in zip(m, goals, strict=True)]) for m in raw]
        return torch.cat(maps, dim=1).float().clamp(-LARGEST_LOGIT, LARGEST_LOGIT)

    def describe(self) -> dict[str, Any]:
        """Return what a manifest needs to know, as JSON values."""
        descriptions = [_described(member) for member in self.members]
        first = next((one for one in descriptions if "device" in one), {})
        return {
            "name": self.name,
            "model": "ensemble",
            "combine": self.combine,
            "member_weights": list(self.weights),
            "weights": {
                "random": bool(self.head_provenance.get("random"))
                or any((one.get("weights") or {}).get("random", False) for one in descriptions)
            },
            "threshold": self.threshold,
            "image_size": self.image_size,
            **({"head": without_names(self.head_provenance)} if self.head is not None else {}),
            "members": [{k: v for k, v in one.items() if k not in _MACHINE} for one in descriptions],
            "reads_text": [bool(getattr(member, "takes_text", True)) for member in self.members],
            "image_encoders": len(set(self.encoders.image_groups)),
            "text_encoders": len(set(self.encoders.text_groups)),
            **{k: v for k, v in first.items() if k in _MACHINE},
        }

    def _parts(
        self, image_embedding: MemberEmbeddings, text_embedding: MemberEmbeddings
    ) -> list[tuple[Segmenter, Any, Any]]:
        return list(zip(self.members, image_embedding.embeddings, text_embedding.embeddings, strict=True))

    def _mean(self, image: MemberEmbeddings, text: MemberEmbeddings, sizes: list[tuple[int, int]]) -> list[Probability]:
        total = [np.zeros(size, np.float64) for size in sizes]
        for (member, own_image, own_text), weight in zip(self._parts(image, text), self.weights, strict=True):
            for row, probability in enumerate(member.probabilities(own_image, own_text, sizes)):
                total[row] += weight * probability
        return [np.clip(one, 0.0, 1.0).astype(np.float32) for one in total]

    def _fused(
        self, head: FusionHead, image: MemberEmbeddings, text: MemberEmbeddings, sizes: list[tuple[int, int]]
    ) -> list[Probability]:
        with torch.no_grad():
            maps = self.member_logits(image, text).to(self.device)
            return resize_maps(head.decode((maps,), ()).sigmoid(), sizes)

    def _mean_of_logits(
        self, image: MemberEmbeddings, text: MemberEmbeddings, sizes: list[tuple[int, int]]
    ) -> list[Probability]:
        probabilities: list[Probability] = []
        with torch.no_grad():
            raw = [self._native(*parts, sizes=sizes) for parts in self._parts(image, text)]
        for row, size in enumerate(sizes):
            pairs = zip(raw, self.weights, strict=True)
            mean = sum(weight * _resized(logits[row], size).double() for logits, weight in pairs)
            probabilities.append(torch.as_tensor(mean).sigmoid()[0, 0].float().cpu().numpy())
        return probabilities

    def _native(self, member: Segmenter, image: Any, text: Any, *, sizes: list[tuple[int, int]]) -> list[torch.Tensor]:
        """Return a member's logits, one (1, 1, h, w) per pair, at its own size."""
        if isinstance(member, NetworkSegmenter):
            return list(torch.split(member.decode(image, text).float(), 1))
        maps = member.probabilities(image, text, sizes)
        return [_logit(one) for one in maps]


def _logit(probability: Probability) -> torch.Tensor:
    logits = torch.from_numpy(np.ascontiguousarray(probability)).double().logit()
    return logits.clamp(-LARGEST_LOGIT, LARGEST_LOGIT).float()[None, None]


def _resized(logits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    if tuple(logits.shape[-2:]) == tuple(size):
        return logits
    return functional.interpolate(logits, size=size, mode="bilinear", align_corners=False)


def _described(member: Segmenter) -> dict[str, Any]:
    describe = getattr(member, "describe", None)
    return dict(describe()) if describe else {"name": member.name}
