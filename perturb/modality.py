"""Imaging modalities: one spelling for each, and the image changes that are plausible for it."""

from __future__ import annotations

import re
from functools import lru_cache

from robustness.errors import UnknownNameError, suggest

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

_NOISE = ("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise")
_BLUR = ("gaussian_blur", "defocus_blur", "motion_blur", "zoom_blur")
_LIGHT = ("brightness_up", "brightness_down", "contrast_up", "contrast_down", "gamma_up", "gamma_down")
_COLOUR = ("saturation_up", "saturation_down", "hue")
_DIGITAL = ("jpeg", "pixelate", "posterize")
_HIDDEN = ("occlusion", "vignette", "black_corner")

COMMON_KINDS: tuple[str, ...] = (*_NOISE, *_BLUR, *_LIGHT, *_COLOUR, *_DIGITAL, *_HIDDEN)

# What goes wrong between the device and the file.
PIPELINE_KINDS: tuple[str, ...] = ("requantize", "resize_round_trip", "channel_swap", "window_error", "inversion")

# Detectors and coils count no photons that an optic could defocus; a probe has no lens; and gray images have no hue.
_TOMOGRAPHY = ("gaussian_noise", "gaussian_blur", *_LIGHT, *_DIGITAL, "occlusion")
_RADIOGRAPHY = ("gaussian_noise", "shot_noise", "impulse_noise", "gaussian_blur", "motion_blur", *_LIGHT, *_DIGITAL)
_SOUND = ("speckle_noise", "gaussian_noise", "gaussian_blur", "motion_blur", *_LIGHT, *_DIGITAL, "occlusion")
_CAMERA = (*_NOISE[:3], "defocus_blur", "motion_blur", *_LIGHT, *_COLOUR, *_DIGITAL)

# What one modality alone knows.
_ULTRASOUND = (
    "ultrasound_speckle",
    "gain_up",
    "gain_down",
    "time_gain_up",
    "time_gain_down",
    "acoustic_shadow",
    "reverberation",
    "haze",
    "sector_narrow",
    "imaging_depth_up",
    "imaging_depth_down",
)
_SKIN = ("hair", "ruler_marks", "ink_marks", "colour_temperature_warm", "colour_temperature_cool", "shadow")
_ENDOSCOPE = (
    "specular_highlights",
    "bubbles",
    "blood",
    "overexposure",
    "interlacing",
    "endoscope_motion",
    "colour_cast",
)
_XRAY = (
    "exposure_up",
    "exposure_down",
    "scatter",
    "grid_lines",
    "beam_hardening",
    "marker_text",
    "xray_blur",
    "support_device",
    "inversion",
)
_CT = (
    "window_level_up",
    "window_level_down",
    "window_narrow",
    "window_wide",
    "metal_streaks",
    "ring_artifact",
    "photon_starvation",
    "low_dose_noise",
    "beam_hardening",
)
_MRI = (
    "bias_field",
    "gibbs_ringing",
    "kspace_spikes",
    "ghosting",
    "mri_motion",
    "rician_noise",
    "slice_thickness",
    "low_field",
)
_MICROSCOPE = ("stain_shift", "air_bubbles", "debris", "illumination_gradient")
_FUNDUS = ("uneven_illumination", "cataract", "camera_spots")
_OCT = ("oct_speckle", "vessel_shadow", "blink_stripes")

# Names of registered entries only (a test holds it); an entry that is plausible for a modality is added here.
# A flip is not listed: it is geometry, asked for by name.
KINDS_BY_MODALITY: dict[str, tuple[str, ...]] = {
    "CT": (*_TOMOGRAPHY, *_CT),
    "MRI": (*_TOMOGRAPHY, "motion_blur", *_MRI),
    "OCT": (*_SOUND, "defocus_blur", *_OCT),
    "dermoscopy": (*_CAMERA, "occlusion", "vignette", "black_corner", *_SKIN, "gel_bubbles"),
    "echocardiography": (*_SOUND, *_ULTRASOUND),
    "endoscopy": (*_CAMERA, "zoom_blur", "occlusion", "vignette", "black_corner", *_ENDOSCOPE),
    "fundus": (*_CAMERA, "vignette", *_FUNDUS),
    "microscopy": (*_CAMERA, "gaussian_blur", "occlusion", "vignette", *_MICROSCOPE),
    "photograph": (*_CAMERA, "zoom_blur", "occlusion", "vignette", *_SKIN),
    "ultrasound": (*_SOUND, *_ULTRASOUND),
    "x-ray": (*_RADIOGRAPHY, "occlusion", *_XRAY),
}


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


def known_modality(text: str, *, option: str = "modality") -> str:
    """Return the modality that `text` names, in this project's spelling.

    Args:
        text: what the user wrote.
        option: what the user set, for the message.

    Raises:
        UnknownNameError: it names none.
    """
    name = text if text in MODALITIES else canonical_modality(text)
    if not name:
        raise UnknownNameError(
            f"{option}: expected one of {', '.join(MODALITIES)}, got {text!r}{suggest(text, MODALITIES)}"
        )
    return name


def family(modality: str) -> str:
    """Return the modality by what it shows; an echocardiogram is an ultrasound image."""
    return "ultrasound" if modality == "echocardiography" else modality
