"""Random numbers that depend on what they are for, never on when they are asked for."""

import hashlib

import numpy as np


def generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """Return a generator of its own for a seed and a purpose, such as ``("drift", 3)``."""
    digest = hashlib.sha256("\x1f".join(map(str, (seed, *purpose))).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype=np.uint32))
