"""Linear conditions, each with its exact projection: a half-space, a plane and a box."""

from collections.abc import Mapping, Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from mfal.constraints.base import AbstractProjection
from mfal.errors import ConstraintError
from mfal.types import Array, Float


class LinearInequality(AbstractProjection):
    """A weighted sum of fractions that has a least value: w.x >= bound.

    Attributes:
        names: components, one a column.
        weights: w.
        bound: least value of the sum.
    """

    names: tuple[str, ...] = eqx.field(static=True)
    weights: Float[Array, " d"]
    bound: Float[Array, ""]

    @staticmethod
    def at_least(names: Sequence[str], weights: Mapping[str, float], bound: float) -> "LinearInequality":
        """Return the condition that a weighted sum reaches a bound; components without a weight do not count."""
        return LinearInequality(tuple(names), *_row(names, weights, bound))

    @staticmethod
    def at_most(names: Sequence[str], weights: Mapping[str, float], bound: float) -> "LinearInequality":
        """Return the condition that a weighted sum stays below a bound."""
        row, value = _row(names, weights, bound)
        return LinearInequality(tuple(names), -row, -value)

    def slack(self, x: Float[Array, "n d"]) -> Float[Array, " n"]:
        """Return the signed distance from the plane where the sum equals its bound."""
        return (x @ self.weights - self.bound) / jnp.linalg.norm(self.weights)

    def project(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """Move rows outside along the normal."""
        unit = self.weights / jnp.linalg.norm(self.weights)
        return x + jnp.maximum(-self.slack(x), 0.0)[:, None] * unit

    def describe(self) -> str:
        """Return the condition as people write it."""
        weights, bound = np.asarray(self.weights), float(self.bound)
        upward = (weights > 0.0).any()
        return f"{_sum(self.names, weights)} >= {bound:g}" if upward else f"{_sum(self.names, -weights)} <= {-bound:g}"


class LinearEquality(AbstractProjection):
    """A weighted sum of fractions that has one value: w.x = total.

    Attributes:
        names: components, one a column.
        weights: w.
        total: value of the sum.
        tolerance: distance from the plane that still counts as on it; zero leaves no room inside.
    """

    names: tuple[str, ...] = eqx.field(static=True)
    weights: Float[Array, " d"]
    total: Float[Array, ""]
    tolerance: Float[Array, ""]

    @staticmethod
    def of(
        names: Sequence[str], weights: Mapping[str, float], total: float, tolerance: float = 0.0
    ) -> "LinearEquality":
        """Return the condition that a weighted sum has a value; components without a weight do not count."""
        if not 0.0 <= tolerance < np.inf:
            raise ConstraintError(f"an equality needs a tolerance from 0 on: {tolerance=}")
        return LinearEquality(tuple(names), *_row(names, weights, total), jnp.asarray(tolerance, jnp.float64))

    @staticmethod
    def group(names: Sequence[str], members: Sequence[str], total: float = 1.0) -> "LinearEquality":
        """Return the condition that some components share out a total: a composition, or one site of a crystal."""
        repeated = sorted({name for name in members if list(members).count(name) > 1})
        if repeated:
            raise ConstraintError(f"a group names each component once, remove {repeated=} from {list(members)}")
        return LinearEquality.of(names, dict.fromkeys(members, 1.0), total)

    def slack(self, x: Float[Array, "n d"]) -> Float[Array, " n"]:
        """Return the tolerance less the distance from the plane."""
        return self.tolerance - jnp.abs(self._height(x))

    def project(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """Move rows further off than the tolerance back to it, along the normal."""
        height = self._height(x)
        outside = jnp.sign(height) * jnp.maximum(jnp.abs(height) - self.tolerance, 0.0)
        return x - outside[:, None] * self.weights / jnp.linalg.norm(self.weights)

    def describe(self) -> str:
        """Return the condition as people write it."""
        return f"{_sum(self.names, np.asarray(self.weights))} = {float(self.total):g}"

    def _height(self, x: Float[Array, "n d"]) -> Float[Array, " n"]:
        return (x @ self.weights - self.total) / jnp.linalg.norm(self.weights)


class Bounds(AbstractProjection):
    """A least and a greatest fraction of each component.

    Attributes:
        names: components, one a column.
        lower: least fractions.
        upper: greatest fractions; infinite where there is none.
    """

    names: tuple[str, ...] = eqx.field(static=True)
    lower: Float[Array, " d"]
    upper: Float[Array, " d"]

    @staticmethod
    def between(
        names: Sequence[str], lower: Mapping[str, float] | None = None, upper: Mapping[str, float] | None = None
    ) -> "Bounds":
        """Return bounds by name: zero where no least fraction is given, none where no greatest is."""
        least = _by_name(names, lower or {}, 0.0)
        most = _by_name(names, upper or {}, np.inf)
        for name, low, high in zip(names, least, most, strict=True):
            if not (0.0 <= low < np.inf and high >= 0.0):
                raise ConstraintError(f"bounds of {name} are not fractions, {low=} {high=}: give 0 <= lower <= upper")
            if low > high:
                raise ConstraintError(f"{name} >= {low:g} and {name} <= {high:g} exclude each other: relax one")
        return Bounds(tuple(names), jnp.asarray(least), jnp.asarray(most))

    def slack(self, x: Float[Array, "n d"]) -> Float[Array, " n"]:
        """Return the distance to the nearest bound inside, minus the distance to the box outside."""
        inside = jnp.min(jnp.minimum(x - self.lower, self.upper - x), axis=1)
        beyond = jnp.maximum(self.lower - x, 0.0) + jnp.maximum(x - self.upper, 0.0)
        outside = inside < 0.0
        # The root has no derivative at zero, so rows inside do not reach it.
        safe = jnp.where(outside, jnp.sum(beyond**2, axis=1), 1.0)
        return jnp.where(outside, -jnp.sqrt(safe), inside)

    def project(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """Clip."""
        return jnp.clip(x, self.lower, self.upper)


def _row(names: Sequence[str], weights: Mapping[str, float], value: float) -> tuple[Array, Array]:
    row = _by_name(names, weights, 0.0)
    if not np.isfinite(row).all() or not np.isfinite(value):
        raise ConstraintError(f"a linear condition needs finite numbers: weights={dict(weights)}, {value=}")
    if not row.any():
        raise ConstraintError(f"a linear condition needs a weight that is not zero: weights={dict(weights)}")
    return jnp.asarray(row), jnp.asarray(value, jnp.float64)


def _by_name(names: Sequence[str], values: Mapping[str, float], default: float) -> np.ndarray:
    """Return one value a component, shape (d,)."""
    unknown = sorted(set(values) - set(names))
    if unknown:
        raise ConstraintError(f"{unknown=} are none of the components {list(names)}: correct the names")
    return np.array([float(values.get(name, default)) for name in names])


def _sum(names: Sequence[str], weights: np.ndarray) -> str:
    terms = [(name, weight) for name, weight in zip(names, weights, strict=True) if weight != 0.0]
    text = " + ".join(name if weight == 1.0 else f"{weight:g} {name}" for name, weight in terms)
    return text.replace("+ -1 ", "- ").replace("+ -", "- ")
