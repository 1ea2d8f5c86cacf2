"""At most so many elements under any linear conditions: a polytope a support, all of one shape side by side.

`mfal.constraints.cardinality` is exact and faster where the conditions are bounds and sums of groups; a support there
costs a row of numbers, here some linear programs when the set is built.
"""

from collections.abc import Sequence
from itertools import combinations
from math import comb

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from mfal.constraints.base import AbstractDesigns
from mfal.constraints.cardinality import Cardinality, nearest_supports
from mfal.constraints.linear import Bounds, LinearEquality, LinearInequality
from mfal.constraints.polytope import Polytope
from mfal.constraints.project import Polyhedron, onto_polyhedron
from mfal.constraints.sample import blocks, hit_and_run
from mfal.errors import ConstraintError
from mfal.types import Array, Bool, Float, PRNGKeyArray

# Each support costs some tens of milliseconds of linear programs.
MOST_SUPPORTS = 1_000


class Faces(AbstractDesigns):
    """The designs of a polytope that have few elements, support by support.

    Attributes:
        polytope: without regard to the number of elements.
        cardinality: how many.
        supports: all that some design has, one a row.
        bodies: the designs of each support; what smaller ones lack is filled with conditions that always hold.
        rows: inequalities beyond bounds of each support, likewise.
        values: their least values.
        spread: directions in which each is about round, zero columns where it has fewer.
    """

    polytope: Polytope
    cardinality: Cardinality
    supports: Bool[Array, "s d"]
    bodies: Polyhedron
    rows: Float[Array, "s m d"]
    values: Float[Array, "s m"]
    spread: Float[Array, "s d k"]

    @staticmethod
    def of(polytope: Polytope, cardinality: Cardinality) -> "Faces":
        """Return the designs with a number of elements; refuse what has none, or too many supports to build."""
        supports, parts = _parts(polytope, cardinality)
        if not parts:
            told = f"{cardinality.least} to {cardinality.most} elements from {cardinality.threshold:g} on"
            raise ConstraintError(f"no design has {told} of {polytope.names}: allow more elements, or other conditions")
        bodies = jax.tree.map(lambda *leaves: jnp.stack(leaves), *_of_one_shape([part.body for part in parts]))
        rows, values = _padded([p.rows for p in parts], 0.0), _padded([p.values for p in parts], -1.0)
        spread = _padded([part.spread for part in parts], 0.0)
        return Faces(polytope, cardinality, jnp.asarray(supports), bodies, rows, values, spread)

    def slack(self, x: Float[Array, "n d"]) -> Float[Array, " n"]:
        """Return the lesser slack of the polytope and of the number of elements."""
        return jnp.minimum(self.polytope.slack(x), self.cardinality.slack(x))

    def project(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """Return the nearest design of each row: every support is tried."""
        return jax.lax.map(self._nearest, x)

    @eqx.filter_jit
    def sample(self, count: int, key: PRNGKeyArray) -> Float[Array, "{count} d"]:
        """Return independent designs: a support uniform among all feasible ones, then uniform on that support."""
        return blocks(self._block, count, key)

    def within(self, x: Float[Array, " d"], design: Float[Array, " d"]) -> Float[Array, " d"]:
        """Return the nearest point with the elements of a design."""
        return self._onto(x, nearest_supports(self.supports, design)[0])

    def beside(self, design: Float[Array, " d"]) -> Float[Array, "parts d"]:
        """Return the nearest point with each support that differs in fewest elements: one more, less or other."""
        return jax.vmap(lambda support: self._onto(design, support))(nearest_supports(self.supports, design)[1:])

    def _nearest(self, x: Float[Array, " d"]) -> Float[Array, " d"]:
        frozen = jax.lax.stop_gradient(x)
        near = jax.vmap(lambda body: onto_polyhedron(frozen, body))(self.bodies)
        return self._onto(x, jnp.argmin(jnp.sum((near - frozen) ** 2, axis=1)))

    def _onto(self, x: Float[Array, " d"], support: Array) -> Float[Array, " d"]:
        return onto_polyhedron(x, jax.tree.map(lambda leaf: leaf[support], self.bodies))

    def _block(self, count: int, key: PRNGKeyArray) -> Float[Array, "{count} d"]:
        choose, draw = jax.random.split(key)
        chosen = jax.random.randint(choose, (count,), 0, self.supports.shape[0])

        def one(support: Array, key: PRNGKeyArray) -> Float[Array, " d"]:
            body = jax.tree.map(lambda leaf: leaf[support], self.bodies)
            return hit_and_run(body, self.rows[support], self.values[support], self.spread[support], 1, key)[0]

        return jax.vmap(one)(chosen, jax.random.split(draw, count))


def _parts(polytope: Polytope, cardinality: Cardinality) -> tuple[np.ndarray, list[Polytope]]:
    """Return the supports that some design has, and the designs of each."""
    names, sums = polytope.names, polytope.sums
    counts = range(cardinality.least, min(cardinality.most, len(names)) + 1)
    number = sum(comb(len(names), count) for count in counts)
    if number > MOST_SUPPORTS:
        raise ConstraintError(
            f"{number} supports of {names} are over {MOST_SUPPORTS}: name fewer components or elements"
        )
    supports, parts = [], []
    for chosen in (pick for count in counts for pick in combinations(range(len(names)), count)):
        support = np.isin(np.arange(len(names)), chosen)
        part = _part(polytope, cardinality, sums, support)
        if part is not None:
            supports.append(support)
            parts.append(part)
    return np.array(supports), parts


def _part(
    polytope: Polytope, cardinality: Cardinality, sums: Sequence[LinearEquality | LinearInequality], support: np.ndarray
) -> Polytope | None:
    """Return the designs with the elements of a support, None if there is none."""
    lower, upper = np.asarray(polytope.body.lower), np.asarray(polytope.body.upper)
    least = np.where(support, np.maximum(lower, cardinality.threshold), 0.0)
    most = np.where(support, upper, 0.0)
    if (lower[~support] > 0.0).any() or (least > most).any():
        return None
    try:
        bounds = Bounds(polytope.names, jnp.asarray(least), jnp.asarray(most))
        return Polytope.of(polytope.names, [bounds, *sums])
    except ConstraintError:
        return None


def _of_one_shape(bodies: Sequence[Polyhedron]) -> list[Polyhedron]:
    """Return bodies with as many conditions and directions as the largest; those that are added always hold."""
    parts = [
        _padded([body.equal for body in bodies], 0.0),
        _padded([body.totals for body in bodies], 0.0),
        _padded([body.hull for body in bodies], 0.0),
        _padded([body.normals for body in bodies], 0.0),
        _padded([body.offsets for body in bodies], -1.0),
    ]
    return [
        Polyhedron(body.lower, body.upper, equal, totals, body.centre, hull, normals, offsets)
        for body, equal, totals, hull, normals, offsets in zip(bodies, *parts, strict=True)
    ]


def _padded(arrays: Sequence[Array], fill: float) -> Array:
    """Return arrays stacked, each filled up to the largest shape."""
    shape = np.max([array.shape for array in arrays], axis=0)
    room = [[(0, most - size) for size, most in zip(array.shape, shape, strict=True)] for array in arrays]
    return jnp.stack([jnp.pad(a, pad, constant_values=fill) for a, pad in zip(arrays, room, strict=True)])
