"""Things that lie over an image: anti-aliased drawing, and the base of the entries that draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np

from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.fields import Map, field_of_view, seeded, stream
from robustness.types import Case, NotApplicable, Params

if TYPE_CHECKING:
    import torch

Point = tuple[float, float]
Colour = tuple[float, float, float]
# A canvas is drawn this much finer than the image, as far as its shorter side stays below the limit.
_FINER = 4
_LIMIT = 2048


class Layer(NamedTuple):
    """One thing to lay over an image.

    Attributes:
        alpha: how much of each pixel it covers, (H, W) in [0, 1].
        colour: red, green, blue in [0, 1]; a gray image gets their luminance.
        mode: "over" paints, "absorb" filters the light as dye or blood does, "add" shines.
    """

    alpha: Map
    colour: Colour
    mode: Literal["over", "absorb", "add"] = "over"


class Overlay(ImagePerturbation):
    """An entry that draws layers; a subclass fills `layers`, `values` hold the amount, `identity` is 0.

    Class attributes:
        inside: whether layers end where the image's field of view does.
    """

    identity: Any = 0.0
    inside: ClassVar[bool] = False

    def parameters(self, value: Any, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the amount and the seed of the drawing."""
        return {"amount": value, "seed": seeded(rng)}

    def layers(self, rng: np.random.Generator, size: tuple[int, int], amount: Any) -> Sequence[Layer]:
        """Return what lies over an image (H, W), lowest first."""
        raise NotImplementedError(f"{type(self).__name__} must define layers()")

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the images with the layers over them; float (B, C, H, W) in [0, 1]."""
        import torch

        out = pixels.clone()
        size = (int(pixels.shape[-2]), int(pixels.shape[-1]))
        for number, own in enumerate(params):
            if own["amount"] == self.identity:
                continue
            for layer in self.layers(stream(own, self.name), size, own["amount"]):
                alpha = torch.from_numpy(np.ascontiguousarray(layer.alpha, dtype=np.float32)).to(pixels.device)[None]
                seen = field_of_view(pixels[number : number + 1])[0] if self.inside else 1.0
                out[number] = _laid(out[number], alpha * seen, layer)
        return out


def _laid(image: torch.Tensor, alpha: torch.Tensor, layer: Layer) -> torch.Tensor:
    colour = image.new_tensor(layer.colour)[:, None, None]
    if image.shape[0] == 1:
        colour = 0.299 * colour[:1] + 0.587 * colour[1:2] + 0.114 * colour[2:3]
    if layer.mode == "absorb":
        return image * (1 - alpha * (1 - colour))
    if layer.mode == "add":
        return (image + alpha * colour).clamp(0, 1)
    return image * (1 - alpha) + colour * alpha


class Canvas:
    """Anti-aliased drawing of a coverage map; lengths are in units of the image's shorter side, x before y.

    Args:
        size: (H, W) of the image.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        from PIL import Image, ImageDraw

        self.size = size
        self.side = min(size)
        self._finer = max(1, min(_FINER, _LIMIT // self.side))
        self._picture = Image.new("L", (size[1] * self._finer, size[0] * self._finer))
        self._draw = ImageDraw.Draw(self._picture)
        self.width, self.height = size[1] / self.side, size[0] / self.side

    def line(self, points: Sequence[Point], width: float, level: float = 1.0) -> None:
        """Draw a line through `points`, at least half a pixel wide, with round joints."""
        wide = max(width * self.side * self._finer, self._finer / 2)
        path = self._at(points)
        self._draw.line(path, fill=_level(level), width=max(1, round(wide)), joint="curve")
        for x, y in (path[0], path[-1]):
            self._draw.ellipse((x - wide / 2, y - wide / 2, x + wide / 2, y + wide / 2), fill=_level(level))

    def blob(self, outline: Sequence[Point], level: float = 1.0) -> None:
        """Fill a closed outline."""
        self._draw.polygon(self._at(outline), fill=_level(level))

    def disk(self, centre: Point, radius: float, level: float = 1.0) -> None:
        """Fill a disk."""
        x, y = self._at([centre])[0]
        reach = radius * self.side * self._finer
        self._draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=_level(level))

    def text(self, position: Point, words: str, height: float, level: float = 1.0) -> None:
        """Write `words` from their left middle with letters of `height`, in Pillow's own font."""
        from PIL import ImageFont

        font = ImageFont.load_default(size=max(4.0, height * self.side * self._finer))
        self._draw.text(self._at([position])[0], words, fill=_level(level), font=font, anchor="lm")

    def text_width(self, words: str, height: float) -> float:
        """Return how wide `text` would write `words`."""
        from PIL import ImageFont

        font = ImageFont.load_default(size=max(4.0, height * self.side * self._finer))
        return float(font.getlength(words)) / (self.side * self._finer)

    def alpha(self, *, soft: float = 0.0) -> Map:
        """Return the coverage (H, W) in [0, 1], blurred by a normal kernel of standard deviation `soft`."""
        from PIL import Image, ImageFilter

        small = self._picture.resize((self.size[1], self.size[0]), Image.Resampling.BOX)
        if soft > 0:
            small = small.filter(ImageFilter.GaussianBlur(soft * self.side))
        return np.asarray(small, dtype=np.float32) / np.float32(255)

    def _at(self, points: Sequence[Point]) -> list[Point]:
        scale = self.side * self._finer
        return [(x * scale, y * scale) for x, y in points]


def somewhere(rng: np.random.Generator, canvas: Canvas, margin: float = 0.0) -> Point:
    """Draw a place on the canvas, `margin` away from its border."""
    return (
        float(rng.uniform(margin, canvas.width - margin)),
        float(rng.uniform(margin, canvas.height - margin)),
    )


def spread(rng: np.random.Generator, canvas: Canvas, count: int) -> list[Point]:
    """Draw `count` places that cover the canvas evenly: the best of ten candidates each, farthest from the others."""
    places: list[Point] = []
    for _ in range(count):
        candidates = [somewhere(rng, canvas) for _ in range(10)]
        places.append(max(candidates, key=lambda c: _clearance(c, places)))
    return places


def outline(rng: np.random.Generator, centre: Point, radius: float, *, ragged: float, stretch: float) -> list[Point]:
    """Draw a closed, irregular outline around `centre`.

    Args:
        rng: where the shape comes from.
        centre: (x, y).
        radius: mean radius.
        ragged: relative depth of its bays, 0 for an ellipse.
        stretch: ratio of the long to the short axis.
    """
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    wave = sum(rng.normal() / k * np.cos(k * angles + rng.uniform(0, 2 * np.pi)) for k in range(2, 7))
    reach = radius * np.clip(1 + ragged * wave, 0.3, 1.9)
    long, short = np.sqrt(stretch), 1 / np.sqrt(stretch)
    turn = rng.uniform(0, np.pi)
    x, y = long * reach * np.cos(angles), short * reach * np.sin(angles)
    return [
        (float(centre[0] + a * np.cos(turn) - b * np.sin(turn)), float(centre[1] + a * np.sin(turn) + b * np.cos(turn)))
        for a, b in zip(x, y, strict=True)
    ]


def bent(start: Point, middle: Point, end: Point, steps: int = 24) -> list[Point]:
    """Return points of the quadratic Bezier curve from `start` to `end` that `middle` pulls at."""
    t = np.linspace(0, 1, steps)
    x, y = ((1 - t) ** 2 * s + 2 * t * (1 - t) * m + t**2 * e for s, m, e in zip(start, middle, end, strict=True))
    return [(float(a), float(b)) for a, b in zip(x, y, strict=True)]


def _clearance(point: Point, others: Sequence[Point]) -> float:
    return min(((point[0] - x) ** 2 + (point[1] - y) ** 2 for x, y in others), default=1.0)


def _level(level: float) -> int:
    return round(255 * min(max(level, 0.0), 1.0))
