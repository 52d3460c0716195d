"""References at network resolution are those of the reference benchmark: PIL's NEAREST."""

import numpy as np
import pytest
from PIL import Image as PILImage

from robustness.runners.audit.scoring import resize_nearest


@pytest.mark.parametrize("size", [(217, 181), (512, 512), (256, 320), (360, 360), (100, 37)])
@pytest.mark.parametrize("side", [352, 224, 416, 256, 48])
def test_masks_are_resized_as_pil_does(size, side):
    mask = np.random.default_rng(0).random(size) > 0.5
    expected = PILImage.fromarray(mask.astype(np.uint8) * 255).resize((side, side), PILImage.Resampling.NEAREST)
    np.testing.assert_array_equal(resize_nearest(mask, (side, side)), np.asarray(expected) > 0)
