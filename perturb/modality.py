"""Imaging modalities: one spelling for each, and the image changes that are plausible for it."""

from __future__ import annotations

import re
from functools import lru_cache

# Order matters: the first pattern that matches wins, so the narrower modality stands before the wider one.
_PATTERNS: tuple[tuple[str, str], ...] = (
    ("OCT", r"\boct\b|optical coherence"),
    ("echocardiography", r"echocardio|\becho\b|cardiac ultrasound"),
    ("ultrasound", r"ultrasound|ultrasono|sonogra|\bus\b"),
    ("endoscopy", r"endoscop|colonoscop|gastroscop|laparoscop|\bpolyp"),
    ("dermoscopy", r"dermoscop|dermatoscop"),
    ("fundus", r"fundus|fundoscop|retinograph"),
    ("microscopy", r"microscop|fluorescen|histolog|histopatholog|patholog|cytolog|h&e"),
    ("MRI", r"\bmri?\b|magnetic resonance|\bt[12]w?\b|\bflair\b"),
    ("CT", r"\bct\b|\bcbct\b|tomograph"),
    ("x-ray", r"x-?\s?rays?\b|radiograph|mammogra|\bcxr\b"),
    ("photograph", r"photo|clinical picture|wound"),
)
MODALITIES: tuple[str, ...] = tuple(sorted(name for name, _ in _PATTERNS))

_COMMON = ("gaussian_noise", "gaussian_blur", "gamma_up", "gamma_down", "jpeg")

# Names of registered entries only (a test holds it); an entry that is plausible for a modality is added here.
# A flip is not listed: it is geometry, asked for by name.
KINDS_BY_MODALITY: dict[str, tuple[str, ...]] = {
    "CT": _COMMON,
    "MRI": _COMMON,
    "OCT": _COMMON,
    "dermoscopy": _COMMON,
    "echocardiography": _COMMON,
    "endoscopy": _COMMON,
    "fundus": _COMMON,
    "microscopy": _COMMON,
    "photograph": _COMMON,
    "ultrasound": _COMMON,
    "x-ray": _COMMON,
}
COMMON_KINDS: tuple[str, ...] = _COMMON


@lru_cache(maxsize=1024)
def canonical_modality(text: str) -> str:
    """Return the modality that `text` names, in this project's spelling, or "" where it names none.

    Example:
        >>> canonical_modality("T1 MRI, average of 152 adults")
        'MRI'
        >>> canonical_modality("chest Xray")
        'x-ray'
        >>> canonical_modality("unknown")
        ''
    """
    lowered = text.lower()
    return next((name for name, pattern in _PATTERNS if re.search(pattern, lowered)), "")
