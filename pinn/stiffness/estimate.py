"""What an inference of stiffness returns, and how numbers with errors are read off its maximum."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from physics.elasticity.tensor import to_voigt
from pinn.estimate import Check, Quantity
from pinn.stiffness.data import GrainFields
from pinn.stiffness.equilibrium import Equilibrium, Profile
from pinn.stiffness.resolution import straddling_scatter

# Below this share of the largest eigenvalue of the scaled information, data say nothing of a direction.
NOTHING_KNOWN = 1e-9


@dataclass(frozen=True)
class EffectiveStiffness:
    """Stiffness of the window as a whole, Mandel, relative to the mean stiffness of its grains.

    Attributes:
        periodic: of a medium that repeats the window.
        uniform_traction: of the window under uniform traction, a lower bound for a representative one.
        uniform_displacement: under uniform displacement of its boundary, an upper bound.
        residual: stress out of balance over stress in `periodic`.
        source: where it comes from, and what the loads alone would have told.
    """

    periodic: np.ndarray
    uniform_traction: np.ndarray
    uniform_displacement: np.ndarray
    residual: float
    source: str


@dataclass(frozen=True)
class StiffnessEstimate:
    """The outcome of one fit.

    Every stiffness here is relative to the mean stiffness, the trace of the grains' Mandel matrices averaged by volume,
    over their size: displacements alone give no more. `scale` is that mean where a force was measured.

    Attributes:
        backend: "solver", "field" or "pinn".
        ratios: constants of each phase relative to the mean stiffness, with 95 % intervals; those that are identified.
        covariance: of `ratios`, in that order.
        scale: the mean stiffness; None without a force.
        absolute: the constants in the unit of stiffness; empty without a force.
        ridge: what the data leave open, and which measurement would close it; empty where nothing is left open.
        spectrum: eigenvalues of Fisher's information of the free numbers, ascending; zero for the ridge.
        grain_stiffness: relative, in axes of the window, shape (grains, m, m).
        rotations: from crystal to sample axes, as fitted, shape (grains, d, d).
        effective: stiffness of the window.
        fitted: displacements without noise, shape (loads, axes, *points), in the length unit.
        noise_sd: of a displacement, in the length unit, by the misfit.
        checks: all that were made, failed ones included.
        trace: value of the objective at each step, in units of the last noise.
        seconds: wall time of the fit.
    """

    backend: str
    ratios: tuple[Quantity, ...]
    covariance: np.ndarray
    scale: Quantity | None
    absolute: tuple[Quantity, ...]
    ridge: str
    spectrum: np.ndarray
    grain_stiffness: np.ndarray
    rotations: np.ndarray
    effective: EffectiveStiffness
    fitted: np.ndarray
    noise_sd: float
    checks: tuple[Check, ...]
    trace: np.ndarray
    seconds: float

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the checks that did not pass."""
        return tuple(check.name for check in self.checks if not check.passed)

    @property
    def trusted(self) -> bool:
        """Whether every check passed."""
        return not self.failed


@dataclass(frozen=True)
class Reading:
    """Linear error propagation from the free numbers to what is reported.

    Attributes:
        equilibrium: the problem.
        parameters: its maximum.
        covariance: of the free numbers, over the directions that are known.
        unknown: directions that are not known, as columns, scaled like the free numbers.
        spectrum: eigenvalues of the information, ascending.
    """

    equilibrium: Equilibrium
    parameters: np.ndarray
    covariance: np.ndarray
    unknown: np.ndarray
    spectrum: np.ndarray

    def constants(self) -> tuple[list[str], Float[np.ndarray, " q"], Float[np.ndarray, "q p"]]:
        """Return names, values and derivatives of the constants over the mean stiffness."""
        model = self.equilibrium.model
        names = [f"{symbol} of phase {p}" for p in range(model.phase_count) for symbol, _, _ in model.crystal.constants]

        def ratios(parameters: Float[Array, " p"]) -> Float[Array, " q"]:
            voigt = to_voigt(model.phase_stiffness(parameters))
            constants = jnp.stack([voigt[:, row, column] for _, row, column in model.crystal.constants], axis=1)
            return constants.ravel() / jnp.exp(self._log_mean(parameters))

        return names, *_with_slope(ratios, self.parameters)

    def scale(self) -> Quantity:
        """Return the mean stiffness in its unit; what all forces share is part of the error."""
        fields = self.equilibrium.fields
        value, slope = self.log_scale()
        mean = float(np.exp(value)) * self.equilibrium.force_scale
        relative = float(np.sqrt(slope @ self.covariance @ slope + fields.calibration**2))
        return quantity("mean stiffness", mean, mean * relative, fields.stiffness_unit)

    def log_scale(self) -> tuple[float, Float[np.ndarray, " p"]]:
        """Return the logarithm of the mean stiffness in internal units, and its derivative."""
        value, slope = _with_slope(lambda parameters: self._log_mean(parameters)[None], self.parameters)
        return float(value[0]), slope[0]

    def is_known(self, slopes: Float[np.ndarray, "q p"]) -> np.ndarray:
        """Return which quantities do not change along directions that the data say nothing of."""
        change = np.linalg.norm(slopes @ self.unknown, axis=1)
        return change <= 1e-4 * np.maximum(np.linalg.norm(slopes, axis=1), 1e-12)

    def _log_mean(self, parameters: Float[Array, " p"]) -> Float[Array, ""]:
        dimension = self.equilibrium.mesh.dimension
        stiffness = self.equilibrium.model.grain_stiffness(parameters, dimension)
        fractions = volume_fractions(self.equilibrium.fields)
        return jnp.log(jnp.mean(jnp.diagonal(jnp.tensordot(fractions, stiffness, 1))))


def reading(equilibrium: Equilibrium, parameters: Float[np.ndarray, " p"], profile: Profile) -> Reading:
    """Return how to read a maximum: the information inverted where there is any, and what straddling cells add."""
    information = profile.curvature
    size = np.sqrt(np.diag(information))
    size = np.where(size > 0.0, size, 1.0)
    values, vectors = np.linalg.eigh(information / np.outer(size, size))
    known = values > NOTHING_KNOWN * values[-1]
    spread = vectors[:, known] / size[:, None]
    inverse = (spread / values[known]) @ spread.T
    scatter = straddling_scatter(equilibrium, equilibrium.stiffness(parameters), profile)
    return Reading(
        equilibrium,
        parameters,
        inverse + inverse @ scatter @ inverse,
        np.linalg.qr(vectors[:, ~known] / size[:, None])[0],
        np.where(known, 1.0, 0.0) * values,
    )


def quantity(symbol: str, value: float, sd: float, unit: str) -> Quantity:
    """Return a number with its 95 % interval."""
    return Quantity(symbol, float(value), float(sd), unit, float(value - 1.96 * sd), float(value + 1.96 * sd))


def volume_fractions(fields: GrainFields) -> Float[np.ndarray, " grains"]:
    """Return the share of each grain in the cells."""
    return np.bincount(fields.grain_map.ravel()) / fields.grain_map.size


def _with_slope(
    function: Callable[[Float[Array, " p"]], Float[Array, " q"]], at: Float[np.ndarray, " p"]
) -> tuple[Float[np.ndarray, " q"], Float[np.ndarray, "q p"]]:
    # Compiled together: one by one, the operations of a small fit take longer to compile than the fit takes.
    both = jax.jit(lambda place: (function(place), jax.jacfwd(function)(place)))
    value, slope = both(jnp.asarray(at))
    return np.asarray(value), np.asarray(slope)
