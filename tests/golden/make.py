"""Write tests/golden/logits.npz again: ``python -m tests.golden.make`` in the checkout.

Do this only where a network is meant to change, and only from a state that agrees with the authors' code
(``tests/runners/models/test_parity.py`` with the reference vectors beside the checkout): what is written here is what
later states are held to.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.golden.cases import CASES, logits_of, sample

PATH = Path(__file__).with_name("logits.npz")


def main() -> None:
    """Compute and write all cases."""
    arrays = {}
    for name in CASES:
        logits = logits_of(name)
        arrays[name] = sample(logits)
        arrays[f"{name}.statistics"] = np.array([logits.mean(), logits.std(), logits.min(), logits.max()], np.float64)
        print(f"{name:24}{logits.shape} mean {logits.mean():.3f} std {logits.std():.3f}")
    np.savez_compressed(PATH, **arrays)
    print(f"{PATH.stat().st_size} bytes")


if __name__ == "__main__":
    main()
