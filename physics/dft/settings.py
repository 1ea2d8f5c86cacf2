"""What fixes a density functional calculation apart from the structure: protocols and functionals.

A protocol is a named set of numerical settings; the functional is chosen apart from it. Energies may be compared only
between equal settings, so a plan resolves them once, for all elements that take part, and passes the record on.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from physics.dft.errors import MissingLibxcError, SettingsError

SPINS = ("auto", "off", "on")

# By GPAW's names. The short name of r2SCAN fails, and PBEsol has no PAW data.
FUNCTIONALS = {"LDA": "LDA", "PBE": "PBE", "r2SCAN": "MGGA_X_R2SCAN+MGGA_C_R2SCAN"}
BUILT_IN = ("LDA", "PBE")  # GPAW computes them without libxc
WITH_STRESS = ("LDA", "PBE")  # r2SCAN has one in GPAW, not validated

# Hard PAW data: 2p shells without core states to be orthogonal to, Na's 2p among the valence, Cu's 3d. Measured: NaCl
# has a bulk modulus of 28.8 GPa at 300 eV and 23.4 to 23.9 from 400 eV on; Cu a pressure derivative of 9.2 at 400 eV
# and 5.0 to 5.1 from 500 eV on; Ni at 300 eV 201 or 238 GPa from starts 1 % apart, 209 from 400 eV on; oxides need
# 600 eV.
LEAST_CUTOFFS_EV = {
    "C": 500.0, "N": 600.0, "O": 600.0, "F": 600.0, "Na": 400.0, "Fe": 450.0, "Co": 450.0, "Ni": 450.0, "Cu": 500.0,
}  # fmt: skip


@dataclass(frozen=True)
class DFTSettings:
    """Numerical settings; energies may be compared only between equal settings.

    Attributes:
        name: for people.
        functional: exchange and correlation, a key of `FUNCTIONALS`.
        cutoff_ev: plane-wave cutoff.
        k_length_a: least number of k-points along an axis over its reciprocal length (without 2 pi), angstrom.
        smearing_ev: Fermi-Dirac width, energies are extrapolated to zero width; 0 fixes the occupations.
        density_tolerance: change of the density at convergence, electrons per valence electron.
        energy_tolerance_ev: change of the energy at convergence, eV per valence electron.
        eigenstate_tolerance_ev2: residual at convergence, eV^2 per valence electron.
        max_iterations: of the self-consistency cycle.
        spin: ``auto`` polarises where an element carries a moment (`physics.prototypes.MAGNETIC_MOMENTS`) or the
            job states moments, ``on`` always, ``off`` never.
    """

    name: str
    functional: str
    cutoff_ev: float
    k_length_a: float
    smearing_ev: float
    density_tolerance: float
    energy_tolerance_ev: float
    eigenstate_tolerance_ev2: float
    max_iterations: int
    spin: str = "auto"

    def __post_init__(self):
        if self.functional not in FUNCTIONALS:
            raise SettingsError(f"functional={self.functional!r}: use one of {sorted(FUNCTIONALS)}")
        if self.spin not in SPINS:
            raise SettingsError(f"spin={self.spin!r}: use one of {list(SPINS)}")
        if not (self.cutoff_ev > 0 and self.k_length_a > 0 and self.smearing_ev >= 0):
            raise SettingsError(
                f"cutoff_ev={self.cutoff_ev}, k_length_a={self.k_length_a}, smearing_ev={self.smearing_ev}: use "
                "positive numbers; only the smearing may be 0, which fixes the occupations"
            )

    def record(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return asdict(self)


FAST = DFTSettings("fast", "PBE", 250.0, 14.0, 0.2, 1e-3, 1e-3, 1e-5, 80)
# Against 400 eV and a mesh of 36 the formation energies of ScIr, HfRh, YRh and ScPd (B2) differ by 0.014 eV/atom on
# average and 0.029 at most; a mesh of 18 doubles both for a third less time.
MODERATE = DFTSettings("moderate", "PBE", 300.0, 25.0, 0.1, 1e-4, 5e-4, 1e-6, 120)
PRECISE = DFTSettings("precise", "PBE", 500.0, 36.0, 0.1, 1e-5, 5e-5, 1e-8, 200)
SETTINGS = {settings.name: settings for settings in (FAST, MODERATE, PRECISE)}


def resolve(protocol: str, functional: str = "PBE", elements: Iterable[str] = ()) -> DFTSettings:
    """Return the settings of a protocol for a functional and the elements that take part.

    Args:
        protocol: key of `SETTINGS`.
        functional: key of `FUNCTIONALS`.
        elements: of everything whose energies are to be compared; hard ones raise the cutoff to `LEAST_CUTOFFS_EV`.

    Raises:
        SettingsError: the protocol or the functional is unknown.
    """
    if protocol not in SETTINGS:
        raise SettingsError(f"{protocol=}: use one of {sorted(SETTINGS)}")
    settings = SETTINGS[protocol]
    cutoff = max([settings.cutoff_ev, *(LEAST_CUTOFFS_EV.get(symbol, 0.0) for symbol in elements)])
    return replace(settings, functional=functional, cutoff_ev=cutoff)


def settings_of(spec: Mapping[str, Any], elements: Iterable[str]) -> DFTSettings:
    """Return the settings of a job's spec.

    Args:
        spec: ``settings`` is a record, taken as it is, or a protocol's name, resolved with ``functional``.
        elements: of the job's structure.

    Raises:
        SettingsError: a value is unknown.
    """
    asked = spec["settings"]
    if isinstance(asked, str):
        return resolve(asked, spec.get("functional", "PBE"), elements)
    try:
        return DFTSettings(**asked)
    except TypeError as error:
        known = sorted(DFTSettings.__dataclass_fields__)
        raise SettingsError(f"settings={asked!r}: give these and no others: {known} (spin may be absent)") from error


def require_functional(functional: str) -> None:
    """Refuse a functional that the installed GPAW cannot compute.

    Raises:
        SettingsError: it is unknown.
        MissingLibxcError: it needs libxc and GPAW was built without.
    """
    if functional not in FUNCTIONALS:
        raise SettingsError(f"{functional=}: use one of {sorted(FUNCTIONALS)}")
    if functional in BUILT_IN:
        return
    from gpaw.xc.libxc import LibXC

    try:
        LibXC(FUNCTIONALS[functional])
    except NameError as error:  # what GPAW raises where it was built without
        raise MissingLibxcError(functional) from error
