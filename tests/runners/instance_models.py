"""What the tests of models that find instances share."""

from __future__ import annotations

import itertools

import numpy as np

from robustness.runners.inference.engine import Engine
from robustness.runners.inference.request import Request


def assert_cached_codes_give_full_forwards(model, images, texts, whole_forward):
    """Every image under every text: encoded once, and the maps are those of whole forward passes."""
    pairs = list(itertools.product(range(len(images)), texts))
    engine = Engine(model, batch_size=5, image_batch=2, resolution="network")
    maps = np.stack(list(engine.predict([Request(images[i], f"image{i}", text) for i, text in pairs])))
    assert (engine.counters.n_image_encodes, engine.counters.n_text_encodes) == (len(images), len(texts))
    expected, _ = whole_forward(model, [images[i] for i, _ in pairs], [text for _, text in pairs])
    np.testing.assert_allclose(maps, expected.sigmoid()[:, 0], atol=1e-4)
    by_image = maps.reshape(len(images), len(texts), -1)
    assert np.ptp(by_image, axis=0).max() > 0.01
    assert np.ptp(by_image, axis=1).max() > 0.01
