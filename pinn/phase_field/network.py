"""Phase fields by a network: it is fitted to images and equation at once, then the solver takes the last steps.

The network gives rates, camera and initial field; the polish, from there, maximises the one log-posterior. Where the
network's loss was small but its rates were wrong, the polish moves them far: that is told apart from convergence.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from physics.phase_field.energy import interpolation_slope, well_slope
from pinn.phase_field import solver
from pinn.phase_field.problem import Maximum, Problem, Unknowns
from pinn.training.continuation import Box, Plan, continued
from pinn.training.envelope import AbstractEnvelope, Bounded, Free
from pinn.training.features import AbstractFeatures, BoxFeatures, WaveFeatures
from pinn.training.first_order import Schedule
from pinn.training.least_squares import Term
from pinn.training.network import perceptron_field
from pinn.training.residuals import first, laplacian

# Waves along an axis, the shortest of which is no longer than so many pixels: layers sharpen them to interfaces.
FEWEST_HARMONICS, LONGEST_WAVE_PX = 4, 16


@dataclass(frozen=True)
class Effort:
    """How large a network, how many data for its second-order steps, and how it is trained.

    The polish uses all data again.
    """

    hidden: tuple[int, ...]
    most_data: int
    plan: Plan


# Of n weights a row of the normal equations costs n^2, which an accelerator does a hundred times as fast. A larger
# penalty of the equation would need more weights yet: with too few it moves the field off the data, and the rates
# with it. With a smaller one at first, and the rates held until the equation has shaped the field, a small network
# finds them within a tenth where one without was off by two thirds (10 % noise).
ON_PROCESSOR = Effort((32, 32, 32), 8000, Plan(Schedule(2000, 5e-3, 1024), (0.03, 0.1, 0.1, 0.3, 0.3, 0.3), 9, 5000, 2))
ON_ACCELERATOR = Effort(
    (64, 64, 64), 20000, Plan(Schedule(3000, 5e-3, 2048), (0.03, 0.1, 0.1, 0.3, 0.3, 0.3), 10, 12000, 2)
)
# Of images with fewer points in space and time, a network of as many weights would only learn the noise.
FEW_POINTS = 5000
OF_FEW_POINTS = Effort((24, 24, 24), 8000, Plan(Schedule(1000, 5e-3, 512), (0.003, 0.01, 0.03, 0.1), 8, 2500))
# Rates that the solver moves by more than this, in their logarithm, were not found by the network.
SAME_RATES = 0.1


def maximise(problem: Problem, key: PRNGKeyArray, listen: Callable[[Unknowns], bool] = lambda _: True) -> Maximum:
    """Return the maximum of the log-posterior, by the network and a polish through the solver.

    It has converged where the polish came to rest near the network's rates. `listen` is as of `network_fit`.
    """
    network = network_fit(problem, key, listen=listen)
    polished = solver.maximise(replace(problem, start=network.unknowns), key)
    moved = _rates(polished.unknowns) - _rates(network.unknowns)
    near = bool(jnp.max(jnp.abs(moved)) < SAME_RATES)
    return replace(
        polished, trace=np.concatenate([network.trace, polished.trace]), converged=polished.converged and near
    )


def network_fit(
    problem: Problem,
    key: PRNGKeyArray,
    effort: Effort | None = None,
    listen: Callable[[Unknowns], bool] = lambda _: True,
) -> Maximum:
    """Return what the network alone finds; the trace is of its objective, which is no log-posterior.

    Args:
        problem: the data.
        key: of weights, data and points.
        effort: what the network may cost; by default what suits the device.
        listen: told rates and camera after each round; the last one is that after which it answers False.
    """
    effort = effort or usual_effort(problem)
    pose, train = jax.random.split(key)
    scene, box, data, start = posed_on_network(problem, effort, pose)

    def told(unknowns: Float[Array, " unknowns"]) -> bool:
        return listen(scene.scalars(unknowns))

    unknowns, trace = continued(data, scene.equations(), box, start, problem.free_rates, effort.plan, train, told)
    return Maximum(scene.conclude(unknowns), trace, bool(np.isfinite(trace[-1])))


def usual_effort(problem: Problem) -> Effort:
    """Return what suits the images and the device."""
    return OF_FEW_POINTS if problem.measured.size < FEW_POINTS else effort_of_device()


def effort_of_device() -> Effort:
    """Return what suits the device where there are points enough."""
    return ON_PROCESSOR if jax.default_backend() == "cpu" else ON_ACCELERATOR


def posed_on_network(
    problem: Problem, effort: Effort, key: PRNGKeyArray
) -> tuple["Scene", Box, Term, Float[Array, " unknowns"]]:
    """Return residuals of a network, the box they hold in, the data and the unknowns to begin with."""
    build, choose = jax.random.split(key)
    outputs = 1 if problem.kind == "allen-cahn" else 2
    field, weights = perceptron_field(_features(problem), _envelope(problem), effort.hidden, outputs, build)
    scene = Scene(problem, field)
    start = jnp.concatenate([problem.vector(problem.start), weights])
    return scene, _box(problem), _data(problem, scene, effort.most_data, choose), start


@final
class Scene(eqx.Module):
    """Residuals of images and equation at a point; unknowns are the problem's free scalars, then weights.

    Residuals are rates per duration of the series. In units of the reaction, which is faster, rates that vanish would
    leave residuals below the noise, and a small loss with wrong parameters.
    """

    problem: Problem
    field: Callable[[Float[Array, " weights"], Float[Array, " axes"]], Float[Array, " outputs"]]

    def scalars(self, unknowns: Float[Array, " unknowns"]) -> Unknowns:
        """Return rates and camera; the initial field is that of the start."""
        return self.problem.with_vector(self.problem.start, unknowns[: len(self.problem.free)])

    def values(self, unknowns: Float[Array, " unknowns"], point: Float[Array, " axes"]) -> Float[Array, " outputs"]:
        """Return the order parameter and, for Cahn-Hilliard, the chemical potential over M W."""
        return self.field(unknowns[len(self.problem.free) :], point)

    def misfit(self, unknowns: Float[Array, " unknowns"], datum: Float[Array, " datum"]) -> Float[Array, ""]:
        """Return intensity minus datum; a datum is time, place, value.

        The point-spread function enters by its second moment: phi + variance/2 lap(phi). The polish has all of it.
        """
        camera, point = self.scalars(unknowns), datum[:-1]
        seen = self._order(unknowns)(point)
        if self.problem.blurs or self.problem.pixel_average:
            variance = camera.blur_variance + self.problem.pixel_average / 12.0
            seen = seen + 0.5 * variance * laplacian(self._order(unknowns), point)
        return camera.gain * seen + camera.offset - datum[-1]

    def equations(self) -> tuple:
        """Return the residuals whose sum of squares is asked to vanish."""
        if self.problem.kind == "allen-cahn":
            return (self.allen_cahn,)
        return self.conservation, self.potential

    def allen_cahn(self, unknowns: Float[Array, " unknowns"], point: Float[Array, " axes"]) -> Float[Array, ""]:
        """Return phi_t - a lap phi + b g' - c h'."""
        rates, order = self.scalars(unknowns), self._order(unknowns)
        phi = order(point)
        reaction = jnp.exp(rates.log_well) * well_slope(phi) - rates.drive * interpolation_slope(phi)
        diffusion = jnp.exp(rates.log_gradient) * laplacian(order, point)
        return first(order, point, 0) - diffusion + reaction

    def conservation(self, unknowns: Float[Array, " unknowns"], point: Float[Array, " axes"]) -> Float[Array, ""]:
        """Return c_t - b lap(mu); mu is in units of M W."""
        well = jnp.exp(self.scalars(unknowns).log_well)

        def potential(point: Float[Array, " axes"]) -> Float[Array, ""]:
            return self.values(unknowns, point)[1]

        return first(self._order(unknowns), point, 0) - well * laplacian(potential, point)

    def potential(self, unknowns: Float[Array, " unknowns"], point: Float[Array, " axes"]) -> Float[Array, ""]:
        """Return mu - g' + a/b lap(c) times b^2/a of the start, the rate that such an error of mu makes."""
        rates, order, begin = self.scalars(unknowns), self._order(unknowns), self.problem.start
        square = jnp.exp(rates.log_gradient - rates.log_well)
        error = self.values(unknowns, point)[1] - well_slope(order(point)) + square * laplacian(order, point)
        return error * jnp.exp(2.0 * begin.log_well - begin.log_gradient)

    def conclude(self, unknowns: Float[Array, " unknowns"]) -> Unknowns:
        """Return the unknowns of the problem, the initial field from the network where it is not known."""
        found = self.scalars(unknowns)
        if not self.problem.initial_free:
            return found
        points = points_of(self.problem)[0]
        first_frame = jax.lax.map(lambda point: self.values(unknowns, point)[0], points, batch_size=4096)
        inner = first_frame.reshape(self.problem.measured.shape[1:])
        return eqx.tree_at(lambda tree: tree.initial, found, jnp.pad(inner, self.problem.margins, mode="edge"))

    def _order(self, unknowns: Float[Array, " unknowns"]) -> Callable[[Array], Array]:
        return lambda point: self.values(unknowns, point)[0]


def _features(problem: Problem) -> AbstractFeatures:
    if any(problem.corner):  # what is beyond the window is not known: no condition at its edge
        return BoxFeatures(*_corners(problem))
    return WaveFeatures(1.0, problem.grid.shape, harmonics(problem), problem.grid.boundary == "periodic")


def harmonics(problem: Problem) -> int:
    """Return how many waves the network reads along each axis."""
    return max(FEWEST_HARMONICS, max(problem.grid.shape) // LONGEST_WAVE_PX)


def _envelope(problem: Problem) -> AbstractEnvelope:
    return Bounded(-0.1, 1.1) if problem.kind == "allen-cahn" else Free()


def _box(problem: Problem) -> Box:
    low, high = _corners(problem)
    return Box(jnp.asarray(low), jnp.asarray(high))


def _corners(problem: Problem) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the corners of the images in time and px; pixel i is at i + 1/2, between walls at its sides."""
    pixels = problem.measured.shape[1:]
    return (0.0,) * (1 + len(pixels)), (1.0, *map(float, pixels))


def points_of(problem: Problem) -> Float[Array, "times pixels axes"]:
    """Return time and place of every pixel of every frame."""
    axes = [np.asarray(problem.times), *(np.arange(size) + 0.5 for size in problem.measured.shape[1:])]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    return jnp.asarray(points.reshape(len(problem.times), -1, len(axes)))


def _data(problem: Problem, scene: Scene, most: int, key: PRNGKeyArray) -> Term:
    """Return measured pixels, all or so many drawn at random, weighted by the start's noise."""
    points = points_of(problem).reshape(-1, problem.measured.ndim)
    known = np.flatnonzero(np.asarray(problem.known))
    if known.size > most:
        known = np.asarray(jax.random.permutation(key, jnp.asarray(known))[:most])
    rows = jnp.column_stack([points[known], problem.measured.ravel()[known]])
    weights = jnp.full(known.size, jnp.exp(-problem.start.log_noise))
    return Term(scene.misfit, rows, weights, jnp.zeros(known.size))


def _rates(unknowns: Unknowns) -> Float[Array, " 2"]:
    return jnp.stack([unknowns.log_gradient, unknowns.log_well])
