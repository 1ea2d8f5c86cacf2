"""An ASE database: a row an observation that has a structure, and one a calculation that served as reference only."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from physics.documents.calculation import Calculation, Link

if TYPE_CHECKING:
    from ase import Atoms


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        atoms: the structure, with a calculator that knows its energy if there is one.
        pairs: short values to select by.
        data: everything exactly as it is, JSON values.
    """

    atoms: "Atoms"
    pairs: Mapping[str, Any]
    data: Mapping[str, Any] = field(default_factory=dict)


class DatabaseError(Exception):
    """A database that cannot be written."""


def observation_row(link: Link, names: Sequence[str], atoms: "Atoms", calculation: Calculation | None) -> Row:
    """Return the row of an observation.

    Args:
        link: the observation.
        names: of all its calculations.
        atoms: its structure.
        calculation: of the candidate; None where it is missing.
    """
    pairs = {name: value for name, value in asdict(link).items() if value is not None}
    return _row(pairs, atoms, calculation, {"observation": asdict(link), "calculations": list(names)})


def reference_row(calculation: Calculation, atoms: "Atoms", links: Sequence[Link]) -> Row:
    """Return the row of a calculation that candidates are compared with."""
    fidelities = sorted({link.fidelity for link in links})
    pairs = {"role": "reference", "fidelity": " ".join(fidelities)}
    return _row(pairs, atoms, calculation, {"observations": [asdict(link) for link in links]})


def write(target: Path, rows: Iterable[Row], campaign: str, head_hash: str, value: str, unit: str) -> int:
    """Write a new database and return the number of its rows.

    Args:
        target: the file, of any name.
        rows: what to write.
        campaign: name of the campaign.
        head_hash: of its last event.
        value: what the values are.
        unit: of the values.

    Raises:
        DatabaseError: the file cannot be written.
    """
    from ase.db import connect

    meaning = {"value": [value, value, unit], "price_eur": ["price", "what was paid", "EUR"]}
    count = 0
    # no lock file: nobody knows the name yet
    database: Any = connect(str(target), type="db", append=False, use_lock_file=False)
    try:
        with database:
            database.metadata = {"title": campaign, "head_hash": head_hash, "key_descriptions": meaning}
            for count, row in enumerate(rows, start=1):  # noqa: B007
                database.write(row.atoms, key_value_pairs=dict(row.pairs), data=dict(row.data))
    except (KeyError, TypeError, ValueError):  # of the rows: a mistake of ours
        raise
    except Exception as error:  # SQLite's own, which only the ledger knows
        raise DatabaseError(f"{type(error).__name__}: {error}") from error
    return count


def _row(pairs: Mapping[str, Any], atoms: "Atoms", calculation: Calculation | None, data: Mapping[str, Any]) -> Row:
    if calculation is None:
        return Row(atoms, _searchable(pairs), data)
    known = {"calculation": calculation.key, "code": calculation.code, "code_version": calculation.version}
    failure = {} if calculation.failure is None else {"failure": calculation.failure}
    own = {"calculation": calculation.key, "inputs": dict(calculation.spec), "details": calculation.details}
    every = {**failure, **known, **pairs}
    return Row(_with_energy(atoms, calculation), _searchable(every), {**own, **data})


def _with_energy(atoms: "Atoms", calculation: Calculation) -> "Atoms":
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.stress import full_3x3_to_voigt_6_stress
    from ase.units import GPa

    energy, stress = calculation.energy_ev_per_atom, calculation.stress_kbar
    if energy is not None:
        found = {
            "energy": energy * len(atoms),
            "forces": calculation.forces_ev_per_a,
            "stress": None if stress is None else full_3x3_to_voigt_6_stress(np.array(stress) * -0.1 * GPa),
        }
        calculator: Any = SinglePointCalculator(atoms, **found)
        calculator.name = calculation.code.lower()
        atoms.calc = calculator
    return atoms


def _searchable(pairs: Mapping[str, Any]) -> dict[str, Any]:
    """Quote text that ASE would take for a number, which it refuses; `Row.data` has it as it is."""
    from ase.db.core import convert_str_to_int_float_bool_or_str as converted

    return {
        name: f"'{value}'" if isinstance(value, str) and not isinstance(converted(value), str) else value
        for name, value in pairs.items()
        if value is not None
    }
