"""Stiffness of the grains of a polycrystal from free numbers: constants of each phase and orientations."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.spatial.transform import Rotation

from physics.elasticity.symmetry import SymmetryClass, symmetry_class
from physics.elasticity.tensor import planar_rotation, plane_strain, plane_stress, rotated
from pinn.errors import DataRefusedError


@dataclass(frozen=True)
class GrainModel:
    """What is known of the grains.

    Attributes:
        symmetry: "isotropic", "cubic", "hexagonal" or "triclinic".
        rotations: from crystal to sample axes, shape (grains, d, d); three-dimensional crystals may be seen in a plane.
        phases: number of the phase of each grain, shape (grains,); grains of one phase share their constants.
        orientation_sd: of the rotation about each axis, in radians; zero where orientations are known.
        plane: "strain" or "stress", of three-dimensional crystals in a plane.
    """

    symmetry: str
    rotations: np.ndarray
    phases: np.ndarray
    orientation_sd: float = 0.0
    plane: str = "strain"

    def __post_init__(self) -> None:
        """Refuse what describes no grains."""
        grains, dimension = self.rotations.shape[0], self.rotations.shape[-1]
        if self.rotations.shape != (grains, dimension, dimension) or dimension not in (2, 3):
            raise DataRefusedError(f"{self.rotations.shape=}: (grains, 2, 2) or (grains, 3, 3)")
        product = self.rotations @ np.swapaxes(self.rotations, 1, 2)
        if not np.allclose(product, np.eye(dimension), atol=1e-6) or np.any(np.linalg.det(self.rotations) < 0):
            raise DataRefusedError("rotations: at least one matrix is none; Euler angles are in radians, Bunge's order")
        present = np.unique(self.phases)
        if self.phases.shape != (grains,) or not np.array_equal(present, np.arange(len(present))):
            raise DataRefusedError(f"{self.phases.shape=}: one number from 0 without gaps for each of {grains} grains")
        if not self.orientation_sd >= 0 or self.plane not in ("strain", "stress"):
            raise DataRefusedError(f"{self.orientation_sd=}, {self.plane=}: not below zero; 'strain' or 'stress'")

    @property
    def crystal(self) -> SymmetryClass:
        """The class of all the phases."""
        return symmetry_class(self.symmetry, self.rotations.shape[-1])

    @property
    def phase_count(self) -> int:
        """How many phases there are."""
        return int(self.phases.max()) + 1

    @property
    def constants(self) -> int:
        """How many of the free numbers make the constants; the others are rotation vectors."""
        return self.phase_count * self.crystal.size

    @property
    def logarithmic(self) -> np.ndarray:
        """Which of the free numbers a change of scale is added to, shape (size,)."""
        logarithms = np.tile(self.crystal.logarithmic, self.phase_count)
        return np.concatenate([logarithms, np.zeros(self._angles, dtype=bool)])

    @property
    def prior_precision(self) -> Float[np.ndarray, " p"]:
        """One over the variance of each free number before the data, about zero: orientations alone have one."""
        angles = np.full(self._angles, self.orientation_sd**-2.0 if self.orientation_sd else 0.0)
        return np.concatenate([np.zeros(self.constants), angles])

    def start(self) -> Float[np.ndarray, " p"]:
        """Return free numbers of equal isotropic grains, bulk modulus of the order of one, unturned."""
        dimension = self.rotations.shape[-1]
        isotropic = np.eye(len(self.crystal.blocks[0][0])) * 0.8
        isotropic[:dimension, :dimension] += 0.5
        one = np.asarray(jax.jit(self.crystal.parameters)(jnp.asarray(isotropic)))
        return np.concatenate([np.tile(one, self.phase_count), np.zeros(self._angles)])

    def phase_stiffness(self, parameters: Float[Array, " p"]) -> Float[Array, "phases m m"]:
        """Return the Mandel stiffness of each phase in crystal axes."""
        numbers = parameters[: self.constants].reshape(self.phase_count, -1)
        return jax.vmap(self.crystal.stiffness)(numbers)

    def grain_stiffness(self, parameters: Float[Array, " p"], dimension: int) -> Float[Array, "grains k k"]:
        """Return the Mandel stiffness of each grain in the axes of a sample of two or three dimensions."""
        stiffness = self.phase_stiffness(parameters)[self.phases]
        turned = rotated(stiffness, self._rotations(parameters[self.constants :]))
        if dimension == self.rotations.shape[-1]:
            return turned
        return plane_stress(turned) if self.plane == "stress" else plane_strain(turned)

    def turned(self, parameters: Float[np.ndarray, " p"]) -> Float[np.ndarray, "grains d d"]:
        """Return the rotations of the grains, those fitted included."""
        return np.asarray(self._rotations(jnp.asarray(parameters[self.constants :])))

    @property
    def _angles(self) -> int:
        if not self.orientation_sd:
            return 0
        return len(self.rotations) * (1 if self.rotations.shape[-1] == 2 else 3)

    def _rotations(self, angles: Float[Array, " a"]) -> Float[Array, "grains d d"]:
        known = jnp.asarray(self.rotations)
        if angles.size == 0:
            return known
        if known.shape[-1] == 2:
            return planar_rotation(angles) @ known
        return jax.vmap(_turn)(angles.reshape(-1, 3)) @ known


def no_rotations(grains: int, dimension: int) -> Float[np.ndarray, "grains d d"]:
    """Return the rotations of grains whose crystal axes are those of the sample."""
    return np.broadcast_to(np.eye(dimension), (grains, dimension, dimension))


def from_bunge(angles: Float[np.ndarray, "grains 3"]) -> Float[np.ndarray, "grains 3 3"]:
    """Return rotations from crystal to sample axes of Bunge's Euler angles in radians, as EBSD lists them."""
    return Rotation.from_euler("ZXZ", angles).as_matrix()


def _turn(vector: Float[Array, " 3"]) -> Float[Array, "3 3"]:
    """Return the rotation about a vector by its length, smooth at zero."""
    x, y, z = vector
    zero = jnp.zeros_like(x)
    return jax.scipy.linalg.expm(jnp.array([[zero, -z, y], [z, zero, -x], [-y, x, zero]]))
