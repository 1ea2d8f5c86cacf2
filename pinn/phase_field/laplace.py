"""Gaussian posterior of the scalars about a maximum, the initial field integrated out.

The information of the scalars is the Schur complement A - B' H^-1 B of the Gauss-Newton matrix, with H the block of the
initial field. Conjugate gradients give H^-1 B; their error enters it squared.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from pinn.phase_field.normal import Normal, Point, conjugate_gradients, dense, normal, rough_inverse
from pinn.phase_field.problem import Problem, Unknowns

TOLERANCE, MOST_ITERATIONS = 1e-4, 400
PROBES = 2  # of the trace; a field of thousands of pixels averages by itself


@dataclass(frozen=True)
class Information:
    """What the data tell.

    Attributes:
        scalars: information matrix of the free scalars, in the order of `Problem.free`.
        noise_sd: the one it was computed with, corrected for the degrees of freedom where noise is estimated.
        freedom: data less what the fit has taken.
    """

    scalars: np.ndarray
    noise_sd: float
    freedom: float


def information(problem: Problem, unknowns: Unknowns, key: PRNGKeyArray) -> Information:
    """Return the information about the free scalars at unknowns, priors included; none where no number is finite.

    Args:
        problem: the data.
        unknowns: where; the maximum for a posterior, the start for what a fit may hope for.
        key: of the probes that count how many degrees of freedom the initial field takes.
    """
    matrix, squares, taken = _schur(problem, unknowns, key)
    if not np.isfinite(matrix).all():  # a search that ran away: there is nothing to be known from there
        data = float(jnp.sum(problem.known) - len(problem.free))
        return Information(np.zeros(matrix.shape), float(jnp.exp(unknowns.log_noise)), data)
    freedom = float(jnp.sum(problem.known) - len(problem.free) - taken)
    noise_sd = float(jnp.exp(unknowns.log_noise))
    if not problem.noise_free:
        return Information(np.asarray(matrix), noise_sd, freedom)
    estimated = float(np.sqrt(squares / max(freedom, 1.0)))
    prior = np.diag(problem.vector(problem.precision))
    return Information((np.asarray(matrix) - prior) * (noise_sd / estimated) ** 2 + prior, estimated, freedom)


@jax.jit
def _schur(
    problem: Problem, unknowns: Unknowns, key: PRNGKeyArray
) -> tuple[Float[Array, "p p"], Float[Array, ""], Float[Array, ""]]:
    """Return the information, the sum of squares in intensities, and the degrees of freedom of the initial field."""
    if not problem.initial_free:
        scalars = dense(problem, unknowns)
        return scalars.block, scalars.squares, jnp.zeros(())
    model = normal(problem, unknowns)
    probes = jax.random.rademacher(key, (PROBES, *problem.grid.shape), float)
    rights = jnp.concatenate([model.coupling, probes])
    solved = jax.lax.map(lambda right: _solve_field(problem, model, right), rights)
    through, among = solved[: len(model.coupling)], solved[len(model.coupling) :]
    lost = jnp.einsum("pi,qi->pq", model.coupling.reshape(len(through), -1), through.reshape(len(through), -1))
    # Trace of H^-1 (H - prior): the share of each pixel that the data decide.
    taken = jnp.sum(probes * (probes - problem.precision.initial * among)) / PROBES
    return model.block - 0.5 * (lost + lost.T), model.squares, taken


def _solve_field(problem: Problem, model: Normal, right: Float[Array, "*grid"]) -> Float[Array, "*grid"]:
    """Return H^-1 of a field, with H the block of the initial field."""
    none, inverse = jnp.zeros(model.block.shape[0]), rough_inverse(problem, model, jnp.zeros(()))

    def product(direction: Point) -> Point:
        return Point(none, model.product(direction).initial)

    def precondition(gradient: Point) -> Point:
        return Point(none, inverse(gradient.initial))

    return conjugate_gradients(product, Point(none, right), precondition, TOLERANCE, MOST_ITERATIONS)[0].initial
