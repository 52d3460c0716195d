"""Stand-in images drawn in code: one for each modality, for looking at changes where no image is at hand.

They have the layout, brightness and texture of their modality and no more: they are not anatomy, and nothing is ever
scored on them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from robustness.errors import UnknownNameError, suggest
from robustness.perturb.image.fields import Map, coordinates, smooth_noise, smoothstep
from robustness.perturb.image.overlay import Canvas, bent, outline, spread
from robustness.perturb.image.pixels import to_bytes
from robustness.perturb.image.ultrasound.coherent_speckle import rayleigh
from robustness.seeds import generator
from robustness.types import Image

_SIZE = (256, 288)
Draw = Callable[[np.random.Generator], Map]


def phantom(modality: str, seed: int = 0) -> Image:
    """Return the stand-in image of a modality, uint8 (256, 288, 3); another seed varies it.

    Raises:
        UnknownNameError: there is none.
    """
    if modality not in _DRAWN:
        raise UnknownNameError(
            f"modality: expected one of {', '.join(sorted(_DRAWN))}, got {modality!r}{suggest(modality, _DRAWN)}"
        )
    drawn = _DRAWN[modality](generator(seed, "phantom", modality))
    planes = drawn if drawn.ndim == 3 else np.repeat(drawn[..., None], 3, axis=2)
    return np.ascontiguousarray(to_bytes(planes))


def _ellipse(row: float, column: float, high: float, wide: float, *, soft: float = 0.02, turn: float = 0.0) -> Map:
    rows, columns = coordinates(_SIZE)
    down, right = rows - row, columns - column
    along, across = right * np.cos(turn) + down * np.sin(turn), down * np.cos(turn) - right * np.sin(turn)
    away = np.hypot(across / high, along / wide)
    return np.asarray(1 - smoothstep(away, 1 - soft / min(high, wide), 1 + soft / min(high, wide)), dtype=np.float32)


def _tinted(base: tuple[float, float, float], light: Map) -> Map:
    return np.asarray(np.array(base, np.float32) * light[..., None], dtype=np.float32)


def _mixed(below: Map, above: tuple[float, float, float], cover: Map) -> Map:
    return below * (1 - cover[..., None]) + np.array(above, np.float32) * cover[..., None]


def _vessels(rng: np.random.Generator, count: int, width: float, heart: tuple[float, float]) -> Map:
    canvas = Canvas(_SIZE)
    for angle in np.linspace(0, 2 * np.pi, count, endpoint=False) + rng.uniform(0, 1):
        reach = rng.uniform(0.35, 0.7)
        end = (heart[0] + reach * np.cos(angle), heart[1] + reach * np.sin(angle))
        pull = ((heart[0] + end[0]) / 2 + rng.normal(0, 0.1), (heart[1] + end[1]) / 2 + rng.normal(0, 0.1))
        path = bent(heart, pull, (float(end[0]), float(end[1])))
        canvas.line(path, width * float(rng.uniform(0.6, 1.2)))
        side = path[12]
        twig = (side[0] + float(rng.normal(0, 0.18)), side[1] + float(rng.normal(0, 0.18)))
        canvas.line(bent(side, path[16], twig), width * 0.5)
    return canvas.alpha(soft=0.002)


def _endoscopy(rng: np.random.Generator) -> Map:
    rows, columns = coordinates(_SIZE)
    lumen = (0.62, 0.42)
    away = np.hypot(rows - lumen[1], columns - lumen[0])
    folds = 0.5 + 0.5 * np.cos(38 * away**0.7 + 0.8 * smooth_noise(rng, _SIZE, 4))
    light = 0.25 + 0.75 * smoothstep(away, 0.05, 0.45) - 0.12 * folds + 0.04 * smooth_noise(rng, _SIZE, 16)
    tissue = _tinted((0.88, 0.46, 0.38), np.asarray(light, np.float32))
    tissue = _mixed(tissue, (0.6, 0.2, 0.18), 0.5 * _vessels(rng, 7, 0.006, (0.25, 0.8)))
    polyp = _ellipse(0.6, 0.4, 0.15, 0.19, turn=0.4)
    dome = 0.75 + 0.3 * _ellipse(0.55, 0.36, 0.12, 0.15, soft=0.1)
    tissue = tissue * (1 - polyp[..., None]) + _tinted((0.95, 0.5, 0.42), dome) * polyp[..., None]
    view = _ellipse(0.5, 0.5625, 0.62, 0.62, soft=0.01)
    return np.asarray(tissue * view[..., None], dtype=np.float32)


def _skin(rng: np.random.Generator, tone: tuple[float, float, float]) -> Map:
    light = 0.96 + 0.03 * smooth_noise(rng, _SIZE, 5) + 0.02 * smooth_noise(rng, _SIZE, 60)
    return _tinted(tone, np.asarray(light, np.float32))


def _dermoscopy(rng: np.random.Generator) -> Map:
    skin, canvas = _skin(rng, (0.88, 0.68, 0.58)), Canvas(_SIZE)
    canvas.blob(outline(rng, (0.57, 0.5), 0.25, ragged=0.16, stretch=1.25))
    lesion = canvas.alpha(soft=0.012)
    mottled = np.clip(0.8 + 0.15 * smooth_noise(rng, _SIZE, 9) + 0.1 * smooth_noise(rng, _SIZE, 40), 0, 1)
    lesioned = _mixed(skin, (0.4, 0.22, 0.14), np.asarray(lesion * mottled, np.float32))
    return _mixed(lesioned, (0.2, 0.1, 0.1), 0.6 * lesion * _ellipse(0.45, 0.6, 0.09, 0.12, soft=0.06))


def _photograph(rng: np.random.Generator) -> Map:
    cloth = _tinted((0.25, 0.45, 0.5), np.asarray(0.8 + 0.06 * smooth_noise(rng, _SIZE, 6), np.float32))
    foot = _ellipse(0.5, 0.55, 0.36, 0.46, soft=0.01)
    body = cloth * (1 - foot[..., None]) + _skin(rng, (0.82, 0.6, 0.48)) * foot[..., None]
    canvas = Canvas(_SIZE)
    canvas.blob(outline(rng, (0.55, 0.5), 0.14, ragged=0.18, stretch=1.3))
    ulcer = canvas.alpha(soft=0.006)
    body = _mixed(body, (0.78, 0.35, 0.3), 0.6 * canvas.alpha(soft=0.04))
    return _mixed(body, (0.62, 0.12, 0.12), np.asarray(ulcer * (0.8 + 0.15 * smooth_noise(rng, _SIZE, 14)), np.float32))


def _sonogram(rng: np.random.Generator, echo: Map) -> Map:
    """Return echoes as a machine shows them: speckled amplitude, compressed to 55 dB."""
    amplitude = 10 ** (2.6 * (echo - 1)) * rayleigh(rng, _SIZE, (0.9, 1.7))
    return np.asarray(np.clip(1 + 20 * np.log10(np.maximum(amplitude, 1e-6)) / 55, 0, 1), dtype=np.float32)


def _ultrasound(rng: np.random.Generator) -> Map:
    rows, _ = coordinates(_SIZE)
    layers = 0.55 + 0.12 * np.sin(30 * rows + smooth_noise(rng, _SIZE, 3)) + 0.07 * smooth_noise(rng, _SIZE, 8)
    echo = np.asarray(layers + 0.2 * (rows < 0.06) - 0.18 * smoothstep(rows, 0.6, 1.0), dtype=np.float32)
    canvas = Canvas(_SIZE)
    canvas.blob(outline(rng, (0.55, 0.45), 0.16, ragged=0.1, stretch=1.4))
    mass = canvas.alpha(soft=0.008)
    behind = _ellipse(0.78, 0.55, 0.22, 0.14, soft=0.1)
    return _sonogram(rng, np.asarray(echo * (1 - mass) + 0.16 * mass + 0.12 * behind * (1 - mass), np.float32))


def _echocardiography(rng: np.random.Generator) -> Map:
    rows, columns = coordinates(_SIZE)
    across, down = columns - 0.5625, rows + 0.03
    view = (np.abs(np.arctan2(across, down)) < 0.66) & (np.hypot(across, down) < 1.0)
    echo = 0.62 + 0.07 * smooth_noise(rng, _SIZE, 7) - 0.12 * smoothstep(rows, 0.3, 1.0)
    for row, column, high, wide, turn in ((0.42, 0.52, 0.2, 0.1, 0.0), (0.45, 0.72, 0.15, 0.07, 0.1)):
        echo = echo * (1 - _ellipse(row, column, high, wide, turn=turn)) + 0.05 * _ellipse(row, column, high, wide)
    for row, column in ((0.77, 0.53), (0.76, 0.73)):
        echo = echo * (1 - _ellipse(row, column, 0.1, 0.09)) + 0.05 * _ellipse(row, column, 0.1, 0.09)
    return np.asarray(_sonogram(rng, np.asarray(echo, np.float32)) * view, dtype=np.float32)


def _xray(rng: np.random.Generator) -> Map:
    rows, columns = coordinates(_SIZE)
    middle = 0.5625
    body = _ellipse(0.75, middle, 0.85, 0.52, soft=0.05)
    density = 0.52 * body
    for side in (-1, 1):
        lung = _ellipse(0.45, middle + side * 0.21, 0.33, 0.15, soft=0.03, turn=side * 0.08)
        density = density - 0.34 * lung * body
        for number in range(7):
            arc = rows - (0.12 + 0.1 * number) - 0.35 * np.clip(np.abs(columns - middle) - 0.05, 0, None) ** 1.3
            near = np.abs(columns - middle - side * 0.2) < 0.19
            density = density + 0.09 * np.exp(-((arc / 0.014) ** 2)) * near * lung
    spine = np.exp(-(((columns - middle) / 0.045) ** 4)) * (0.8 + 0.2 * np.sin(60 * rows))
    heart = _ellipse(0.58, middle + 0.07, 0.17, 0.15, soft=0.02, turn=0.5)
    below = smoothstep(rows, 0.72, 0.85)
    density = density + 0.2 * spine * body + 0.24 * heart + 0.25 * below * body
    return np.asarray(np.clip(density + 0.008 * rng.standard_normal(_SIZE), 0.02, 0.95), dtype=np.float32)


def _ct(rng: np.random.Generator) -> Map:
    middle = 0.5625
    body = _ellipse(0.5, middle, 0.4, 0.5, soft=0.008)
    inside = _ellipse(0.5, middle, 0.355, 0.455, soft=0.008)
    image = 0.25 * body + 0.22 * inside
    organs = (
        (0.45, 0.36, 0.2, 0.19, 0.58),
        (0.42, 0.8, 0.11, 0.1, 0.6),
        (0.62, 0.38, 0.09, 0.055, 0.66),
        (0.62, 0.75, 0.09, 0.055, 0.66),
        (0.52, 0.53, 0.035, 0.035, 0.72),
        (0.3, 0.63, 0.08, 0.1, 0.5),
    )
    for row, column, high, wide, value in organs:
        organ = _ellipse(row, column, high, wide, soft=0.008)
        image = image * (1 - organ) + value * organ
    for row, column, high, wide in ((0.69, middle, 0.06, 0.07), (0.8, middle, 0.05, 0.02)):
        bone = _ellipse(row, column, high, wide, soft=0.008)
        image = image * (1 - bone) + 0.95 * bone
    return np.asarray(image + body * 0.015 * smooth_noise(rng, _SIZE, 70), dtype=np.float32)


def _mri(rng: np.random.Generator) -> Map:
    middle = 0.5625
    image = 0.75 * _ellipse(0.5, middle, 0.46, 0.38, soft=0.01) - 0.6 * _ellipse(0.5, middle, 0.43, 0.35, soft=0.01)
    brain = _ellipse(0.5, middle, 0.41, 0.33, soft=0.01)
    white = smoothstep(_ellipse(0.5, middle, 0.33, 0.25, soft=0.06) + 0.13 * smooth_noise(rng, _SIZE, 12), 0.4, 0.6)
    image = image * (1 - brain) + brain * (0.45 + 0.3 * white)
    for side in (-1, 1):
        horn = _ellipse(0.46, middle + side * 0.05, 0.12, 0.028, soft=0.01, turn=side * 0.2)
        core = _ellipse(0.52, middle + side * 0.12, 0.07, 0.045, soft=0.01)
        image = image * (1 - core) + 0.5 * core
        image = image * (1 - horn) + 0.1 * horn
    return np.asarray(np.clip(image, 0, 1), dtype=np.float32)


def _microscopy(rng: np.random.Generator) -> Map:
    light = 0.95 + 0.05 * smooth_noise(rng, _SIZE, 6)
    tissue = _tinted((0.93, 0.7, 0.82), np.asarray(light + 0.03 * smooth_noise(rng, _SIZE, 40), np.float32))
    gaps = smoothstep(smooth_noise(rng, _SIZE, 5), 0.9, 1.2)
    tissue = _mixed(tissue, (0.96, 0.94, 0.96), np.asarray(gaps, np.float32))
    canvas = Canvas(_SIZE)
    for position in spread(rng, canvas, 110):
        shape = outline(
            rng, position, float(rng.uniform(0.016, 0.028)), ragged=0.08, stretch=float(rng.uniform(1, 1.6))
        )
        canvas.blob(shape, float(rng.uniform(0.75, 1.0)))
    return _mixed(tissue, (0.36, 0.2, 0.52), canvas.alpha(soft=0.003))


def _fundus(rng: np.random.Generator) -> Map:
    rows, columns = coordinates(_SIZE)
    away = np.hypot(rows - 0.5, columns - 0.5625)
    light = 0.95 - 0.5 * away + 0.03 * smooth_noise(rng, _SIZE, 10)
    retina = _tinted((0.85, 0.42, 0.2), np.asarray(light, np.float32))
    retina = _mixed(retina, (0.45, 0.16, 0.08), 0.6 * _ellipse(0.52, 0.5, 0.09, 0.09, soft=0.07))
    retina = _mixed(retina, (0.98, 0.85, 0.55), _ellipse(0.48, 0.82, 0.075, 0.065, soft=0.02))
    retina = _mixed(retina, (0.42, 0.08, 0.06), 0.8 * _vessels(rng, 9, 0.014, (0.82, 0.48)))
    return np.asarray(retina * (away < 0.485)[..., None], dtype=np.float32)


def _oct(rng: np.random.Generator) -> Map:
    rows, columns = coordinates(_SIZE)
    pit = 0.09 * np.exp(-(((columns - 0.5625) / 0.13) ** 2))
    top = 0.33 + pit + 0.02 * np.sin(3 * columns)
    floor = 0.64 + 0.02 * np.sin(3 * columns)
    position = (rows - top) / (floor - top)
    bands = ((0.06, 0.05, 0.75), (0.3, 0.12, 0.5), (0.55, 0.08, 0.4), (0.88, 0.03, 0.85), (0.98, 0.03, 1.0))
    echo = 0.08 + sum(value * np.exp(-(((position - at) / wide) ** 2)) for at, wide, value in bands) * 0.75
    echo = (
        echo
        + 0.25 * ((position > 0) & (position < 1))
        + 0.4 * (position >= 1) * np.exp(-((position - 1).clip(0) * 2.5))
    )
    return np.asarray(np.clip(echo * (0.55 + 0.45 * rayleigh(rng, _SIZE, (0.6, 0.9))), 0, 1), dtype=np.float32)


_DRAWN: dict[str, Draw] = {
    "CT": _ct,
    "MRI": _mri,
    "OCT": _oct,
    "dermoscopy": _dermoscopy,
    "echocardiography": _echocardiography,
    "endoscopy": _endoscopy,
    "fundus": _fundus,
    "microscopy": _microscopy,
    "photograph": _photograph,
    "ultrasound": _ultrasound,
    "x-ray": _xray,
}
