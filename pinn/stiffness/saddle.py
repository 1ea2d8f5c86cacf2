"""Least squares of displacements under equilibrium: one factorisation for all loads that miss the same points.

    [W   K^T  g ] [u     ]   [a]
    [K   0    0 ] [lambda] = [b]
    [g^T 0   -D ] [nu    ]   [c]

with W the weights of displacements, K the equations of inner nodes, g those of measured forces and D the variances of
the forces. The last row, of one or two forces and different for each load, is eliminated.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse
from jaxtyping import Float
from scipy.sparse.linalg import SuperLU, splu

from pinn.errors import NotIdentifiedError


@dataclass(frozen=True)
class SaddlePoint:
    """The system of one load, ready to solve.

    Attributes:
        factor: of the first two rows, shared between loads.
        pulls: g, shape (unknowns, forces).
        moved: what the pulls do to displacements and multipliers.
        compliance: g^T u for unit forces, and their variances; shape (forces, forces).
    """

    factor: SuperLU
    pulls: np.ndarray
    moved: np.ndarray
    compliance: np.ndarray

    def solve(
        self,
        pulled: Float[np.ndarray, "unknowns r"],
        nodes: Float[np.ndarray, "inner r"],
        forces: Float[np.ndarray, "forces r"],
    ) -> tuple[Float[np.ndarray, "unknowns r"], Float[np.ndarray, "equations r"]]:
        """Return displacements and multipliers, those of the forces last."""
        free, size = self.factor.solve(np.concatenate([pulled, nodes])), len(pulled)
        multipliers = np.linalg.solve(self.compliance, self.pulls.T @ free[:size] - forces)
        found = free - self.moved @ multipliers
        return found[:size], np.concatenate([found[size:], multipliers])


def factorised(weights: Float[np.ndarray, " unknowns"], inner: scipy.sparse.csr_array) -> SuperLU:
    """Return the factors of the first two rows.

    Raises:
        NotIdentifiedError: they are singular.
    """
    both = [[scipy.sparse.diags_array(weights), inner.T], [inner, None]]
    try:
        return splu(scipy.sparse.block_array(both).tocsc())
    except RuntimeError as error:
        raise NotIdentifiedError(
            "the stiffness of a grain ran to zero: the loads do not hold it, or the grain map is of another window; "
            "add loads, or let grains of one material share a phase"
        ) from error


def saddle_point(
    factor: SuperLU, pulls: Float[np.ndarray, "unknowns forces"], variances: Float[np.ndarray, " forces"]
) -> SaddlePoint:
    """Return the system of a load with its forces."""
    rest = np.zeros((factor.shape[0] - len(pulls), pulls.shape[1]))
    moved = factor.solve(np.concatenate([pulls, rest])) if len(variances) else np.zeros((factor.shape[0], 0))
    return SaddlePoint(factor, pulls, moved, pulls.T @ moved[: len(pulls)] + np.diag(variances))
