"""How well the images alone tell the combinations of mobility, gradient energy, well height and driving force."""

from dataclasses import dataclass

import numpy as np

from pinn.estimate import Estimate

# Eigenvalues below this share of the largest are zero: the ridge is exact.
_ZERO = 1e-12
# Exponents of the products that images tell, in the logarithms of M, kappa, W and dG.
_PRODUCTS = {"M kappa": (1, 1, 0, 0), "M W": (1, 0, 1, 0), "M dG": (1, 0, 0, 1)}
_PARAMETERS = ("M", "kappa", "W", "dG")


@dataclass(frozen=True)
class Spectrum:
    """Eigenvectors of the Fisher information in the logarithms of the parameters, best known first.

    Attributes:
        names: each combination as a product of powers.
        sds: standard deviation of its logarithm along the unit eigenvector; infinite on the ridge.
    """

    names: tuple[str, ...]
    sds: np.ndarray


def spectrum(estimate: Estimate) -> Spectrum | None:
    """Return the spectrum from what a fit identified; None where it identified no product of the parameters.

    (l M, kappa/l, W/l, dG/l) give the same images for every l, so one eigenvalue is zero whatever was measured.
    """
    rows = [i for i, quantity in enumerate(estimate.identified) if quantity.symbol in _PRODUCTS]
    if not rows:
        return None
    products = np.array([_PRODUCTS[estimate.identified[i].symbol] for i in rows], float)
    used = np.flatnonzero(np.any(products, axis=0))
    products, parameters = products[:, used], [_PARAMETERS[i] for i in used]
    fisher = products.T @ np.linalg.inv(estimate.covariance[np.ix_(rows, rows)]) @ products
    values, vectors = np.linalg.eigh(fisher)
    with np.errstate(divide="ignore"):
        sds = np.where(values > _ZERO * values[-1], 1.0 / np.sqrt(np.maximum(values, 0.0)), np.inf)[::-1]
    return Spectrum(tuple(_name(vector, parameters) for vector in vectors.T[::-1]), sds)


def _name(vector: np.ndarray, parameters: list[str]) -> str:
    """Write a direction in logarithms as a product of powers, its largest power positive."""
    powers = vector / vector[np.argmax(np.abs(vector))]
    shown = [(name, power) for name, power in zip(parameters, powers, strict=True) if abs(power) > 0.01]
    return " ".join(name if power > 0.995 else f"{name}^{power:.2f}" for name, power in shown)
