"""Evolution equations of a phase field in the form that the solver steps: u_t = L u + w N(u, t), L and w diagonal.

All rates multiply energies by the mobility M: a = M kappa, b = M W, c = M dG. A movie of the field tells these and
nothing else, because (M, kappa, W, dG) -> (s M, kappa/s, W/s, dG/s) leaves them as they are.
"""

from abc import abstractmethod

import equinox as eqx
from jaxtyping import Array, Float

from physics.phase_field.energy import interpolation_slope, well_slope


class AbstractEquation(eqx.Module):
    """What a solver has to know of an equation."""

    @abstractmethod
    def linear(self, eigenvalues: Float[Array, "*modes"]) -> Float[Array, "*modes"]:
        """Return the rate L of each mode, none positive, from the eigenvalues of the Laplacian."""

    @abstractmethod
    def weight(self, eigenvalues: Float[Array, "*modes"]) -> Float[Array, "*#modes"]:
        """Return the factor w of each mode of `local`."""

    @abstractmethod
    def local(self, field: Float[Array, "*pixels"], time: Float[Array, ""]) -> Float[Array, "*pixels"]:
        """Return N at each point."""


class AllenCahn(AbstractEquation):
    """A phase that grows or shrinks: phi_t = a lap(phi) - b g'(phi) + c h'(phi).

    From Allen and Cahn (1979, 10.1016/0001-6160(79)90196-2).

    Attributes:
        gradient: a = M kappa, length^2 per time.
        well: b = M W, per time.
        drive: c = M dG, per time; positive where phi = 1 grows.
    """

    gradient: Float[Array, ""]
    well: Float[Array, ""]
    drive: Float[Array, ""]

    def linear(self, eigenvalues: Float[Array, "*modes"]) -> Float[Array, "*modes"]:
        """Return the diffusion a lap."""
        return self.gradient * eigenvalues

    def weight(self, eigenvalues: Float[Array, "*modes"]) -> Float[Array, "*#modes"]:
        """Return 1: the reaction is local."""
        return eigenvalues**0

    def local(self, field: Float[Array, "*pixels"], time: Float[Array, ""]) -> Float[Array, "*pixels"]:
        """Return the reaction."""
        return self.drive * interpolation_slope(field) - self.well * well_slope(field)


class CahnHilliard(AbstractEquation):
    """A composition that separates: c_t = lap(b g'(c) - a lap(c)).

    From Cahn (1961, 10.1016/0001-6160(61)90182-1).

    Attributes:
        gradient: a = M kappa, length^4 per time.
        well: b = M W, length^2 per time.
    """

    gradient: Float[Array, ""]
    well: Float[Array, ""]

    def linear(self, eigenvalues: Float[Array, "*modes"]) -> Float[Array, "*modes"]:
        """Return the stiff part -a lap^2."""
        return -self.gradient * eigenvalues**2

    def weight(self, eigenvalues: Float[Array, "*modes"]) -> Float[Array, "*#modes"]:
        """Return the Laplacian, which conserves the mean."""
        return eigenvalues

    def local(self, field: Float[Array, "*pixels"], time: Float[Array, ""]) -> Float[Array, "*pixels"]:
        """Return the chemical potential of the well."""
        return self.well * well_slope(field)
