"""A condition on compositions: how far inside or outside they are, and how to get back."""

from abc import abstractmethod
from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp

from mfal.types import Array, Bool, Float, PRNGKeyArray


class AbstractConstraint(eqx.Module):
    """A condition on vectors of fractions, batched, differentiable almost everywhere, and free of side effects."""

    @abstractmethod
    def slack(self, x: Float[Array, "n d"]) -> Float[Array, " n"]:
        """Return how far inside each row is, in units of a fraction: feasible from 0 on, below it minus a distance."""


class AbstractProjection(AbstractConstraint):
    """A condition with a nearest feasible point."""

    @abstractmethod
    def project(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """Return the nearest feasible point of each row, in the Euclidean norm."""


class AbstractDesigns(AbstractProjection):
    """All designs that a group may make: a union of convex parts, most often one."""

    @abstractmethod
    def sample(self, count: int, key: PRNGKeyArray) -> Float[Array, "{count} d"]:
        """Return independent designs, uniform over the set or over its parts."""

    @abstractmethod
    def within(self, x: Float[Array, " d"], design: Float[Array, " d"]) -> Float[Array, " d"]:
        """Return the nearest point to x in the convex part that a design is of."""

    @abstractmethod
    def beside(self, design: Float[Array, " d"]) -> Float[Array, "parts d"]:
        """Return the nearest point to a design in each of the parts next to its own; none where all is one part."""


class All(AbstractConstraint):
    """Every one of several conditions.

    Attributes:
        members: in the order in which they were declared.
    """

    members: tuple[AbstractConstraint, ...]

    def slack(self, x: Float[Array, "n d"]) -> Float[Array, " n"]:
        """Return the least slack of all."""
        return jnp.min(slacks(self.members, x), axis=0, initial=jnp.inf)


def slacks(members: Sequence[AbstractConstraint], x: Float[Array, "n d"]) -> Float[Array, "m n"]:
    """Return the slack of each condition at each row."""
    return jnp.stack([member.slack(x) for member in members]) if members else jnp.zeros((0, x.shape[0]))


def distance(constraint: AbstractConstraint, x: Float[Array, "n d"]) -> Float[Array, " n"]:
    """Return how far outside each row is; zero inside."""
    return jnp.maximum(-constraint.slack(x), 0.0)


def feasible(constraint: AbstractConstraint, x: Float[Array, "n d"], tolerance: float) -> Bool[Array, " n"]:
    """Return which rows satisfy the condition up to a tolerance in units of a fraction."""
    return constraint.slack(x) >= -tolerance
