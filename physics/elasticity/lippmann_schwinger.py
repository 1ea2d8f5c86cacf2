"""Effective stiffness of a periodic cell: the Lippmann-Schwinger equation by conjugate gradients on its strains.

Equilibrium is P C (E + e) = 0 for the fluctuation e = P e, P the orthogonal projection on compatible strains of zero
mean: the Green operator with the identity as the reference medium (Zeman et al. 2010, 10.1016/j.jcp.2010.07.010;
Vondrejc, Zeman and Marek 2014, 10.1016/j.camwa.2014.05.014).
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from physics.elasticity.errors import ElasticityError
from physics.elasticity.tensor import PAIRS, basis


class Homogenised(eqx.Module):
    """A periodic cell under every mean strain.

    Attributes:
        effective: effective stiffness, Mandel, symmetric.
        strains: strain at each pixel, first index its component, second the mean strain of size one.
        residual: norm of the out-of-balance stress over that of the stress, the worst load.
        iterations: of the conjugate gradients.
        converged: whether the residual came below the tolerance.
    """

    effective: Float[Array, "m m"]
    strains: Float[Array, "m m *grid"]
    residual: Float[Array, ""]
    iterations: Int[Array, ""]
    converged: Bool[Array, ""]


@eqx.filter_jit
def homogenise(
    stiffness: Float[Array, "m m *grid"], tolerance: float = 1e-10, max_iterations: int = 2000
) -> Homogenised:
    """Return the effective stiffness of a periodic cell of equal pixels, even or odd in number.

    Differentiable once in the stiffness: the energy is stationary in the strains, so their own change does not count,
    dC_eff = <strain : dC : strain>. Second derivatives are not those of the effective stiffness.

    Args:
        stiffness: Mandel stiffness at each pixel.
        tolerance: on the residual; the error of the effective stiffness is of the order of its square.
        max_iterations: more of them end the search with `converged` false.

    Raises:
        ElasticityError: the number of grid axes does not belong to the size of the matrices.
    """
    grid, components = stiffness.shape[2:], stiffness.shape[0]
    if len(grid) not in PAIRS or components != len(PAIRS[len(grid)]):
        raise ElasticityError(f"{stiffness.shape=}: (3, 3, n, n) in the plane or (6, 6, n, n, n) in space")
    strains, residual, iterations = _strains(jax.lax.stop_gradient(stiffness), tolerance, max_iterations)
    strains = jax.lax.stop_gradient(strains)
    energy = jnp.einsum("ia...,ij...,jb...->ab", strains, stiffness, strains) / np.prod(grid)
    return Homogenised(0.5 * (energy + energy.T), strains, residual, iterations, residual <= tolerance)


def directions(grid: tuple[int, ...]) -> Float[np.ndarray, "d *half"]:
    """Return the unit wave vector of each frequency of a real Fourier transform, zero at the zeroth.

    With an even number of pixels a frequency at the end of the band stands for both signs. There the components inside
    the band are dropped, for then the projection is the same for both: laminates and Hill's solids of equal shear
    modulus stay exact, which they do not when the frequency is left out.
    """
    axes = [np.fft.fftfreq(n) * n for n in grid[:-1]] + [np.arange(grid[-1] // 2 + 1.0)]
    waves = np.stack(np.meshgrid(*axes, indexing="ij"))
    ends = np.stack([(n % 2 == 0) & (np.abs(wave) == n // 2) for wave, n in zip(waves, grid, strict=True)])
    waves = np.where(np.any(ends, axis=0) & ~ends, 0.0, np.abs(waves) * np.where(ends, 1.0, np.sign(waves)))
    length = np.sqrt(np.sum(waves**2, axis=0))
    return waves / np.where(length > 0.0, length, 1.0)


def _strains(
    stiffness: Float[Array, "m m *grid"], tolerance: float, max_iterations: int
) -> tuple[Float[Array, "m m *grid"], Float[Array, ""], Int[Array, ""]]:
    """Return unit mean strains with their fluctuations, and how far the search came."""
    grid, components = stiffness.shape[2:], stiffness.shape[0]
    waves = jnp.asarray(directions(grid))
    mean = jnp.eye(components).reshape((components, components) + (1,) * len(grid)) + jnp.zeros(stiffness.shape)
    stress = _contract(stiffness, mean)
    size = _norm(stress)
    start = -_compatible(stress, waves)

    def unfinished(state):
        _, residual, _, steps = state
        return (jnp.max(_norm(residual) / size) > tolerance) & (steps < max_iterations)

    def step(state):
        strain, residual, search, steps = state
        image = _compatible(_contract(stiffness, search), waves)
        square = _norm(residual) ** 2
        # A load that needs no fluctuation, as in a homogeneous cell, divides zero by zero.
        length = _over(square, _dot(search, image))
        left = residual - length * image
        turned = left + _over(_norm(left) ** 2, square) * search
        return strain + length * search, left, turned, steps + 1

    strain, residual, _, steps = jax.lax.while_loop(unfinished, step, (mean, start, start, jnp.asarray(0)))
    return strain, jnp.max(_norm(residual) / size), steps


def _contract(stiffness: Float[Array, "m m *grid"], strain: Float[Array, "m k *grid"]) -> Float[Array, "m k *grid"]:
    return jnp.einsum("ij...,jb...->ib...", stiffness, strain)


def _compatible(field: Float[Array, "m k *grid"], waves: Float[Array, "d *half"]) -> Float[Array, "m k *grid"]:
    """Return the compatible part of zero mean: sym(n (x) a), a = 2 f - (n.f) n, f = field . n, at each frequency n."""
    grid = field.shape[2:]
    axes = tuple(range(-len(grid), 0))
    tensors = jnp.asarray(basis(len(grid)))
    spectrum = jnp.fft.rfftn(field, axes=axes)
    normal = jnp.einsum("aij,j...,ab...->ib...", tensors, waves, spectrum)
    along = jnp.einsum("i...,ib...->b...", waves, normal)
    vector = 2.0 * normal - waves[:, None] * along[None]
    return jnp.fft.irfftn(jnp.einsum("aij,i...,jb...->ab...", tensors, waves, vector), s=grid, axes=axes)


def _dot(one: Float[Array, "m k *grid"], other: Float[Array, "m k *grid"]) -> Float[Array, "k *ones"]:
    total = jnp.einsum("ik...,ik...->k", one, other)
    return total.reshape((-1,) + (1,) * (one.ndim - 2))


def _norm(field: Float[Array, "m k *grid"]) -> Float[Array, "k *ones"]:
    return jnp.sqrt(_dot(field, field))


def _over(above: Float[Array, "k *ones"], below: Float[Array, "k *ones"]) -> Float[Array, "k *ones"]:
    return jnp.where(below > 0.0, above / jnp.where(below > 0.0, below, 1.0), 0.0)
