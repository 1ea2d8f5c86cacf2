"""The one log-posterior of stiffness: displacements in weak equilibrium, nearest to those measured.

For each load the unknowns z are the displacements of all nodes and the forces on the faces measured. The model is
A(C) z = 0: no force is left on an inner node, and the forces are those of the displacements. Nothing is said of the
displacements of the boundary, which are unknowns like the others: so their noise counts as noise. What is minimised is

    1/2 sum over loads (z - d)^T W (z - d) + prior,  with A(C) z = 0,

d the data and W one over their variance, zero where there are none.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import cast

import jax
import numpy as np
import scipy.sparse
from jaxtyping import Float
from scipy.sparse.linalg import SuperLU

from physics.elasticity.finite_elements import Mesh, cell_integrals
from pinn.stiffness.data import EdgeForce, GrainFields, Load, affine_part
from pinn.stiffness.model import GrainModel
from pinn.stiffness.saddle import SaddlePoint, factorised, saddle_point

# Variance of what was not seen, about the affine field: that of the displacements themselves, many times over.
_UNSEEN = 1e4


@dataclass(frozen=True)
class Observed:
    """Data of one load in units of the noise.

    Attributes:
        values: displacements of all nodes, then forces; the affine field where nothing was seen.
        weights: one over the variance of each, 1 for a displacement that was seen.
        balance: shape (equations, unknowns): what the nodal forces are summed to, zero or a measured force.
        forces: how many forces there are; theirs are the last equations.
    """

    values: np.ndarray
    weights: np.ndarray
    balance: scipy.sparse.csr_array
    forces: int

    @property
    def equations(self) -> int:
        """How many conditions there are."""
        return cast(tuple[int, int], self.balance.shape)[0]


@dataclass(frozen=True)
class Profile:
    """The best displacements for one stiffness.

    Attributes:
        objective: half the weighted sum of squares, prior included.
        gradient: of it in the free numbers.
        curvature: Gauss-Newton's, displacements eliminated: Fisher's information where the stiffness is the true one.
        states: displacements and forces of each load, in units of the noise.
        responses: what nodal forces left over do to the gradient, for each load, shape (unknowns, p).
    """

    objective: float
    gradient: np.ndarray
    curvature: np.ndarray
    states: tuple[np.ndarray, ...]
    responses: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Equilibrium:
    """The log-posterior of the free numbers of a model, given fields and the size of their noise.

    Attributes:
        fields: the data.
        model: what the grains may be.
        noise_sd: of a displacement, in the length unit of the fields.
        force_scale: stiffness that internal numbers are in units of, in the stiffness unit of the fields.
    """

    fields: GrainFields
    model: GrainModel
    noise_sd: float
    force_scale: float

    @cached_property
    def mesh(self) -> Mesh:
        """Cells of the grain map."""
        return Mesh(self.fields.grain_map.shape)

    @cached_property
    def observed(self) -> tuple[Observed, ...]:
        """The data of each load."""
        return tuple(self._observe(load) for load in self.fields.loads)

    def stiffness(self, parameters: Float[np.ndarray, " p"]) -> Float[np.ndarray, "grains m m"]:
        """Return the stiffness of each grain in the axes of the window, in units of `force_scale`."""
        return np.asarray(self._stiffness(parameters))

    def assembled(self, parameters: Float[np.ndarray, " p"]) -> scipy.sparse.csr_array:
        """Return the matrix from displacements to nodal forces."""
        return self.mesh.assemble(self.stiffness(parameters)[self.fields.grain_map.ravel()])

    def constraint(self, observed: Observed, matrix: scipy.sparse.csr_array) -> scipy.sparse.csr_array:
        """Return A for the assembled stiffness of the window."""
        equations = observed.balance @ matrix
        rows, forces = observed.equations, observed.forces
        beside = scipy.sparse.eye_array(rows, forces, k=forces - rows)
        return scipy.sparse.csr_array(scipy.sparse.hstack([equations, -beside]))

    def sensitivity(
        self, observed: Observed, state: Float[np.ndarray, " z"], slopes: Float[np.ndarray, "grains m m p"]
    ) -> Float[np.ndarray, "equations p"]:
        """Return the derivative of A z in the free numbers, z held."""
        moved = state[: self.mesh.unknowns][self.mesh.cell_unknowns]
        pairs = np.einsum("ijkl,nl->nkij", cell_integrals(self.mesh.dimension), moved)
        grains = self.fields.grain_map.ravel()
        local = np.empty((*moved.shape, slopes.shape[-1]))
        for grain in range(len(slopes)):
            own = grains == grain
            local[own] = np.tensordot(pairs[own], slopes[grain], 2)
        return np.asarray(observed.balance @ (self._scatter @ local.reshape(-1, slopes.shape[-1])))

    def slopes(self, parameters: Float[np.ndarray, " p"]) -> Float[np.ndarray, "grains m m p"]:
        """Return the derivative of the stiffness of each grain."""
        return np.asarray(self._slopes(parameters))

    def profile(self, parameters: Float[np.ndarray, " p"]) -> Profile:
        """Return objective, gradient and curvature with the displacements at their best (variable projection)."""
        matrix, slopes = self.assembled(parameters), self.slopes(parameters)
        precision = self.model.prior_precision
        prior = Profile(0.5 * float(precision @ parameters**2), precision * parameters, np.diag(precision), (), ())
        factors: dict[bytes, SuperLU] = {}
        every = [prior, *(self._share(observed, matrix, slopes, factors) for observed in self.observed)]
        return Profile(
            sum(one.objective for one in every),
            np.sum([one.gradient for one in every], axis=0),
            np.sum([one.curvature for one in every], axis=0),
            tuple(state for one in every for state in one.states),
            tuple(response for one in every for response in one.responses),
        )

    def _share(
        self,
        observed: Observed,
        matrix: scipy.sparse.csr_array,
        slopes: Float[np.ndarray, "grains m m p"],
        factors: dict[bytes, SuperLU],
    ) -> Profile:
        """Return what one load adds."""
        system = self._system(observed, matrix, factors)
        state, multipliers = _best(observed, system)
        change = self.sensitivity(observed, state, slopes)
        inner = observed.equations - observed.forces
        none = np.zeros((self.mesh.unknowns, change.shape[1]))
        pull = system.solve(none, -change[:inner], -change[inner:])[1]
        curvature = change.T @ pull
        objective = 0.5 * float(observed.weights @ (state - observed.values) ** 2)
        return Profile(
            objective, change.T @ multipliers, 0.5 * (curvature + curvature.T), (state,), (observed.balance.T @ pull,)
        )

    def _system(self, observed: Observed, matrix: scipy.sparse.csr_array, factors: dict[bytes, SuperLU]) -> SaddlePoint:
        """Return the equations of one load; loads that miss the same points share the factors."""
        nodal, inner = self.mesh.unknowns, observed.equations - observed.forces
        key = observed.weights[:nodal].tobytes()
        if key not in factors:
            factors[key] = factorised(
                observed.weights[:nodal], scipy.sparse.csr_array(observed.balance[:inner] @ matrix)
            )
        # The matrix is symmetric: what sums its rows to a force is what a force of one does to its columns.
        pulls = matrix @ observed.balance[inner:].toarray().T
        return saddle_point(factors[key], pulls, 1.0 / observed.weights[nodal:])

    @cached_property
    def _stiffness(self):
        return jax.jit(lambda parameters: self.model.grain_stiffness(parameters, self.mesh.dimension))

    @cached_property
    def _slopes(self):
        return jax.jit(jax.jacfwd(lambda parameters: self.model.grain_stiffness(parameters, self.mesh.dimension)))

    @cached_property
    def _scatter(self) -> scipy.sparse.csr_array:
        rows = self.mesh.cell_unknowns.ravel()
        entries = (np.ones(rows.size), (rows, np.arange(rows.size)))
        return scipy.sparse.coo_array(entries, shape=(self.mesh.unknowns, rows.size)).tocsr()

    def _observe(self, load: Load) -> Observed:
        unit = self.noise_sd / self.fields.spacing
        displacement = load.displacement / self.fields.spacing
        seen, affine = np.isfinite(displacement), affine_part(displacement)[0]
        fluctuation = max(float(np.nanstd(displacement - affine)), unit)
        values = np.moveaxis(np.where(seen, displacement, affine), 0, -1).ravel() / unit
        weights = np.where(seen, 1.0, (unit / fluctuation) ** 2 / _UNSEEN)
        # With cells of edge h and displacements in h, forces are in stiffness times h in the plane, h^2 in space.
        force_unit = self.force_scale * self.fields.spacing ** (self.mesh.dimension - 1) * unit
        forces = np.array([force.value for force in load.forces]) / force_unit
        errors = np.array([force.sd for force in load.forces]) / force_unit
        return Observed(
            np.concatenate([values, forces]),
            np.concatenate([np.moveaxis(weights, 0, -1).ravel(), errors**-2.0]),
            self._balance(load.forces),
            len(load.forces),
        )

    def _balance(self, forces: tuple[EdgeForce, ...]) -> scipy.sparse.csr_array:
        inner = scipy.sparse.eye_array(self.mesh.unknowns).tocsr()[np.flatnonzero(~self.mesh.on_boundary)]
        faces = [scipy.sparse.csr_array(self._face(force)[None]) for force in forces]
        return scipy.sparse.csr_array(scipy.sparse.vstack([inner, *faces]))

    def _face(self, force: EdgeForce) -> Float[np.ndarray, " unknowns"]:
        """Return what sums nodal forces to the force on a face.

        The nodes on the rim of a face also carry what acts on the faces beside it over half a cell: as much as half of
        what those carry on the next row of nodes, which is taken off.
        """
        weights = np.zeros((*self.mesh.nodes, self.mesh.dimension))
        for row, weight in ((0, 1.0), (1, -0.5)):
            place: list[slice | int] = [slice(None)] * self.mesh.dimension
            place[force.axis] = -1 - row if force.far else row
            weights[(*place, force.component)] = weight
        return weights.ravel()


def _best(observed: Observed, system: SaddlePoint) -> tuple[Float[np.ndarray, " z"], Float[np.ndarray, " equations"]]:
    """Return the state in equilibrium nearest to the data, and the multipliers of its equations."""
    nodal = len(observed.values) - observed.forces
    pulled = (observed.weights * observed.values)[:nodal, None]
    still = np.zeros((observed.equations - observed.forces, 1))
    moved, multipliers = system.solve(pulled, still, observed.values[nodal:, None])
    forces = observed.values[nodal:] + multipliers[len(still) :, 0] / observed.weights[nodal:]
    return np.concatenate([moved[:, 0], forces]), multipliers[:, 0]
