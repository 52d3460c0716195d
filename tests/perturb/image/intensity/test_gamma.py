import pytest
import torch

from robustness.perturb.image.intensity.gamma import GammaDown, GammaUp, _curve


@pytest.mark.parametrize("gamma", [*GammaUp.values, *GammaDown.values])
@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.2, 0.7), (0.5, 0.5 + 1e-4)])
def test_values_are_those_of_monai_bit_for_bit(gamma, low, high):
    transforms = pytest.importorskip("monai.transforms")
    image = torch.rand(3, 21, 17, generator=torch.Generator().manual_seed(0)) * (high - low) + low
    expected = torch.as_tensor(transforms.AdjustContrast(gamma=gamma)(image))
    assert torch.equal(_curve(image, gamma), expected)
    assert not torch.equal(_curve(image, gamma), image)


def test_a_constant_image_and_exponent_one_change_nothing():
    image = torch.full((3, 4, 4), 0.3)
    assert torch.equal(_curve(image, 2.0), image)
    ramp = torch.linspace(0, 1, 48).reshape(3, 4, 4)
    assert torch.equal(_curve(ramp, 1), ramp)
