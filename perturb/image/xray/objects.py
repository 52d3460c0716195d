"""Objects that lie over a radiograph: lead letters, tubes and leads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from robustness.perturb.image.overlay import Canvas, Layer, Overlay, Point, bent
from robustness.registry import PERTURBATIONS
from robustness.types import Case, NotApplicable, Params

# Neither "L" and "R" nor "AP" and "LAT" are among them: a side or a view that is printed could make a prompt false.
_WORDS = ("PORT", "SUPINE", "ERECT", "MOBILE", "SEMI")
_WHITE = (0.97, 0.97, 0.97)


@PERTURBATIONS.add("marker_text")
class MarkerText(Overlay):
    """Write white lead letters into the corners and along the border.

    Imitates radiographers' markers (position, initials, time), which networks learn as a shortcut to the hospital. No
    marker names a side or a view, so no prompt becomes false. Severity makes the letters larger and their number grow;
    the value is the height of a letter in units of the shorter side.

    Source: Zech et al., "Variable generalization performance of a deep learning model to detect pneumonia in chest
    radiographs", PLoS Med. 2018, doi:10.1371/journal.pmed.1002683.
    """

    name = "marker_text"
    values = (0.05, 0.065, 0.08, 0.1, 0.125)
    span: ClassVar[tuple[float, float]] = (0.025, 0.125)

    def layers(self, rng: np.random.Generator, size: tuple[int, int], amount: Any) -> Sequence[Layer]:
        """Return the letters."""
        canvas, height = Canvas(size), float(amount)
        corners = [(x, y) for y in (0.0, 1.0) for x in (0.0, 1.0)]
        count = min(4, 1 + round(height * 25))
        for index in rng.permutation(4)[:count]:
            words = _marker(rng)
            wide = canvas.text_width(words, height)
            x = (canvas.width - wide - 0.08) * corners[index][0] + 0.04
            y = (canvas.height - 2 * height - 0.06) * corners[index][1] + height + 0.03
            canvas.text((max(x, 0.0), y + float(rng.uniform(-0.02, 0.02))), words, height)
        return [Layer(0.97 * canvas.alpha(soft=0.001), _WHITE)]


def _marker(rng: np.random.Generator) -> str:
    kind = int(rng.integers(3))
    if kind == 0:
        return str(rng.choice(_WORDS))
    if kind == 1:
        return f"{int(rng.integers(24)):02d}:{int(rng.integers(60)):02d}"
    letters = [chr(ord("A") + int(rng.integers(26))) for _ in range(2)]
    return f"{''.join(letters)} {int(rng.integers(10, 100))}".replace("L", "K").replace("R", "S")


@PERTURBATIONS.add("support_device")
class SupportDevice(Overlay):
    """Lay tubes, wires and electrodes over a radiograph.

    Imitates lines of intensive care: tubes from the upper or lower border with two dense walls, electrode wires that
    end in a disk with a snap. Not applicable where support devices are the target, because the reference mask would
    lack them. The value is the number of devices.

    Source: Irvin et al., "CheXpert", AAAI 2019, arXiv:1901.07031 (class "Support Devices"); Zech et al., PLoS Med.
    2018, doi:10.1371/journal.pmed.1002683.
    """

    name = "support_device"
    values = (1, 3, 5, 9, 14)
    span: ClassVar[tuple[float, float]] = (1.0, 14.0)
    whole_numbers: ClassVar[bool] = True

    def parameters(self, value: Any, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the number of devices and the seed of their courses."""
        if "device" in f"{case.target} {case.prompt.text}".lower():
            return NotApplicable("support devices are the target: the reference mask would lack the new ones")
        return super().parameters(value, case, rng)

    def layers(self, rng: np.random.Generator, size: tuple[int, int], amount: Any) -> Sequence[Layer]:
        """Return the fillings and the dense parts."""
        filling, dense = Canvas(size), Canvas(size)
        for number in range(max(1, round(float(amount)))):
            if number % 3 == 1:
                _electrode(rng, filling, dense)
            else:
                _tube(rng, filling, dense, wide=number % 3 == 0)
        return [Layer(filling.alpha(), (0.9, 0.9, 0.9)), Layer(dense.alpha(soft=0.001), _WHITE)]


def _course(rng: np.random.Generator, canvas: Canvas) -> list[Point]:
    """Draw a smooth course from a border into the image."""
    from_top = bool(rng.random() < 0.75)
    start = (float(rng.uniform(0.2, 0.8)) * canvas.width, -0.02 if from_top else canvas.height + 0.02)
    depth = float(rng.uniform(0.45, 0.85)) * canvas.height
    end = (start[0] + float(rng.normal(0, 0.2)), depth if from_top else canvas.height - depth)
    pull = ((start[0] + end[0]) / 2 + float(rng.normal(0, 0.2)), (start[1] + end[1]) / 2)
    return bent(start, pull, end)


def _tube(rng: np.random.Generator, filling: Canvas, dense: Canvas, *, wide: bool) -> None:
    path, width = _course(rng, dense), float(rng.uniform(0.022, 0.034)) if wide else 0.01
    if not wide:
        dense.line(path, width, 0.75)
        return
    filling.line(path, width, 0.22)
    steps = np.gradient(np.asarray(path), axis=0)
    normal = np.stack([-steps[:, 1], steps[:, 0]], axis=1) / np.maximum(np.hypot(*steps.T), 1e-6)[:, None]
    for side in (-0.5, 0.5):
        wall = np.asarray(path) + side * width * normal
        dense.line([(float(x), float(y)) for x, y in wall], 0.006, 0.7)


def _electrode(rng: np.random.Generator, filling: Canvas, dense: Canvas) -> None:
    path = _course(rng, dense)
    dense.line(path, 0.007, 0.75)
    filling.disk(path[-1], 0.035, 0.3)
    dense.disk(path[-1], 0.013, 0.95)
