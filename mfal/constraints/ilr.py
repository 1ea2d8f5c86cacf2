"""Isometric log-ratio coordinates: compositions without a boundary, and distances that ratios of fractions deserve.

Beside the parametrisation of `mfal.constraints.softmax`, which knows bounds: these coordinates have no redundant
direction (d - 1 numbers for d fractions), and Euclidean distance in them is Aitchison's distance of compositions.
"""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.linalg import block_diag, helmert

from mfal.constraints.polytope import Polytope
from mfal.errors import ConstraintError
from mfal.types import Array, Float


class LogRatios(eqx.Module):
    """Coordinates of the designs whose components share out totals, group by group.

    Attributes:
        groups: columns of each group; together they are all columns, each once.
        totals: what each group shares out.
        basis: orthonormal log-contrasts, zero outside their group.
    """

    groups: tuple[tuple[int, ...], ...] = eqx.field(static=True)
    totals: Float[Array, " g"]
    basis: Float[Array, "d k"]

    @staticmethod
    def of(polytope: Polytope) -> "LogRatios":
        """Return coordinates of a polytope's groups; its bounds above zero are not in them, which is refused."""
        groups = polytope.groups
        if groups is None or sorted(i for group in groups for i in group) != list(range(len(polytope.names))):
            raise ConstraintError(
                f"log-ratios need one sum for each of {polytope.names}, and no other linear condition"
            )
        for group, total in zip(groups, np.asarray(polytope.body.totals), strict=True):
            for i in group:
                low, high = float(polytope.body.lower[i]), float(polytope.body.upper[i])
                if low > 0.0 or high < total:
                    raise ConstraintError(
                        f"log-ratios reach all of 0 to {total:g}, {polytope.names[i]} has {low=} {high=}"
                    )
        return LogRatios.between(groups, np.asarray(polytope.body.totals))

    @staticmethod
    def between(groups: Sequence[Sequence[int]], totals: Sequence[float] | np.ndarray) -> "LogRatios":
        """Return coordinates of some columns that share out totals above zero."""
        columns = [i for group in groups for i in group]
        if sorted(columns) != list(range(len(columns))):
            raise ConstraintError(f"log-ratios need each column in one group: {groups=}")
        if not (np.asarray(totals, float) > 0.0).all() or len(totals) != len(groups):
            raise ConstraintError(f"log-ratios need a total above zero for each group: {totals=} {groups=}")
        # Rows of a Helmert matrix: the first of n components against the next one, orthonormal to the vector of ones.
        blocks = block_diag(*(helmert(len(group)).T.reshape(len(group), len(group) - 1) for group in groups))
        basis = np.zeros_like(blocks)
        basis[columns] = blocks
        kept = tuple(tuple(int(i) for i in group) for group in groups)
        return LogRatios(kept, jnp.asarray(totals, jnp.float64), jnp.asarray(basis))

    def coordinates(self, x: Float[Array, "n d"]) -> Float[Array, "n k"]:
        """Return the coordinates of designs with all fractions above zero; NaN where one is not.

        Source: Egozcue et al. 2003 (Math. Geol. 35, 279): z = V^T log x with V orthonormal and 1^T V = 0.
        """
        return jnp.where(x > 0.0, jnp.log(jnp.where(x > 0.0, x, 1.0)), jnp.nan) @ self.basis

    def designs(self, z: Float[Array, "n k"]) -> Float[Array, "n d"]:
        """Return the designs at coordinates: their logarithms are V z up to what the total fixes."""
        logs = z @ self.basis.T
        for group, total in zip(self.groups, self.totals, strict=True):
            members = np.array(group)
            logs = logs.at[:, members].set(_shares(logs[:, members], total))
        return logs


def _shares(logs: Float[Array, "n m"], total: Float[Array, ""]) -> Float[Array, "n m"]:
    """Return total softmax(logs), the rounding of the sum left with the largest share."""
    share = total * jax.nn.softmax(logs, axis=1)
    largest = jnp.arange(logs.shape[1]) == jnp.argmax(share, axis=1)[:, None]
    return share + jax.lax.stop_gradient(largest * (total - jnp.sum(share, axis=1, keepdims=True)))
