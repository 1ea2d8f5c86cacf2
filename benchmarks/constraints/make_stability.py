"""Make the table of stable and unstable binary compounds: energies above the hull, all within CHGNet.

    python -m benchmarks.constraints.make_stability --output benchmarks/data/stability.csv

Every pair of elements gets 1:1, 1:2, 2:1, 1:3, 3:1, 2:3 and 3:2 compounds in a few common structure types, relaxed by
CHGNet 0.3.0. Of each formula the lowest energy counts, above the hull of its pair, which holds all of them and the
elements' ground states. So the table is complete within its structure types and one model, and says nothing of others.
What has been relaxed is kept in the folder `--work`; the same command goes on where an earlier one ended.
"""

import argparse
import csv
from collections.abc import Iterator
from functools import cache
from itertools import combinations, permutations
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from physics.mlip.potential import RelaxationSettings
from physics.prototypes import build, orderings
from physics.screening.screen import PartSize, Screened, Task, screen
from physics.structures import Named

if TYPE_CHECKING:
    from ase import Atoms

METALS = (
    "Li Na K Mg Ca Sr Al Ga In Sn Sb Bi Y Ti Zr Hf V Nb Ta Mo W Mn Fe Co Ni Cu Zn Pd Ag Pt Si Ge B".split()
)  # Si, Ge and B too: they form compounds with everything else
NONMETALS = "C N O F P S Cl Se Br Te I".split()
# 1:1 by name; the others by Strukturbericht symbol, the element with fewer atoms first.
EQUAL = ("B1", "B2", "B3", "B81", "B11", "B27", "B33", "L10")
UNEQUAL = (
    "C1", "C4", "C6", "C7", "C11_b", "C15", "C23", "C32", "C38",
    "L1_2", "D0_3", "D0_5", "D0_19", "D0_22",
    "D5_1", "C33", "D5_13",
)  # fmt: skip
# Closest pair over the sum of covalent radii: about what relaxed compounds have.
_CLOSEST = 1.05
_SETTINGS = RelaxationSettings(fmax_ev_per_a=0.05, max_steps=400)
# Atoms that are relaxed, and then written, together.
_PART = {"cpu": PartSize(4_000, 1_500), "gpu": PartSize(100_000, 30_000)}


def main() -> None:
    """Relax, build the hulls and write the table."""
    parser = argparse.ArgumentParser(description="energies above the hull of binary compounds, by CHGNet")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("runs/stability"), help="relaxations so far")
    parser.add_argument("--smoke", action="store_true", help="three pairs, for checking that it runs")
    options = parser.parse_args()
    chosen = [("Na", "Cl"), ("Al", "Ni"), ("Ti", "O")] if options.smoke else pairs()
    options.work.mkdir(parents=True, exist_ok=True)
    table = options.work / ("smoke.csv" if options.smoke else "relaxed.csv")
    done = relax(chosen, table)
    print(f"{done.answered} relaxed ({done.converged} converged), {len(done.failures)} refused, {done.hull}")
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


def relax(chosen: list[tuple[str, str]], table: Path) -> Screened:
    """Relax all structures of some pairs that a table does not hold yet, and fill in energies above the hull."""
    import jax

    from physics.mlip.chgnet_potential import load_chgnet

    task = Task(
        structures=(named for first, second in chosen for named in structures(first, second)),
        relaxes=True,
        settings=_SETTINGS,
        references=(),
        table=table,
        structures_out=None,
    )
    watch = lambda done: print(f"{done} dealt with", end="\r", flush=True)  # noqa: E731
    return screen(task, load_chgnet(), _PART["cpu" if jax.default_backend() == "cpu" else "gpu"], watch)


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
