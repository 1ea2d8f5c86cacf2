"""Solid-solution strengthening of random fcc alloys, and the hardness of Ni-Co-Cr that follows from it.

Edge dislocations are pinned by the misfit volumes of the elements in the average alloy (Varvenne, Luque and Curtin
2016, 10.1016/j.actamat.2016.07.040, eqs. 15 to 18 in isotropic elasticity):

    V = sum c_n V_n,   b = (4 V)^(1/3) / sqrt(2),   delta = sum c_n (V_n - V)^2 / b^6
    tau_0  = .051 alpha^(-1/3) mu     ((1 + nu) / (1 - nu))^(4/3) f_1 delta^(2/3)
    Delta E = .274 alpha^(1/3) mu b^3 ((1 + nu) / (1 - nu))^(2/3) f_2 delta^(1/3)
    tau(T) = tau_0 (1 - y^(2/3)) above tau_0 / 2, tau_0 exp(-y / .51) below it,   y = kT / Delta E ln(rate_0 / rate)

with alpha = .123 (line tension), f_1 = .35 and f_2 = 5.70 (dissociated core), rate_0 = 1e4 / s, and the Taylor factor
3.06 for a polycrystal. Moduli are averages of the elements' own; Cr and Co are no fcc metals, so beyond about 40 % Cr
the surface is that of an alloy which would not stay one phase. Of the friction stress measured on CoCrNi (218 MPa,
Yoshida 2017, 10.1016/j.scriptamat.2017.02.042) these volumes and moduli give three fifths: it is a landscape of the
right shape and size, not a prediction to the last unit.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

ROOM_K = 293.0
# Of a tensile test.
STRAIN_RATE_PER_S = 1e-3


class Elements(eqx.Module):
    """What an element brings to a random alloy; one entry an element.

    Attributes:
        symbols: the elements.
        atomic_volume: in the fcc alloys, cubic angstrom.
        shear_modulus: of the polycrystal at room temperature, GPa.
        poisson_ratio: likewise.
    """

    symbols: tuple[str, ...] = eqx.field(static=True)
    atomic_volume: Float[Array, " d"]
    shear_modulus: Float[Array, " d"]
    poisson_ratio: Float[Array, " d"]

    @staticmethod
    def of(symbols: tuple[str, ...]) -> "Elements":
        """Return what is known of some of Ni, Co, Cr and Fe."""
        unknown = sorted(set(symbols) - set(_KNOWN))
        if unknown:
            raise ValueError(f"no misfit volumes of {unknown=}; use elements among {sorted(_KNOWN)}")
        volume, shear, poisson = jnp.array([_KNOWN[symbol] for symbol in symbols]).T
        return Elements(tuple(symbols), volume, shear, poisson)


# Atomic volume in cubic angstrom (Varvenne 2016, table 2), shear modulus in GPa and Poisson's ratio of the pure
# elements (WebElements, as in pymatgen's periodic table).
_KNOWN = {
    "Ni": (10.94, 76.0, 0.31),
    "Co": (11.12, 75.0, 0.31),
    "Cr": (12.27, 115.0, 0.21),
    "Fe": (12.09, 82.0, 0.29),
}


def yield_strength(
    fractions: Float[Array, " d"],
    elements: Elements,
    temperature_k: float = ROOM_K,
    strain_rate_per_s: float = STRAIN_RATE_PER_S,
) -> Float[Array, ""]:
    """Return the tensile yield strength of the random alloy in MPa, without grain boundaries; zero of an element.

    Args:
        fractions: of the elements, summing to one.
        elements: what they bring.
        temperature_k: zero or above.
        strain_rate_per_s: of the test, below 1e4.
    """
    volume = fractions @ elements.atomic_volume
    burgers = (4.0 * volume) ** (1.0 / 3.0) / jnp.sqrt(2.0)
    misfit = fractions @ (elements.atomic_volume - volume) ** 2 / burgers**6
    # The roots of the misfit have no derivative at a pure element, where nothing pins.
    misfit = jnp.maximum(misfit, _NO_MISFIT)
    shear, poisson = fractions @ elements.shear_modulus, fractions @ elements.poisson_ratio
    contrast = (1.0 + poisson) / (1.0 - poisson)
    athermal = _STRESS * shear * contrast ** (4.0 / 3.0) * misfit ** (2.0 / 3.0)
    barrier = _ENERGY * shear * burgers**3 * contrast ** (2.0 / 3.0) * misfit ** (1.0 / 3.0) / _GPA_A3_PER_EV
    activated = _BOLTZMANN_EV_PER_K * temperature_k * jnp.log(_REFERENCE_RATE / strain_rate_per_s) / barrier
    return _TAYLOR * _MPA_PER_GPA * athermal * _thermal(activated)


def hardness(fractions: Float[Array, " d"], elements: Elements) -> Float[Array, ""]:
    """Return the Vickers hardness at room temperature of a recrystallised alloy with grains of 24 micrometres, HV.

    Equiatomic CoCrNi has its measured hardness; from there hardness follows the strength of the solution as it was
    measured to follow strength in that alloy (Tabor's rule has .31 HV/MPa).
    """
    equal = jnp.array([1.0 / 3.0 if symbol in ("Ni", "Co", "Cr") else 0.0 for symbol in elements.symbols])
    if not {"Ni", "Co", "Cr"} <= set(elements.symbols):
        raise ValueError(f"hardness is anchored to CoCrNi: {elements.symbols=} lack one of its elements; add it")
    gained = yield_strength(fractions, elements) - yield_strength(equal, elements)
    return MEASURED_HV + HV_PER_MPA * gained


# CoCrNi of 24 micrometres, and the slope of hardness with strength through all three grain sizes: 223, 326 and 468 HV
# at 346, 597 and 1100 MPa (10.1016/j.actamat.2018.12.015, in the Citrine MPEA table).
MEASURED_HV, HV_PER_MPA = 223.0, 0.318825

_LINE_TENSION, _CORE_STRESS, _CORE_ENERGY = 0.123, 0.35, 5.70
_STRESS = 0.051 * _LINE_TENSION ** (-1.0 / 3.0) * _CORE_STRESS
_ENERGY = 0.274 * _LINE_TENSION ** (1.0 / 3.0) * _CORE_ENERGY
_REFERENCE_RATE, _TAYLOR = 1e4, 3.06
_BOLTZMANN_EV_PER_K, _GPA_A3_PER_EV, _MPA_PER_GPA = 8.617333262e-5, 160.2176634, 1e3
_NO_MISFIT = 1e-12
# y at which half of the stress is left: there the two laws meet.
_HALF = 0.5**1.5


def _thermal(activated: Float[Array, ""]) -> Float[Array, ""]:
    """Return the share of the athermal stress that is left."""
    slow = jnp.exp(-activated / 0.51)
    # The root has no derivative at zero kelvin, whose branch it is.
    return jnp.where(activated < _HALF, 1.0 - jnp.clip(activated, 1e-12, _HALF) ** (2.0 / 3.0), slow)
