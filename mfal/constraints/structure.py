"""Whether a crystal structure can exist: its symmetry is as stated, its atoms have room, its density is sensible."""

from dataclasses import dataclass

import numpy as np

from mfal.constraints.crystal import Crystal
from mfal.constraints.symmetry import SymmetryStatement, disagreement, impossible, off_lattice
from mfal.constraints.verdict import Verdict
from mfal.space.formula import Formula

_GRAMS_PER_CM3 = 1.66053907  # of one dalton in a cubic angstrom


@dataclass(frozen=True)
class Limits:
    """What still counts as sensible.

    Attributes:
        closest: least distance as a share of the sum of two covalent radii (Cordero 2008, 10.1039/b801115j); the short
            bonds of uranyl and of dioxygen have 0.68 and 0.91.
        density_g_cm3: from solid hydrogen (0.09) and open frameworks to above osmium (22.6).
        tolerance_a: within which atoms count as symmetric.
    """

    closest: float = 0.6
    density_g_cm3: tuple[float, float] = (0.08, 25.0)
    tolerance_a: float = 0.01


SENSIBLE = Limits()


def structure_verdict(
    crystal: Crystal, statement: SymmetryStatement | None = None, limits: Limits = SENSIBLE
) -> Verdict:
    """Say whether a crystal passes, with every reason why not.

    Args:
        crystal: the structure.
        statement: what is said of its symmetry; a statement that no crystal satisfies is not compared any further.
        limits: bounds of distance, density and symmetry.
    """
    distances, doubts = _distance_reasons(crystal, limits)
    refusals = [*distances, *_density_reasons(crystal, limits)]
    if statement is not None:
        refusals += _symmetry_reasons(crystal, statement, limits.tolerance_a)
    return Verdict.of(refusals, doubts)


def density(crystal: Crystal) -> float:
    """Return the density in g/cm3."""
    counts = {symbol: float(list(crystal.symbols).count(symbol)) for symbol in crystal.symbols}
    return Formula(counts).mass / crystal.volume * _GRAMS_PER_CM3


def _symmetry_reasons(crystal: Crystal, statement: SymmetryStatement, tolerance_a: float) -> list[str]:
    reasons = impossible(statement)
    return reasons or off_lattice(statement, crystal, tolerance_a) + disagreement(statement, crystal, tolerance_a)


def _density_reasons(crystal: Crystal, limits: Limits) -> list[str]:
    found, (least, greatest) = density(crystal), limits.density_g_cm3
    return [] if least <= found <= greatest else [f"the density of {found:.3g} g/cm3 is outside {least} to {greatest}"]


def _distance_reasons(crystal: Crystal, limits: Limits) -> tuple[list[str], list[str]]:
    """Return what is too close, and for which elements that cannot be told."""
    from pymatgen.core.molecule_structure_comparator import CovalentRadius

    radii = np.array([CovalentRadius.radius.get(symbol, np.nan) for symbol in crystal.symbols])
    unknown = sorted({symbol for symbol, r in zip(crystal.symbols, radii, strict=True) if np.isnan(r)})
    doubts = [f"{symbol} has no tabulated covalent radius: its distances are not checked" for symbol in unknown]
    if len(unknown) == len(set(crystal.symbols)):
        return [], doubts
    reach = 2.0 * limits.closest * float(np.nanmax(radii))
    here, there, _, distances = crystal.to_pymatgen().get_neighbor_list(reach)
    share = distances / (radii[here] + radii[there])
    if not np.any(share < limits.closest):
        return [], doubts
    worst = int(np.nanargmin(share))
    pair = f"{crystal.symbols[here[worst]]} and {crystal.symbols[there[worst]]}"
    return [
        f"{pair} are {distances[worst]:.2f} angstrom apart, {share[worst]:.2f} of their covalent radii "
        f"and less than {limits.closest}"
    ], doubts
