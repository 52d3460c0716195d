"""Random generators that depend on what is drawn for, never on when it is drawn."""

from __future__ import annotations

import hashlib

import numpy as np


def generator(plan_seed: int, *key: object) -> np.random.Generator:
    """Return the generator that belongs to `plan_seed` and `key`.

    The same (seed, key) gives the same stream in every process, order and batch. Perturbations are
    keyed by ``(case_id, name, severity)``.

    Example:
        >>> float(generator(0, "case", "gaussian_noise", 3).random()) == float(
        ...     generator(0, "case", "gaussian_noise", 3).random()
        ... )
        True
    """
    # A separator that no name holds keeps ("ab", "c") and ("a", "bc") apart.
    text = "\x1f".join([str(int(plan_seed)), *map(str, key)])
    digest = hashlib.sha256(text.encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))
