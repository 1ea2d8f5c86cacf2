"""Make the table of stable and unstable binary compounds: energies above the hull, all within CHGNet.

    python -m benchmarks.constraints.make_stability --output benchmarks/data/stability.csv

Pairs of elements, in a random order, get 1:1, 1:2, 2:1, 1:3, 3:1, 2:3 and 3:2 compounds in a few common structure
types, each at its best volume by CHGNet 0.3.0; cell shapes and internal coordinates stay those of the prototype. Of
each formula the lowest energy counts, above the hull of its pair, which holds all of them and the elements' relaxed
ground states. So the table is complete within its structure types and one model, and says nothing of others.
What has been answered is kept in the folder `--work`; the same command goes on where an earlier one ended.
"""

import argparse
import csv
from collections.abc import Iterator
from functools import cache
from itertools import combinations, permutations
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from physics.mlip.potential import Potential, Prediction, RelaxationSettings
from physics.prototypes import build, orderings
from physics.screening.screen import ON_CPU, Screened, Task, screen
from physics.structures import Named

if TYPE_CHECKING:
    from ase import Atoms

METALS = (
    "Li Na K Mg Ca Sr Al Ga In Sn Sb Bi Y Ti Zr Hf V Nb Ta Mo W Mn Fe Co Ni Cu Zn Pd Ag Pt Si Ge B".split()
)  # Si, Ge and B too: they form compounds with everything else
NONMETALS = "C,N,O,F,P,S,Cl,Se,Br,Te,I".split(",")
# 1:1 by name; the others by Strukturbericht symbol, the element with fewer atoms first.
EQUAL = ("B1", "B2", "B3", "B81", "B11", "B27", "B33", "L10")
UNEQUAL = (
    "C1", "C4", "C6", "C7", "C11_b", "C15", "C23", "C32", "C38",
    "L1_2", "D0_3", "D0_5", "D0_19", "D0_22",
    "D5_1", "C33", "D5_13",
)  # fmt: skip
# Closest pair over the sum of covalent radii at which a volume is looked for, and the lengths tried around it.
_CLOSEST = 1.0
_LENGTHS = (0.93, 1.0, 1.07, 1.14)
_SETTINGS = RelaxationSettings(fmax_ev_per_a=0.05, max_steps=400)
# Pairs whose volumes are looked for together.
_TOGETHER = 8


def main() -> None:
    """Answer, build the hulls and write the table."""
    parser = argparse.ArgumentParser(description="energies above the hull of binary compounds, by CHGNet")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("runs/stability"), help="answers so far")
    parser.add_argument("--pairs", type=int, help="how many; default: all")
    parser.add_argument("--smoke", action="store_true", help="three pairs, for checking that it runs")
    options = parser.parse_args()
    chosen = [("Na", "Cl"), ("Al", "Ni"), ("Ti", "O")] if options.smoke else pairs()[: options.pairs]
    options.work.mkdir(parents=True, exist_ok=True)
    table = options.work / ("smoke.csv" if options.smoke else "answers.csv")
    done = answer(chosen, table)
    print(f"{done.answered} answered, {len(done.failures)} refused, {done.hull}")
    rows = lowest(table)
    with options.output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("formula", "energy_above_hull_ev_per_atom"))
        writer.writerows((formula, f"{energy:.4f}") for formula, energy in rows.items())
    print(f"{len(rows)} formulas: {options.output}")


def pairs() -> list[tuple[str, str]]:
    """Return the pairs of elements, in a random order; two nonmetals form molecules, which no structure here is."""
    every = [*combinations(METALS, 2), *((metal, other) for metal in METALS for other in NONMETALS)]
    return [every[i] for i in np.random.default_rng(0).permutation(len(every))]


def answer(chosen: list[tuple[str, str]], table: Path) -> Screened:
    """Answer all structures of some pairs that a table does not hold yet, and fill in energies above the hull."""
    from physics.mlip.chgnet_potential import load_chgnet

    potential = load_chgnet()
    groups = (chosen[start : start + _TOGETHER] for start in range(0, len(chosen), _TOGETHER))
    every = ([named for pair in group for named in structures(*pair)] for group in groups)
    task = Task(
        structures=(named for group in every for named in at_best_volume(group, potential)),
        relaxes=False,
        settings=_SETTINGS,
        references=(),
        table=table,
        structures_out=None,
    )
    watch = lambda done: print(f"{done} dealt with", end="\r", flush=True)  # noqa: E731
    return screen(task, potential, ON_CPU, watch)


def at_best_volume(group: list[Named], potential: Potential) -> Iterator[Named]:
    """Yield crystals with the length at which a cubic through their energies at four lengths is lowest."""
    tried = [_scaled(named.atoms, length) for named in group for length in _LENGTHS]
    answers = potential.predict(tried)
    energies = [one.energy_ev_per_atom if isinstance(one, Prediction) else np.inf for one in answers]
    for named, row in zip(group, np.reshape(energies, (len(group), -1)), strict=True):
        yield Named(named.name, _scaled(named.atoms, _lowest(row)))


def _lowest(energies: np.ndarray) -> float:
    """Return the length where energy is lowest; a refused length (overlapping atoms) is as good as high."""
    usable = np.isfinite(energies)
    if usable.sum() < len(_LENGTHS):
        return _LENGTHS[int(np.argmin(energies))]
    lengths = np.linspace(_LENGTHS[0], _LENGTHS[-1], 200)
    return float(lengths[np.argmin(np.polyval(np.polyfit(_LENGTHS, energies, 3), lengths))])


def _scaled(atoms: "Atoms", length: float) -> "Atoms":
    scaled = atoms.copy()
    scaled.set_cell(atoms.cell.array * length, scale_atoms=True)
    return scaled


def structures(first: str, second: str) -> Iterator[Named]:
    """Yield the structures of a pair."""
    for name in EQUAL:
        for pair in orderings(name, first, second):
            yield Named(f"{name} {'-'.join(pair)}", _equal(name).spaced(*pair))
    for name in UNEQUAL:
        for pair in permutations((first, second)):
            yield Named(f"{name} {'-'.join(pair)}", _unequal(name).spaced(*pair))


def lowest(table: Path) -> dict[str, float]:
    """Return the least energy above the hull of each compound of a finished table, eV/atom."""
    found: dict[str, float] = {}
    with table.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["role"] == "screened" and row["energy_above_hull_ev_per_atom"]:
                formula = _reduced(row["formula"])
                energy = float(row["energy_above_hull_ev_per_atom"])
                found[formula] = min(energy, found.get(formula, np.inf))
    return dict(sorted(found.items()))


def _reduced(formula: str) -> str:
    from ase.formula import Formula

    return str(Formula(formula).reduce()[0].convert("metal"))


class _Prototype(NamedTuple):
    """A primitive cell with Na on the first and Cl on the second site, and the closest pairs of each kind.

    Attributes:
        atoms: cell.
        closest_a: of Na-Na, Na-Cl and Cl-Cl, angstrom.
    """

    atoms: "Atoms"
    closest_a: tuple[float, float, float]

    def spaced(self, first: str, second: str) -> "Atoms":
        """Return the cell with two elements, scaled to a common least distance over the sum of covalent radii."""
        from ase.data import atomic_numbers, covalent_radii

        sizes = [covalent_radii[atomic_numbers[symbol]] for symbol in (first, second)]
        sums = (2.0 * sizes[0], sizes[0] + sizes[1], 2.0 * sizes[1])
        closest = min(distance / size for distance, size in zip(self.closest_a, sums, strict=True))
        atoms = self.atoms.copy()
        atoms.symbols = [first if symbol == "Na" else second for symbol in atoms.symbols]
        atoms.set_cell(atoms.cell * (_CLOSEST / closest), scale_atoms=True)
        return atoms


@cache
def _equal(name: str) -> _Prototype:
    return _measured(build(name, "Na", "Cl", volume_per_atom_a3=20.0))


@cache
def _unequal(name: str) -> _Prototype:
    """Return pymatgen's cell of a structure type, the first site being that with fewer atoms."""
    from ase import Atoms
    from pymatgen.analysis.prototypes import AFLOW_PROTOTYPE_LIBRARY

    found = [entry["snl"].structure for entry in AFLOW_PROTOTYPE_LIBRARY if entry["tags"]["strukturbericht"] == name]
    if len(found) != 1:
        raise ValueError(f"{name=} names {len(found)} of pymatgen's prototypes, not one")
    kinds, counts = np.unique([site.specie.symbol for site in found[0]], return_counts=True)
    rare = kinds[np.argmin(counts)]
    symbols = ["Na" if site.specie.symbol == rare else "Cl" for site in found[0]]
    return _measured(Atoms(symbols, scaled_positions=found[0].frac_coords, cell=found[0].lattice.matrix, pbc=True))


def _measured(atoms: "Atoms") -> _Prototype:
    from ase.neighborlist import neighbor_list

    first, second, distances = neighbor_list("ijd", atoms, 3.0 * (atoms.get_volume() / len(atoms)) ** (1 / 3))
    kinds = np.array([symbol == "Cl" for symbol in atoms.symbols], dtype=int)
    sums = kinds[first] + kinds[second]
    least = [float(np.min(distances[sums == kind], initial=np.inf)) for kind in range(3)]
    return _Prototype(atoms, (least[0], least[1], least[2]))


if __name__ == "__main__":
    main()
