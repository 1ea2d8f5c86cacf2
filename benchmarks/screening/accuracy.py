"""Lattice constants, bulk moduli and elastic constants of cubic solids, beside measured ones.

Release 0.2.0 jumps by 0.2 eV/atom where the last two neighbours of an atom pass 3 angstrom, as silver's do within the
scan; the releases after it do not.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr

from benchmarks.screening.experiment import SOLIDS, Solid, primitive
from physics.mlip.chgnet_potential import load_chgnet
from physics.mlip.potential import Potential, Refusal
from physics.thermodynamics.elastic import elastic_tensors
from physics.thermodynamics.equation_of_state import EquationOfState, equations_of_state

if TYPE_CHECKING:
    from ase import Atoms

RELEASES = ("0.3.0", "0.2.0", "r2scan")
SMOKE_SOLIDS = ("Al", "NaCl", "SrTiO3")


@dataclass(frozen=True)
class Computed:
    """What a model says of a solid.

    Attributes:
        lattice_a: lattice constant.
        bulk_gpa: bulk modulus.
        stiffness_gpa: C11, C12 and C44; None where they are not compared or refused.
    """

    lattice_a: float
    bulk_gpa: float
    stiffness_gpa: tuple[float, float, float] | None


def measure_accuracy(smoke: bool) -> dict[str, Any]:
    """Print a table for each model and return the mean errors."""
    figures: dict[str, Any] = {}
    for release in RELEASES[:1] if smoke else RELEASES:
        potential = load_chgnet(release)
        found = computed(potential, SMOKE_SOLIDS if smoke else SOLIDS)
        Console().print(accuracy_table(potential.label, found))
        figures |= accuracy_figures(f"chgnet_{release.replace('.', '_')}", found)
    return figures


def computed(potential: Potential, names: Iterable[str]) -> dict[str, Computed]:
    """Return the properties of solids; those without an equation of state are left out."""
    cells, states = {name: primitive(name) for name in names}, {}
    for _ in range(2):  # the second scan is centred on the minimum that the first one finds
        found = dict(zip(cells, equations_of_state(potential, list(cells.values())), strict=True))
        states = {name: state for name, state in found.items() if isinstance(state, EquationOfState)}
        cells = {name: _at_volume(cells[name], state.volume_a3_per_atom) for name, state in states.items()}
    stiff = _stiffness(potential, cells)
    return {
        name: Computed(_lattice_a(name, cells[name]), state.bulk_modulus_gpa, stiff.get(name))
        for name, state in states.items()
    }


def accuracy_figures(model: str, found: Mapping[str, Computed]) -> dict[str, Any]:
    """Return mean absolute errors in percent, and whether bulk moduli are in the right order."""
    pairs = [(SOLIDS[name], one) for name, one in found.items()]
    if not pairs:
        return {}
    bulk_errors = {name: _percent(one.bulk_gpa, SOLIDS[name].bulk_gpa) for name, one in found.items()}
    worst = max(bulk_errors, key=lambda name: abs(bulk_errors[name]))
    order: Any = spearmanr([(solid.bulk_gpa, one.bulk_gpa) for solid, one in pairs])
    stiffness = [
        _percent(mine, measured)
        for solid, one in pairs
        for mine, measured in zip(one.stiffness_gpa or (), solid.stiffness_gpa or (), strict=False)
    ]
    return {
        f"mape_lattice_pct_{model}": _mean([_percent(one.lattice_a, solid.lattice_a) for solid, one in pairs]),
        f"mape_bulk_pct_{model}": _mean(list(bulk_errors.values())),
        f"worst_bulk_pct_{model}": f"{worst} {bulk_errors[worst]:+.0f}",
        f"spearman_bulk_{model}": float(order.statistic),
        f"solids_{model}": len(pairs),
    } | ({f"mape_elastic_pct_{model}": _mean(stiffness)} if stiffness else {})


def accuracy_table(label: str, found: Mapping[str, Computed]) -> Table:
    """Return a row for each solid."""
    heads = ("a", "exp.", "%", "B", "exp.", "%", "C11 C12 C44", "exp.")
    table = Table("solid", *heads, title=f"{label}: lattice constant (Å), bulk modulus and stiffness (GPa)")
    for name, one in found.items():
        solid = SOLIDS[name]
        lattice = (f"{one.lattice_a:.3f}", f"{solid.lattice_a:.3f}", f"{_percent(one.lattice_a, solid.lattice_a):+.1f}")
        modulus = (f"{one.bulk_gpa:.0f}", f"{solid.bulk_gpa:.0f}", f"{_percent(one.bulk_gpa, solid.bulk_gpa):+.0f}")
        table.add_row(name, *lattice, *modulus, _triple(one), _triple(solid))
    return table


def _at_volume(atoms: "Atoms", volume_a3_per_atom: float) -> "Atoms":
    scaled = atoms.copy()
    factor = (volume_a3_per_atom * len(atoms) / atoms.get_volume()) ** (1 / 3)
    scaled.set_cell(atoms.cell.array * factor, scale_atoms=True)
    return scaled


def _lattice_a(name: str, atoms: "Atoms") -> float:
    start = primitive(name)
    return float(SOLIDS[name].lattice_a * (atoms.get_volume() / start.get_volume()) ** (1 / 3))


def _stiffness(potential: Potential, cells: "Mapping[str, Atoms]") -> dict[str, tuple[float, float, float]]:
    """Return C11, C12 and C44 of solids that have measured ones: in those, symmetry holds the atoms under strain."""
    if not all(map(find_spec, ("spglib", "pymatgen"))):  # of which elastic constants have their symmetry and averages
        return {}
    wanted = {name: atoms for name, atoms in cells.items() if SOLIDS[name].stiffness_gpa is not None}
    answers = dict(zip(wanted, elastic_tensors(potential, list(wanted.values()), relaxation=None), strict=True))
    tensors = {name: one.stiffness_gpa for name, one in answers.items() if not isinstance(one, Refusal)}
    return {name: (float(c[0, 0]), float(c[0, 1]), float(c[3, 3])) for name, c in tensors.items()}


def _percent(value: float, measured: float) -> float:
    return 100 * (value - measured) / measured


def _mean(errors: list[float]) -> float:
    return float(np.mean(np.abs(errors)))


def _triple(one: Computed | Solid) -> str:
    return "" if one.stiffness_gpa is None else " ".join(f"{value:.0f}" for value in one.stiffness_gpa)
