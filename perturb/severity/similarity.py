"""Similarity of two images: SSIM over whole images, and over the content of the clean one.

The structural similarity index (Wang et al., "Image quality assessment: from error visibility to structural
similarity", IEEE TIP 2004, doi:10.1109/TIP.2003.819861) is MONAI's, with a normal window of 1.5 pixels. In a black
background a lift by one percent of the range, which nobody sees, halves it: averaged over whole images it would call
a contrast of 94% as bad as a blur that hides the anatomy. So calibration averages over content.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from robustness.errors import InputError
from robustness.perturb.image.pixels import planes
from robustness.types import Case

_SIGMA = 1.5
_REACH = 5
_BLACK = 0.02


def similarity(one: Case, other: Case) -> float:
    """Return the mean SSIM of two images of one size, in [-1, 1]; gray ones are compared as one channel.

    Raises:
        InputError: a side is shorter than the 11 pixels of the window.
    """
    return float(_map(one, other).mean())


def content_similarity(clean: Case, changed: Case) -> float:
    """Return the mean SSIM over the windows whose mean in the clean image is above 2% of the range.

    Where there are none, in a black image, over all.

    Raises:
        InputError: a side is shorter than the 11 pixels of the window.
    """
    return content_and_whole(clean, changed)[0]


def content_and_whole(clean: Case, changed: Case) -> tuple[float, float]:
    """Return `content_similarity` and `similarity` of a pair, measured once."""
    from scipy import ndimage

    ssim = _map(clean, changed)
    bright = ndimage.gaussian_filter(planes(clean).mean(axis=0), _SIGMA)[_REACH:-_REACH, _REACH:-_REACH] > _BLACK
    whole = float(ssim.mean())
    return (float(ssim[bright].mean()) if bright.any() else whole), whole


def _map(one: Case, other: Case) -> npt.NDArray[np.float64]:
    """Return SSIM of each window that lies inside, (H - 10, W - 10), channels averaged."""
    import torch
    from monai.metrics.regression import compute_ssim_and_cs

    pair = [torch.from_numpy(planes(case))[None] for case in (one, other)]
    if min(pair[0].shape[-2:]) <= 2 * _REACH:
        raise InputError(f"SSIM: expected images of at least 11 pixels, got {tuple(pair[0].shape[-2:])}")
    channels = max(image.shape[1] for image in pair)
    first, second = (image.expand(-1, channels, -1, -1) for image in pair)
    window = (2 * _REACH + 1, 2 * _REACH + 1)
    ssim, _ = compute_ssim_and_cs(
        first, second, spatial_dims=2, data_range=1.0, kernel_size=window, kernel_sigma=(_SIGMA, _SIGMA)
    )
    return np.asarray(ssim[0].mean(dim=0).numpy(), dtype=np.float64)
