"""Every linear condition on a design at once: bounds, sums of groups, equalities and inequalities.

A design of an alloy is one simplex, that of a perovskite three (the A, B and X site each share out a total). Building
validates eagerly, by linear programs on the host; everything after that is traced.
"""

from collections.abc import Mapping, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from mfal.constraints.base import AbstractDesigns
from mfal.constraints.conflict import SAME, Row, best, conflict, reaches
from mfal.constraints.hull import analytic_centre, chebyshev, faces, hull, independent, needed, tight
from mfal.constraints.linear import Bounds, LinearEquality, LinearInequality
from mfal.constraints.project import Polyhedron, onto_polyhedron, onto_simplex
from mfal.constraints.sample import blocks, exchange, hit_and_run
from mfal.errors import ConstraintError
from mfal.types import Array, Float, PRNGKeyArray

Linear = Bounds | LinearEquality | LinearInequality
# Designs that break a condition by no more than this, in units of a fraction, are taken as given.
TOLERANCE = 1e-9


class Polytope(AbstractDesigns):
    """All designs that satisfy some linear conditions.

    Attributes:
        names: components, one a column.
        groups: columns of each sum, if the set is a product of bounded simplices (and intervals); otherwise None.
        body: the set itself; its equalities are the sums of the groups, in their order.
        rows: inequalities beyond bounds that can bind, of unit length.
        values: their least values.
        spread: directions in which the set is about as wide as it is long.
    """

    names: tuple[str, ...] = eqx.field(static=True)
    groups: tuple[tuple[int, ...], ...] | None = eqx.field(static=True)
    body: Polyhedron
    rows: Float[Array, "m d"]
    values: Float[Array, " m"]
    spread: Float[Array, "d k"]

    @staticmethod
    def of(names: Sequence[str], conditions: Sequence[Linear]) -> "Polytope":
        """Return the designs that satisfy all conditions; fractions are never negative. Refuse an empty set."""
        declared = refuse_conflict(names, conditions)
        lower, upper = _box(names, declared)
        box = _rows(Bounds(tuple(names), jnp.asarray(lower), jnp.asarray(upper)))
        equal = independent([_scaled(row) for row in declared if row.equal])
        beyond = [_scaled(row) for row in declared if not row.equal and np.count_nonzero(row.weights) > 1]
        return _assembled(tuple(names), lower, upper, equal, needed(beyond, [*box, *equal]), box)

    @staticmethod
    def simplex(
        names: Sequence[str], lower: Mapping[str, float] | None = None, upper: Mapping[str, float] | None = None
    ) -> "Polytope":
        """Return the compositions between element bounds."""
        return Polytope.of(names, [Bounds.between(names, lower, upper), LinearEquality.group(names, names)])

    @property
    def bounds(self) -> Bounds:
        """Bounds of each component, as they can bind."""
        return Bounds(self.names, self.body.lower, self.body.upper)

    @property
    def sums(self) -> list[LinearEquality | LinearInequality]:
        """Equalities, and inequalities beyond bounds that can bind."""
        equal = zip(self.body.equal, self.body.totals, strict=True)
        beyond = zip(self.rows, self.values, strict=True)
        return [
            *(LinearEquality(self.names, weights, total, jnp.zeros(())) for weights, total in equal),
            *(LinearInequality(self.names, weights, value) for weights, value in beyond),
        ]

    def slack(self, x: Float[Array, "n d"]) -> Float[Array, " n"]:
        """Return the distance to the nearest face inside, minus the largest violation outside.

        A sum that is within 1e-12 of its total is met.
        """
        body = self.body
        box = jnp.min(jnp.minimum(x - body.lower, body.upper - x), axis=1)
        inside = jnp.minimum(box, jnp.min(x @ self.rows.T - self.values, axis=1, initial=jnp.inf))
        off = jnp.abs(x @ body.equal.T - body.totals) / jnp.linalg.norm(body.equal, axis=1)
        worst = jnp.max(off, axis=1, initial=0.0)
        return jnp.where(worst > _EXACT, jnp.minimum(-worst, inside), inside)

    def project(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """Return the nearest design of each row."""
        if self.groups is None:
            return jax.vmap(lambda row: onto_polyhedron(row, self.body))(x)
        y = jnp.clip(x, self.body.lower, self.body.upper)
        for group, total in zip(self.groups, self.body.totals, strict=True):
            members = np.array(group)
            bounds = self.body.lower[members], self.body.upper[members], total
            y = y.at[:, members].set(jax.vmap(onto_simplex, (0, None, None, None))(x[:, members], *bounds))
        return y

    @eqx.filter_jit
    def sample(self, count: int, key: PRNGKeyArray) -> Float[Array, "{count} d"]:
        """Return independent designs, uniform over the set: bounds hold to the bit, sums to rounding."""
        if self.groups is None:
            arguments = self.body, self.rows, self.values, self.spread
            return blocks(lambda size, key: hit_and_run(*arguments, size, key), count, key)
        return blocks(self._block, count, key)

    def within(self, x: Float[Array, " d"], design: Float[Array, " d"]) -> Float[Array, " d"]:
        """Return the nearest design."""
        return self.project(x[None])[0]

    def beside(self, design: Float[Array, " d"]) -> Float[Array, "0 d"]:
        """Return nothing: a polytope is one part."""
        return jnp.zeros((0, len(self.names)))

    def _block(self, count: int, key: PRNGKeyArray) -> Float[Array, "{count} d"]:
        """Return designs of a product of simplices and intervals, each factor by itself."""
        lower, upper = self.body.lower, self.body.upper
        last, *keys = jax.random.split(key, 1 + len(self.groups or ()))
        x = lower + (upper - lower) * jax.random.uniform(last, (count, len(self.names)))
        for group, total, key in zip(self.groups or (), self.body.totals, keys, strict=True):
            members = np.array(group)
            least, most = (jnp.tile(bound[members][:, None], (1, count)) for bound in (lower, upper))
            x = x.at[:, members].set(exchange(least, most, total, key))
        return jnp.clip(x, lower, upper)

    def check(self, x: np.ndarray) -> None:
        """Raise a ConstraintError that names row, component, value and condition if a design is none."""
        designs = np.asarray(x, float)
        if designs.ndim != 2 or designs.shape[1] != len(self.names):
            raise ConstraintError(f"designs need the shape (n, {len(self.names)}), found {designs.shape=}")
        for row, i in np.argwhere(~(designs >= 0.0)).tolist():
            raise ConstraintError(f"{row=}: {self.names[i]} = {designs[row, i]:g} is no fraction; correct the design")
        slack = np.asarray(self.slack(jnp.asarray(designs)))
        for row in np.flatnonzero(~(slack >= -TOLERANCE)).tolist():
            raise ConstraintError(f"{row=}: {self._broken(designs[row])}; correct the design or project it")

    def _broken(self, design: np.ndarray) -> str:
        """Return the condition that a design breaks most, as people write it."""
        rows = [row for condition in [self.bounds, *self.sums] for row in _rows(condition)]
        gaps = [(row.weights @ design - row.value) / np.linalg.norm(row.weights) for row in rows]
        worst = int(np.argmin([-abs(gap) if row.equal else gap for row, gap in zip(rows, gaps, strict=True)]))
        design_text = ", ".join(f"{n} = {v:g}" for n, v in zip(self.names, design, strict=True) if v)
        return f"{rows[worst].text} is missed by {abs(gaps[worst]):.3g} at {design_text}"


_EXACT = 1e-12


def refuse_conflict(names: Sequence[str], conditions: Sequence[Linear]) -> list[Row]:
    """Return all conditions as rows, that fractions are not negative among them.

    Raises:
        ConstraintError: no design satisfies them; a smallest set of conditions that exclude each other is named.
    """
    _refuse_names(names, conditions)
    declared = [row for condition in conditions for row in _rows(condition)]
    declared += _rows(Bounds.between(names)) if not any(isinstance(c, Bounds) for c in conditions) else []
    _refuse_conflict(declared)
    return declared


def _assembled(
    names: tuple[str, ...],
    lower: np.ndarray,
    upper: np.ndarray,
    equal: list[Row],
    beyond: list[Row],
    box: list[Row],
) -> Polytope:
    everything = [*equal, *beyond, *box]
    everything += tight(everything)
    basis = hull(everything, len(names))
    centre, spread = analytic_centre(basis, chebyshev(everything)[1], everything)
    centre = np.clip(centre, lower, upper)
    matrix = lambda rows: jnp.asarray(np.array([row.weights for row in rows]).reshape(-1, len(names)))  # noqa: E731
    vector = lambda rows: jnp.asarray(np.array([row.value for row in rows], float))  # noqa: E731
    normals, offsets = faces(everything, basis, centre)
    arrays = (jnp.asarray(array) for array in (centre, basis, normals, offsets))
    body = Polyhedron(jnp.asarray(lower), jnp.asarray(upper), matrix(equal), vector(equal), *arrays)
    groups = None if beyond else _groups(equal)
    norms = np.array([np.linalg.norm(row.weights) for row in beyond])
    return Polytope(names, groups, body, matrix(beyond) / norms[:, None], vector(beyond) / norms, jnp.asarray(spread))


def _rows(condition: Linear) -> list[Row]:
    """Return a condition as rows, bounds one by one; bounds at infinity are none."""
    if isinstance(condition, LinearEquality):
        return [Row(np.asarray(condition.weights), float(condition.total), True, condition.describe())]
    if isinstance(condition, LinearInequality):
        return [Row(np.asarray(condition.weights), float(condition.bound), False, condition.describe())]
    unit = np.eye(len(condition.names))
    bounds = zip(unit, condition.names, np.asarray(condition.lower), np.asarray(condition.upper), strict=True)
    both = [
        (Row(row, low, False, f"{name} >= {low:g}"), Row(-row, -high, False, f"{name} <= {high:g}"))
        for row, name, low, high in bounds
    ]
    return [row for pair in both for row in pair if np.isfinite(row.value)]


def _scaled(row: Row) -> Row:
    """Return a row whose largest weight is one in size, so that sums of a group are recognised."""
    largest = float(row.weights[int(np.argmax(np.abs(row.weights)))])
    scale = largest if row.equal else abs(largest)
    return Row(row.weights / scale, row.value / scale, row.equal, row.text)


def _groups(equal: list[Row]) -> tuple[tuple[int, ...], ...] | None:
    """Return the columns of each sum, or None if a sum is weighted or two share a component."""
    weights = np.array([row.weights for row in equal])
    if len(equal) and (not np.isin(weights, (0.0, 1.0)).all() or (weights.sum(axis=0) > 1.0).any()):
        return None
    return tuple(tuple(int(i) for i in np.flatnonzero(row)) for row in weights)


def _box(names: Sequence[str], rows: list[Row]) -> tuple[np.ndarray, np.ndarray]:
    """Return the bounds of each component; a component without an upper one takes what the sums leave it."""
    lower, upper = np.zeros(len(names)), np.full(len(names), np.inf)
    for row in rows:
        if np.count_nonzero(row.weights) == 1:
            at = int(np.argmax(row.weights != 0.0))
            weight = float(row.weights[at])
            lower[at] = max(lower[at], row.value / weight) if row.equal or weight > 0.0 else lower[at]
            upper[at] = min(upper[at], row.value / weight) if row.equal or weight < 0.0 else upper[at]
    for i in np.flatnonzero(np.isinf(upper)).tolist():
        upper[i] = max(_left_over(rows, lower, i), lower[i])
        upper[i] = upper[i] if np.isfinite(upper[i]) else best(rows, np.eye(len(names))[i])[0] + SAME
        if not np.isfinite(upper[i]):
            raise ConstraintError(f"nothing limits {names[i]}: give it an upper bound or a sum that it is part of")
    return lower, upper


def _left_over(rows: list[Row], lower: np.ndarray, i: int) -> float:
    """Return what sums of fractions leave a component when the others are at their lower bounds."""
    sums = [(row.weights, row.value) for row in rows if row.equal and (row.weights >= 0.0).all()]
    sums += [(-row.weights, -row.value) for row in rows if not row.equal and (row.weights <= 0.0).all()]
    limits = [(value - weights @ lower) / weights[i] + lower[i] for weights, value in sums if weights[i] > 0.0]
    return min(limits, default=np.inf)


def _refuse_names(names: Sequence[str], conditions: Sequence[Linear]) -> None:
    repeated = sorted({name for name in names if list(names).count(name) > 1})
    if repeated or not names:
        raise ConstraintError(f"components need distinct names: {repeated=} among {list(names)}")
    for condition in conditions:
        if condition.names != tuple(names):
            raise ConstraintError(f"a condition on {condition.names} cannot hold for {tuple(names)}: name the same")


def _refuse_conflict(rows: list[Row]) -> None:
    clash = conflict(rows)
    if clash:
        # That fractions are not negative is known and cannot be relaxed.
        named = [row for row in clash if row.value != 0.0 or np.count_nonzero(row.weights) > 1]
        told = "; ".join(reaches(clash, row) for row in named or clash)
        raise ConstraintError(f"no design satisfies these together, relax one of them: {told}")
