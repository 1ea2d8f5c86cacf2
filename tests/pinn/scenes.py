"""A shrinking circle as a camera would see it, made from its known profile."""

import numpy as np

from pinn.estimate import Check, Estimate, Quantity, Spectrum


def circle(frames=6, pixels=32, noise=0.01, seed=0):
    """Return intensities of shape (frames, pixels, pixels): a circle whose area shrinks at a constant rate."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:pixels, :pixels] - (pixels - 1) / 2
    radius = np.sqrt((0.36 * pixels) ** 2 - 4.0 * np.arange(frames))[:, None, None]
    phase = 0.5 * (1.0 - np.tanh((np.hypot(x, y) - radius) / 2.0))
    return 0.2 + 0.5 * phase + noise * rng.standard_normal(phase.shape)


def estimate(series, backend="solver", drive=False, scale=False, trusted=True):
    """Return an outcome such as a fit of the series might have, for what only shows outcomes."""
    products = [("M kappa", 1.2e-2, 5e-5, "um^2/s"), ("M W", 0.31, 2e-3, "1/s"), ("M dG", 0.02, 1e-4, "1/s")]
    products = products[: 3 if drive else 2]
    width = Quantity("interface width", 0.278, 1e-3, "um", 0.276, 0.280)
    identified = tuple(Quantity(s, v, d, u, v - 1.96 * d, v + 1.96 * d) for s, v, d, u in products)
    spread = np.diag([(d / v) ** 2 for _, v, d, _ in products] + [(1e-3 / 0.278) ** 2])
    energy = Quantity("sigma", 0.3, 0.02, "J/m^2", 0.26, 0.34)
    fitted = circle(frames=len(series.times), pixels=series.frames.shape[-1], noise=0.0)
    rest = Check("white residuals", trusted, 0.01, 0.05, "lag-1 correlation of the residuals <of neighbours>")
    trace = np.array([900.0, 300.0, 120.0, 101.0, 100.1, 100.0])
    return Estimate(
        backend, (*identified, width), spread, (energy,) if scale else (),
        "" if scale else "M, kappa and W follow only with a driving force",
        fitted, fitted[0], 0.01, (rest,), trace, 1.5,
        Spectrum(("M", "kappa", "W"), np.array([3e5, 1e5, 0.0]), np.array([[2, 1, 1], [0, 1, -1], [-1, 1, 1]]) / 2.0),
    )  # fmt: skip
