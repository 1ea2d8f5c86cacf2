"""Hardness of a concentrated solid solution, a physics model that may stand as a hidden truth.

s = sum_i x_i s_i + (sum_i x_i B_i^(3/2))^(2/3),  B_i = 3 Z mu e_i^(4/3),  e_i^2 = h_i^2 + a^2 d_i^2
(Labusch 1970, 10.1002/pssb.19700410221; for concentrated alloys Toda-Caraballo and Rivera-Diaz-del-Castillo 2015,
10.1016/j.actamat.2014.11.014), with h_i and d_i the misfit of modulus and size of an element against the alloy's mean.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

# Z is fitted there per system; a is 16 for edge dislocations.
Z, SIZE_WEIGHT = 4e-3, 16.0
# Vickers hardness in HV over yield stress in MPa (Tabor: H is about three times the stress, and 1 HV is 9.807 MPa).
HV_PER_MPA = 3.0 / 9.807


class Elements(eqx.Module):
    """Properties of the elements of an alloy system, in one order.

    Attributes:
        hardness_hv: of the pure element.
        shear_gpa: shear modulus.
        radius_angstrom: of the atom.
    """

    hardness_hv: Float[Array, " e"]
    shear_gpa: Float[Array, " e"]
    radius_angstrom: Float[Array, " e"]


def hardness_hv(fractions: Float[Array, "n e"], elements: Elements) -> Float[Array, " n"]:
    """Return the hardness of alloys from their atomic fractions, HV; differentiable in the fractions."""
    modulus, size = fractions @ elements.shear_gpa, fractions @ elements.radius_angstrom
    misfit = 2.0 * (elements.shear_gpa - modulus[:, None]) / (elements.shear_gpa + modulus[:, None])
    misfit = misfit / (1.0 + 0.5 * jnp.abs(misfit))
    bigger = 2.0 * (elements.radius_angstrom - size[:, None]) / (elements.radius_angstrom + size[:, None])
    # B^(3/2) = (3 Z mu)^(3/2) e^2: no root of a misfit that may be zero.
    strength = (3.0 * Z * 1e3 * modulus[:, None]) ** 1.5 * (misfit**2 + (SIZE_WEIGHT * bigger) ** 2)
    shared = jnp.sum(fractions * strength, axis=1)
    added = jnp.where(shared > 0.0, jnp.where(shared > 0.0, shared, 1.0) ** (2.0 / 3.0), 0.0)
    return fractions @ elements.hardness_hv + HV_PER_MPA * added
