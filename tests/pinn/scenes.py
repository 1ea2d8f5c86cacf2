"""A shrinking circle as a camera would see it, made from its known profile."""

import numpy as np


def circle(frames=6, pixels=32, noise=0.01, seed=0):
    """Return intensities of shape (frames, pixels, pixels): a circle whose area shrinks at a constant rate."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:pixels, :pixels] - (pixels - 1) / 2
    radius = np.sqrt((0.36 * pixels) ** 2 - 4.0 * np.arange(frames))[:, None, None]
    phase = 0.5 * (1.0 - np.tanh((np.hypot(x, y) - radius) / 2.0))
    return 0.2 + 0.5 * phase + noise * rng.standard_normal(phase.shape)
