"""A periodic arrangement of atoms, checked once."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from mfal.errors import ConstraintError, MissingExtraError
from mfal.space.formula import ELEMENTS

if TYPE_CHECKING:
    from pymatgen.core import Structure

# Less than the volume of any atom: such a cell is flat.
_LEAST_VOLUME_A3 = 0.1


@dataclass(frozen=True)
class Crystal:
    """Lattice and atoms.

    Attributes:
        lattice: cell vectors as rows, in angstrom.
        positions: fractional.
        symbols: one element a position.
    """

    lattice: Float[np.ndarray, "3 3"]
    positions: Float[np.ndarray, "n 3"]
    symbols: Sequence[str]

    def __post_init__(self) -> None:
        if not np.isfinite(self.lattice).all() or not np.isfinite(self.positions).all():
            raise ConstraintError("the lattice or a position is not finite: repair the structure")
        if not len(self.symbols) or len(self.symbols) != len(self.positions):
            raise ConstraintError(f"{len(self.symbols)=} and {len(self.positions)=}: give one symbol for each position")
        unknown = sorted(set(self.symbols) - set(ELEMENTS))
        if unknown:
            raise ConstraintError(f"{unknown=} are no elements: use symbols such as 'Fe'")
        if self.volume < _LEAST_VOLUME_A3:
            raise ConstraintError(f"the cell has {self.volume=:.3g} cubic angstrom: give three independent vectors")

    @staticmethod
    def of(structure: "Structure") -> "Crystal":
        """Read a structure of pymatgen.

        Raises:
            ConstraintError: a site is partly occupied or no element, or numbers are not finite.
        """
        if not structure.is_ordered:
            raise ConstraintError(f"{structure.formula!r} has partly occupied sites: choose an ordered approximant")
        symbols = tuple(site.specie.symbol for site in structure)
        return Crystal(np.array(structure.lattice.matrix), np.array(structure.frac_coords), symbols)

    @staticmethod
    def of_record(record: Mapping[str, Any]) -> "Crystal":
        """Read a structure as oracles report it: ``cell`` in angstrom, ``scaled_positions``, ``numbers``.

        Raises:
            ConstraintError: something is missing, no element, or no number.
        """
        try:
            symbols = tuple(ELEMENTS[number - 1] for number in record["numbers"] if number > 0)
            lattice, positions = (np.array(record[key], float) for key in ("cell", "scaled_positions"))
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ConstraintError(f"a reported structure cannot be read: {error!r}; mend the oracle") from error
        return Crystal(lattice, positions.reshape(-1, 3), symbols)

    @property
    def formula(self) -> str:
        """Formula of all atoms in the cell."""
        counts = Counter(self.symbols)
        return "".join(f"{symbol}{number if number > 1 else ''}" for symbol, number in sorted(counts.items()))

    @property
    def volume(self) -> float:
        """Volume of the cell in cubic angstrom."""
        return abs(float(np.linalg.det(self.lattice)))

    def to_pymatgen(self) -> "Structure":
        """Return the structure of pymatgen."""
        try:
            from pymatgen.core import Structure
        except ImportError as error:
            raise MissingExtraError("pymatgen", "mlip") from error
        return Structure(self.lattice, list(self.symbols), self.positions)

    def to_spglib(self) -> Any:
        """Return the cell as spglib takes it."""
        return self.lattice, self.positions, [ELEMENTS.index(symbol) + 1 for symbol in self.symbols]
