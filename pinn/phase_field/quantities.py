"""From fitted rates to quantities with units: what the images give, and what a known scale adds."""

from dataclasses import dataclass

import numpy as np

from pinn.amounts import Measured
from pinn.estimate import Quantity
from pinn.phase_field.identifiability import rate_information
from pinn.phase_field.models import AllenCahn, Model
from pinn.phase_field.problem import Problem, Unknowns
from pinn.series import ImageSeries
from pinn.units import si_factors

WIDEST_SD = 0.5  # of a logarithm; what is uncertain by more than a factor of two and a half is no number
NORMAL_95 = 1.959964

# Symbol, power of the known number, powers of M kappa, M W and M dG, and the logarithm of a factor.
_Row = tuple[str, float, tuple[float, float, float], float]
HALF_18 = 0.5 * np.log(18.0)
FROM_FORCE: tuple[_Row, ...] = (
    ("M", -1.0, (0.0, 0.0, 1.0), 0.0),
    ("kappa", 1.0, (1.0, 0.0, -1.0), 0.0),
    ("W", 1.0, (0.0, 1.0, -1.0), 0.0),
    ("sigma", 1.0, (0.5, 0.5, -1.0), -HALF_18),
)
FROM_ENERGY: tuple[_Row, ...] = (
    ("M", -1.0, (0.5, 0.5, 0.0), -HALF_18),
    ("kappa", 1.0, (0.5, -0.5, 0.0), HALF_18),
    ("W", 1.0, (-0.5, 0.5, 0.0), HALF_18),
    ("sigma", 1.0, (0.0, 0.0, 0.0), 0.0),
)


@dataclass(frozen=True)
class Rates:
    """Logarithms of M kappa, M W and, where a force drives, of |M dG|, with their covariance, in units of the user."""

    logarithms: np.ndarray
    covariance: np.ndarray
    drive_sign: float

    def combination(self, weights: tuple[float, ...], scale_sd: float = 0.0) -> tuple[float, float]:
        """Return value and standard deviation of a weighted sum; `scale_sd` is of the logarithm of another number."""
        taken = np.asarray(weights)[: self.logarithms.size]
        return float(taken @ self.logarithms), float(np.sqrt(taken @ self.covariance @ taken + scale_sd**2))


def rates_of(problem: Problem, unknowns: Unknowns, scalars: np.ndarray, series: ImageSeries) -> Rates:
    """Return the rates in the units of the series, from the information of the free scalars."""
    duration, pixel = float(series.times[-1] - series.times[0]), series.pixel_size
    power = 4 if problem.kind == "cahn-hilliard" else 2
    logarithms = [float(unknowns.log_gradient) + power * np.log(pixel), float(unknowns.log_well)]
    logarithms[1] += (power - 2) * np.log(pixel)
    slopes = [1.0, 1.0]
    if "drive" in problem.free:
        slopes.append(1.0 / max(abs(float(unknowns.drive)), 1e-300))
        logarithms.append(-np.log(slopes[-1]))
    covariance = _inverse(rate_information(problem, scalars)) * np.outer(slopes, slopes)
    return Rates(np.array(logarithms) - np.log(duration), covariance, float(np.sign(unknowns.drive)))


def identified(rates: Rates, series: ImageSeries, kind: str, resolved: bool) -> tuple[tuple[Quantity, ...], np.ndarray]:
    """Return what the images alone give, and the covariance of the logarithms.

    Args:
        rates: fitted.
        series: for its units.
        kind: of the equation.
        resolved: whether the interface is wider than the point-spread function and the pixels; otherwise only M kappa
            is given, because the profile is the camera's.
    """
    length, time = series.length_unit, series.time_unit
    gradient, well = f"{length}^2/{time}", f"1/{time}"
    if kind == "cahn-hilliard":
        gradient, well = f"{length}^4/{time}", f"{length}^2/{time}"
    rows = [("M kappa", (1.0, 0.0, 0.0), 0.0, gradient), ("M W", (0.0, 1.0, 0.0), 0.0, well)]
    rows += [("M dG", (0.0, 0.0, 1.0), 0.0, f"1/{time}")] * (rates.logarithms.size > 2)
    rows.append(("interface width", (0.5, -0.5, 0.0), 0.5 * np.log(2.0), length))
    rows = [row for row in rows if rates.combination(row[1])[1] < WIDEST_SD and (resolved or row[0] == "M kappa")]
    quantities = tuple(
        _quantity(symbol, *rates.combination(weights), shift, unit, rates.drive_sign if symbol == "M dG" else 1.0)
        for symbol, weights, shift, unit in rows
    )
    matrix = np.array([row[1] for row in rows]).reshape(len(rows), 3)[:, : rates.logarithms.size]
    return quantities, matrix @ rates.covariance @ matrix.T


def separate(rates: Rates, series: ImageSeries, model: Model) -> tuple[Quantity, ...]:
    """Return mobility, gradient energy, well height and interface energy in SI, as far as a known number fixes them.

    From a driving force: M = c/dG, kappa = a/M, W = b/M. From an interface energy: kappa = 3 sigma l, W = 6 sigma/l,
    M = a/kappa.
    """
    factors = si_factors(series.length_unit, series.time_unit)
    if factors is None:
        return ()
    metres, seconds = np.log(factors)
    power = 2 if isinstance(model, AllenCahn) else 4
    shift = np.array([power * metres - seconds, (power - 2) * metres - seconds, -seconds])[: rates.logarithms.size]
    in_si = Rates(rates.logarithms + shift, rates.covariance, rates.drive_sign)
    force = model.driving_force if isinstance(model, AllenCahn) else None
    if force is not None and rates.logarithms.size > 2 and force.value * rates.drive_sign > 0:
        return _rows(in_si, force, FROM_FORCE, model)
    if model.interface_energy is not None:
        return _rows(in_si, model.interface_energy, FROM_ENERGY, model)
    return ()


def _rows(rates: Rates, scale: Measured, rows: tuple[_Row, ...], model: Model) -> tuple[Quantity, ...]:
    """Return the four quantities from combinations of rates and a number that M divides by and the others contain."""
    mobility = "m^3/(J s)" if isinstance(model, AllenCahn) else "m^5/(J s)"
    quantities = []
    for (symbol, sign, weights, shift), unit in zip(rows, (mobility, "J/m", "J/m^3", "J/m^2"), strict=True):
        value, sd = rates.combination(weights, scale.sd / abs(scale.value))
        if sd < WIDEST_SD:
            quantities.append(_quantity(symbol, value, sd, shift + sign * np.log(abs(scale.value)), unit))
    return tuple(quantities)


def _quantity(symbol: str, log: float, sd: float, shift: float, unit: str, sign: float = 1.0) -> Quantity:
    """Return a quantity from its logarithm; the interval is symmetric there."""
    value = sign * float(np.exp(log + shift))
    ends = sorted(value * np.exp(side * NORMAL_95 * sd) for side in (-1.0, 1.0))
    return Quantity(symbol, value, abs(value) * sd, unit, float(ends[0]), float(ends[1]))


def _inverse(matrix: np.ndarray) -> np.ndarray:
    """Return the inverse of an information matrix; what nothing is known of has a huge variance, not none."""
    eigenvalues, vectors = np.linalg.eigh(matrix)
    return (vectors / np.maximum(eigenvalues, max(1e-12 * eigenvalues.max(), 1e-300))) @ vectors.T
