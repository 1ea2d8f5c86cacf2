"""Interfaces that come into the images from outside: the network alone, asked twice.

No solver has a first field that holds them: they begin beyond any margin that could be inferred. The network's equation
holds within the images, and nothing is said of their edges. The solver cannot judge it here: a second network, with
other weights and points, does. Intervals are those of the network's own objective, and approximate.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from pinn.estimate import Check
from pinn.phase_field.checks import SIGMAS, checks_of_fit
from pinn.phase_field.found import Found
from pinn.phase_field.laplace import Information
from pinn.phase_field.models import Model
from pinn.phase_field.network import Effort, Scene, points_of, posed_on_network
from pinn.phase_field.problem import Maximum, Problem
from pinn.phase_field.regression import with_regressed_rates
from pinn.phase_field.start import SMOOTHING_PX, smoothed
from pinn.series import ImageSeries
from pinn.training.balance import noise_sd, weighted
from pinn.training.continuation import Box, Plan, continued
from pinn.training.first_order import Schedule
from pinn.training.least_squares import Term, term
from pinn.training.residuals import first
from pinn.training.sampling import evenly
from pinn.training.second_order import damped_start

EFFORT = Effort((24, 24, 24), 8000, Plan(Schedule(3000, 5e-3, 1024), (0.1, 0.1, 0.3, 0.3, 0.3, 1.0, 1.0), 8, 4000))
# Share of the contrast of all images that the first one has at most where it shows one phase; noise has its part.
ONE_PHASE = 0.25
AT_REST = 0.02  # of a rate's logarithm, in the last round
HELD = 0.1  # of the change in time, that the equation leaves over
FLAT = 1e-12  # of the largest diagonal entry: directions of the weights that change nothing
INTERVALS = (
    "Intervals are of the network's own objective, and approximate: an interface comes from beyond the images, and no "
    "solver could be begun there. A second network, begun elsewhere, was asked."
)


def enters(series: ImageSeries, model: Model) -> bool:
    """Return whether edges are open, the first image shows one phase only, and later ones both."""
    seen = ~np.isnan(series.frames).reshape(len(series.frames), -1).all(axis=1)
    if model.edge != "open" or not seen.any():
        return False
    smooth = np.stack([smoothed(frame, SMOOTHING_PX) for frame in series.frames[seen]])
    contrast = [np.ptp(np.percentile(part, (1.0, 99.0))) for part in (smooth[0], smooth)]
    return bool(contrast[0] < ONE_PHASE * contrast[1])


def fit_entering(problem: Problem, key: PRNGKeyArray) -> Found:
    """Return what two networks find; the numbers are those of the first one.

    Args:
        problem: Allen-Cahn, with an open edge.
        key: of weights, data and points.

    Raises:
        DataRefusedError: as of `with_regressed_rates`.
    """
    begun = with_regressed_rates(problem)
    one, other, asked = jax.random.split(key, 3)
    trained, again = _trained(begun, one), _trained(begun, other)
    told = _information(trained, asked)
    unknowns = trained.scene.conclude(trained.unknowns)
    seen = _seen(trained)
    maximum = Maximum(unknowns, trained.trace, trained.moved < AT_REST)
    made = checks_of_fit(begun, maximum, told, seen)
    return Found(
        begun, maximum, seen, told, (*made, _same_again(trained, again, told), _held(trained, asked)), INTERVALS
    )


@dataclass(frozen=True)
class _Trained:
    """A network that was fitted: residuals, data, box, unknowns, objective, and how far the last round moved a rate."""

    scene: Scene
    data: Term
    box: Box
    unknowns: Float[Array, " unknowns"]
    trace: np.ndarray
    moved: float

    @property
    def rates(self) -> np.ndarray:
        return np.asarray(self.unknowns[: self.scene.problem.free_rates])


def _trained(problem: Problem, key: PRNGKeyArray) -> _Trained:
    pose, train = jax.random.split(key)
    scene, box, data, start = posed_on_network(problem, EFFORT, pose)
    rounds = [start]

    def listen(unknowns: Float[Array, " unknowns"]) -> bool:
        rounds.append(unknowns)
        return True

    found, trace = continued(data, scene.equations(), box, start, problem.free_rates, EFFORT.plan, train, listen)
    moved = (found - rounds[-2])[: problem.free_rates]
    return _Trained(scene, data, box, found, trace, float(jnp.max(jnp.abs(moved))))


def _information(trained: _Trained, key: PRNGKeyArray) -> Information:
    """Return the information about the free scalars with the weights integrated out, the penalty taken as a noise."""
    count, size = len(trained.scene.problem.free), trained.data.weights.size
    noise = noise_sd(trained.data, trained.unknowns, 1.0)
    points, weight = _points(trained, key), EFFORT.plan.penalties[-1] / noise
    seen = _matrix([weighted(trained.data, noise)], trained.unknowns)
    held = _matrix([term(row, points, weight) for row in trained.scene.equations()], trained.unknowns)
    both = seen + held + FLAT * np.diag(seen + held).max() * np.eye(len(seen))
    scalars, across, field = both[:count, :count], both[:count, count:], both[count:, count:]
    solved = np.linalg.solve(field, np.column_stack([across.T, seen[count:, count:]]))
    taken = float(np.trace(solved[:, count:]))
    freedom = size - count - taken
    # The root mean square knows nothing of what the fit has taken.
    shrunk = freedom / size
    return Information((scalars - across @ solved[:, :count]) * shrunk, float(noise / np.sqrt(shrunk)), freedom)


def _matrix(terms: list[Term], unknowns: Float[Array, " unknowns"]) -> np.ndarray:
    return np.asarray(damped_start(terms, unknowns).equations.matrix)


def _points(trained: _Trained, key: PRNGKeyArray) -> Float[Array, "points axes"]:
    return evenly(EFFORT.plan.collocation, trained.box.low, trained.box.high, key)


def _seen(trained: _Trained) -> np.ndarray:
    """Return what the camera would see of the network's field without noise."""
    measured = trained.scene.problem.measured
    rows = jnp.pad(points_of(trained.scene.problem).reshape(-1, measured.ndim), ((0, 0), (0, 1)))  # data of zero
    values = jax.lax.map(lambda row: trained.scene.misfit(trained.unknowns, row), rows, batch_size=4096)
    return np.asarray(values).reshape(measured.shape)


def _same_again(trained: _Trained, again: _Trained, told: Information) -> Check:
    rates = trained.rates.size
    deviations = np.sqrt(np.diag(np.linalg.inv(told.scalars))[:rates])
    apart = float(np.max(np.abs(trained.rates - again.rates) / deviations))
    reason = "rates of a second network, begun with other weights and points, in deviations from the first one's"
    return Check("same again", apart < SIGMAS, apart, SIGMAS, reason)


def _held(trained: _Trained, key: PRNGKeyArray) -> Check:
    points, scene, unknowns = _points(trained, key), trained.scene, trained.unknowns
    left = jax.lax.map(lambda point: scene.allen_cahn(unknowns, point), points, batch_size=1024)
    change = jax.lax.map(
        lambda point: first(lambda place: scene.values(unknowns, place)[0], point, 0), points, batch_size=1024
    )
    share = float(jnp.sqrt(jnp.mean(left**2) / jnp.mean(change**2)))
    return Check("equation held", share < HELD, share, HELD, "root mean square of what the equation leaves of dphi/dt")
