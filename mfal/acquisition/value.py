"""Value of information in EUR: what an answer changes about a decision to measure.

Measuring a candidate at price c brings the payoff R(m, s) in expectation, when its figure of merit is believed to be
normal with mean m and standard deviation s. It is measured where R > c. An answer that moves the mean to m' and leaves
the spread s' is worth what it changes about that:

    gain = E[max(R(m', s') - c, 0)] - max(R(m, s) - c, 0)        (Howard 1966, 10.1109/TSSC.1966.300074)

m' is normal around m. The expectation is taken over the interval in which R exceeds c, where the integrand is smooth.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import norm

from mfal.types import Array, Float

Payoff = Callable[[Array, Array], Array]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)
# Standard deviations that the integral covers; the rest weighs 1e-9.
_REACH = 6.0
_HALVINGS = 40
# Spreads between which an edge is interpolated: the integrand vanishes there, so that its error hardly matters.
_GRID = 256
_ALMOST, _TINY = 1.0 - 1e-9, 1e-18
# Where measurements are free a hit is still worth something.
_FREE_EUR = 1e-9


def value_of_information(
    payoff: Payoff,
    price_eur: Float[Array, ""],
    mean: Float[Array, " n"],
    variance: Float[Array, " n"],
    resolved: Float[Array, " n"],
    edges: Callable[[Array], tuple[Array, Array]],
) -> Float[Array, " n"]:
    """Return the gain of one answer about each candidate, in EUR.

    Args:
        payoff: R(m, s) in EUR.
        price_eur: c.
        mean: m.
        variance: s^2.
        resolved: part of the variance that the answer takes away.
        edges: from s' to the interval of m' in which R(m', s') > c; empty if its end is before its start.
    """
    resolved = jnp.clip(resolved, 0.0, _ALMOST * variance)
    left, moved = jnp.sqrt(variance - resolved + _TINY), jnp.sqrt(resolved + _TINY)
    grid = jnp.linspace(jnp.min(left), jnp.max(left), _GRID)
    ends = (jnp.interp(left, grid, edge) for edge in edges(grid))
    low, high = (jnp.clip(edge, mean - _REACH * moved, mean + _REACH * moved) for edge in ends)
    width = jnp.maximum(high - low, 0.0)

    def add(total: Array, node: tuple[Array, Array]) -> tuple[Array, None]:
        at = low + 0.5 * width * (node[0] + 1.0)
        return total + node[1] * (payoff(at, left) - price_eur) * norm.pdf(at, mean, moved), None

    # One node after the other: nothing of size candidates x nodes is ever in memory.
    after = 0.5 * width * jax.lax.scan(add, jnp.zeros_like(mean), (jnp.asarray(_NODES), jnp.asarray(_WEIGHTS)))[0]
    now = jnp.maximum(payoff(mean, jnp.sqrt(variance + _TINY)) - price_eur, 0.0)
    return jnp.where(resolved > 0.0, jnp.clip(after - now, 0.0), 0.0)


def gains(
    payoff: Payoff,
    price_eur: Float[Array, ""],
    mean: Float[Array, " n"],
    variance: Float[Array, " n"],
    resolved: Float[Array, "n L"],
    edges: Callable[[Array], tuple[Array, Array]],
    target: int,
) -> Float[Array, "n L"]:
    """Return the gain of every query: the payoff at the target, the value of information elsewhere.

    Args: as `value_of_information`, with `resolved` for each fidelity and the index of the target.
    """
    columns = [
        payoff(mean, jnp.sqrt(variance + _TINY))
        if level == target
        else value_of_information(payoff, price_eur, mean, variance, resolved[:, level], edges)
        for level in range(resolved.shape[1])
    ]
    return jnp.stack(columns, axis=1)


def crossing(
    surplus: Callable[[Array], Array], inside: Float[Array, "..."], outside: Float[Array, "..."]
) -> Float[Array, "..."]:
    """Return where `surplus` changes sign between a point where it is positive and one where it is not (bisection)."""

    def halve(_: Array, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        middle = 0.5 * (ends[0] + ends[1])
        positive = surplus(middle) > 0.0
        return jnp.where(positive, middle, ends[0]), jnp.where(positive, ends[1], middle)

    return jax.lax.fori_loop(0, _HALVINGS, halve, (inside, outside))[0]


def marginal_worth(
    value_of_hit_eur: Float[Array, ""],
    price_eur: Float[Array, ""],
    chance: Float[Array, " n"],
    wanted: Float[Array, ""],
) -> Float[Array, ""]:
    """Return what one more hit is worth where only some more are wanted, in EUR.

    That is what the group says, but no more than what a hit costs at the margin: c / p*, where measuring the candidates
    with a chance of at least p* yields as many as are wanted. Better candidates than those save no more than that.

    Args:
        value_of_hit_eur: what the group says.
        price_eur: c, of a measurement.
        chance: of each candidate to be a hit once measured; 0 if it has been.
        wanted: further hits.
    """
    least = marginal_chance(chance, wanted)
    marginal = jnp.where(least > 0.0, jnp.maximum(price_eur, _FREE_EUR) / jnp.maximum(least, _TINY), jnp.inf)
    return jnp.where(wanted > 0.0, jnp.minimum(value_of_hit_eur, marginal), 0.0)


def marginal_chance(chance: Float[Array, " n"], hits: Float[Array, ""]) -> Float[Array, ""]:
    """Return the p for which the candidates with a chance of at least p promise so many hits, 0 if all together do not.

    Args:
        chance: of each candidate to be a hit.
        hits: wanted of them.
    """

    def surplus(least: Array) -> Array:
        return jnp.where(jnp.sum(jnp.where(chance >= least, chance, 0.0)) >= hits, 1.0, -1.0)

    return crossing(surplus, jnp.zeros(()), jnp.ones(()))
