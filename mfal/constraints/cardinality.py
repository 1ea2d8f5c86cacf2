"""At most so many elements: distance, exact projection and uniform designs over supports.

A support is the set of elements that are present. The designs are those of a polytope (a product of bounded simplices)
in which an absent element is exactly zero and a present one has at least the threshold and its own lower bound; an
element whose lower bound is above zero is always present.
"""

from itertools import combinations
from math import comb

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from mfal.constraints.base import AbstractConstraint, AbstractDesigns
from mfal.constraints.polytope import Polytope
from mfal.constraints.project import onto_simplex
from mfal.constraints.sample import blocks, exchange
from mfal.errors import ConstraintError
from mfal.types import Array, Bool, Float, Int, PRNGKeyArray

# More supports than this are not listed.
MOST_SUPPORTS = 200_000
_SAME = 1e-12


class Cardinality(AbstractConstraint):
    """At most `most` elements above a threshold, and at least `least` of them not below it.

    Attributes:
        most: greatest number of elements.
        least: smallest number of elements.
        threshold: fraction from which an element counts.
    """

    most: int = eqx.field(static=True)
    least: int = eqx.field(static=True)
    threshold: float = eqx.field(static=True)

    @staticmethod
    def between(least: int, most: int, threshold: float = 0.0) -> "Cardinality":
        """Return the condition on the number of elements."""
        if not 1 <= least <= most:
            raise ConstraintError(f"a number of elements needs 1 <= least <= most: {least=}, {most=}")
        if not 0.0 <= threshold < 1.0:
            raise ConstraintError(f"an element counts from a fraction between 0 and 1: {threshold=}")
        if least > 1 and threshold == 0.0:
            raise ConstraintError(f"any trace counts at threshold=0, so {least=} says nothing: give a threshold")
        return Cardinality(most, least, float(threshold))

    def slack(self, x: Float[Array, "n d"]) -> Float[Array, " n"]:
        """Return the signed distance: outside, minus the norm of what the surplus elements hold above the threshold."""
        size = x.shape[1]
        if size < self.least:
            raise ConstraintError(f"{size} components cannot have {self.least=} elements: name more components")
        above = -jnp.sort(-x, axis=1) - self.threshold
        room = _signed(-above, self.most) if self.most < size else jnp.full(x.shape[0], jnp.inf)
        # With the order reversed, "at least" is "at most size - least below".
        return jnp.minimum(room, _signed(above[:, ::-1], size - self.least))


class SparseDesigns(AbstractDesigns):
    """The designs of a polytope that have few elements.

    Attributes:
        polytope: bounds and sums.
        cardinality: how many elements.
        supports: all that some design has, one a row.
        slots: columns of each support, group by group; the column after the last in slots that stay empty.
        sizes: numbers of elements that are possible.
        alike: whether all elements have the same bounds and one sum, so that the largest ones are the nearest support.
    """

    polytope: Polytope
    cardinality: Cardinality
    supports: Bool[Array, "s d"]
    slots: tuple[Int[Array, "s _"], ...]
    sizes: tuple[int, ...] = eqx.field(static=True)
    alike: bool = eqx.field(static=True)

    @staticmethod
    def of(polytope: Polytope, cardinality: Cardinality) -> "SparseDesigns":
        """Return the designs with a number of elements; refuse what has none, or too many supports to list."""
        groups = polytope.groups
        if groups is None or sorted(i for group in groups for i in group) != list(range(len(polytope.names))):
            raise ConstraintError(
                f"{cardinality} needs bounds and one sum for each of {polytope.names}: "
                "under other linear conditions use mfal.constraints.faces.Faces"
            )
        supports = _supports(polytope, groups, cardinality)
        slots = tuple(jnp.asarray(_slots(supports, group)) for group in groups)
        lower, upper = np.asarray(polytope.body.lower), np.asarray(polytope.body.upper)
        alike = len(groups) == 1 and bool((lower == 0.0).all() and np.ptp(upper) == 0.0)
        sizes = tuple(np.unique(supports.sum(axis=1)).tolist())
        return SparseDesigns(polytope, cardinality, jnp.asarray(supports), slots, sizes, alike)

    def slack(self, x: Float[Array, "n d"]) -> Float[Array, " n"]:
        """Return the lesser slack of the polytope's sums and bounds above zero, and of the number of elements."""
        return jnp.minimum(self.polytope.slack(x), self.cardinality.slack(x))

    def project(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """Return the nearest design of each row.

        Elements that are alike: swapping a present element for an absent one that is larger brings a design no further
        off, so the largest ones are a nearest support of each size (Kyrillidis et al. 2013; Beck and Hallak 2016).
        Otherwise that fails, and every support is tried.
        """
        return jax.lax.map(self._nearest, x, batch_size=max(1, _AT_ONCE // self.supports.size))

    @eqx.filter_jit
    def sample(self, count: int, key: PRNGKeyArray) -> Float[Array, "{count} d"]:
        """Return independent designs: a support uniform among all feasible ones, then uniform on that support."""
        return blocks(self._block, count, key)

    def within(self, x: Float[Array, " d"], design: Float[Array, " d"]) -> Float[Array, " d"]:
        """Return the nearest point with the elements that a design has."""
        return self._onto(x, design > 0.0)

    def beside(self, design: Float[Array, " d"]) -> Float[Array, "parts d"]:
        """Return the nearest point with each support that differs in fewest elements: one more, less or other."""
        nearest = nearest_supports(self.supports, design)[1:]
        return jax.vmap(lambda support: self._onto(design, support))(self.supports[nearest])

    def _nearest(self, x: Float[Array, " d"]) -> Float[Array, " d"]:
        present = self._largest(jax.lax.stop_gradient(x)) if self.alike else self.supports
        near = jax.vmap(lambda support: self._onto(jax.lax.stop_gradient(x), support))(present)
        best = jnp.argmin(jnp.sum((near - jax.lax.stop_gradient(x)) ** 2, axis=1))
        return self._onto(x, present[best])

    def _largest(self, x: Float[Array, " d"]) -> Bool[Array, "sizes d"]:
        """Return the largest elements as a support of each size that is possible."""
        rank = jnp.argsort(jnp.argsort(-x))
        return rank[None] < jnp.asarray(self.sizes)[:, None]

    def _onto(self, x: Float[Array, " d"], support: Bool[Array, " d"]) -> Float[Array, " d"]:
        lower, upper = self._bounds(support)
        body, y = self.polytope.body, x
        for group, total in zip(self.polytope.groups or (), body.totals, strict=True):
            members = np.array(group)
            y = y.at[members].set(onto_simplex(x[members], lower[members], upper[members], total))
        return y

    def _bounds(self, support: Bool[Array, "*n d"]) -> tuple[Float[Array, "*n d"], Float[Array, "*n d"]]:
        body = self.polytope.body
        least = jnp.maximum(body.lower, self.cardinality.threshold)
        return jnp.where(support, least, 0.0), jnp.where(support, body.upper, 0.0)

    def _block(self, count: int, key: PRNGKeyArray) -> Float[Array, "{count} d"]:
        """Return designs computed in the slots of their supports only, then put in their columns."""
        draw, *keys = jax.random.split(key, 1 + len(self.slots))
        chosen = jax.random.randint(draw, (count,), 0, self.supports.shape[0])
        body, x = self.polytope.body, jnp.zeros((count, len(self.polytope.names) + 1))
        least = jnp.append(jnp.maximum(body.lower, self.cardinality.threshold), 0.0)
        most = jnp.append(body.upper, 0.0)
        for slots, total, key in zip(self.slots, body.totals, keys, strict=True):
            columns = slots[chosen]
            held = exchange(least[columns].T, most[columns].T, total, key)
            x = x.at[jnp.arange(count)[:, None], columns].set(held)
        return x[:, :-1]


def nearest_supports(supports: Bool[Array, "s d"], design: Float[Array, " d"]) -> Int[Array, " n"]:
    """Return the supports that differ in fewest elements from a design's, its own first."""
    apart = jnp.sum(supports != (design > 0.0), axis=1)
    return jax.lax.top_k(-apart, min(len(supports), 1 + _BESIDE))[1]


# Numbers in flight while every support is tried, and supports next to one that are tried in a search.
_AT_ONCE, _BESIDE = 200_000, 96


def _signed(room: Float[Array, "n d"], most: int) -> Float[Array, " n"]:
    """Return the signed distance from having more than `most` columns below zero; room rises from column to column."""
    outside = room[:, most] < 0.0
    lacking = jnp.sum(jnp.minimum(room[:, most:], 0.0) ** 2, axis=1)
    spare = jnp.sum(jnp.maximum(room[:, : most + 1], 0.0) ** 2, axis=1)
    # The root has no derivative at zero, so it is never taken there.
    square = jnp.where(outside, lacking, spare)
    root = jnp.sqrt(jnp.where(square > 0.0, square, 1.0))
    return jnp.where(square > 0.0, jnp.where(outside, -root, root), 0.0)


def _supports(polytope: Polytope, groups: tuple[tuple[int, ...], ...], cardinality: Cardinality) -> np.ndarray:
    """Return every support that some design has, shape (s, d)."""
    size, body = len(polytope.names), polytope.body
    lower, upper = np.maximum(body.lower, cardinality.threshold), np.asarray(body.upper)
    supports = _subsets(size, range(cardinality.least, min(cardinality.most, size) + 1))
    supports = supports[supports[:, np.asarray(body.lower) > 0.0].all(axis=1)]
    supports = supports[~supports[:, lower > upper].any(axis=1)]
    for group, total in zip(groups, np.asarray(body.totals), strict=True):
        inside, members = supports[:, group], list(group)
        fits = (inside @ lower[members] <= total + _SAME) & (inside @ upper[members] >= total - _SAME)
        supports = supports[fits]
    if not len(supports):
        told = f"{cardinality.least} to {cardinality.most} elements from {cardinality.threshold:g} on"
        raise ConstraintError(f"no design has {told} of {polytope.names}: {lower=} {upper=}; allow more elements")
    return supports


def _subsets(size: int, counts: range) -> np.ndarray:
    """Return all subsets with these numbers of elements, shape (s, size)."""
    if sum(comb(size, count) for count in counts) > MOST_SUPPORTS:
        raise ConstraintError(
            f"{counts} of {size=} have over {MOST_SUPPORTS} supports: name fewer components or elements"
        )
    chosen = [pick for count in counts for pick in combinations(range(size), count)]
    subsets = np.zeros((len(chosen), size), bool)
    rows = np.repeat(np.arange(len(chosen)), [len(pick) for pick in chosen])
    subsets[rows, [i for pick in chosen for i in pick]] = True
    return subsets


def _slots(supports: np.ndarray, group: tuple[int, ...]) -> np.ndarray:
    """Return the columns that each support has in a group, then the column after the last, shape (s, slots)."""
    inside = supports[:, group]
    order = np.argsort(~inside, axis=1, kind="stable")[:, : inside.sum(axis=1).max()]
    return np.where(np.take_along_axis(inside, order, axis=1), np.array(group)[order], supports.shape[1])
