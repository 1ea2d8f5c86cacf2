"""Finished calculations as they were stored, read the same way whatever computed them; nothing is written."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from physics.prototypes import from_record
from physics.queue.result_cache import NAME_DIGITS, content_hash, digest

if TYPE_CHECKING:
    from ase import Atoms

# Module that a job's kind names: the code's name, and the key under which its version is stored. The first that fits.
CODES = {
    "physics.dft.vasp": ("VASP", "version"),
    "physics.dft": ("GPAW", "gpaw"),
    "physics.mlip.formation": ("CHGNet", "chgnet"),
}
CALCULATORS = {"abinit": "ABINIT", "emt": "EMT", "espresso": "Quantum ESPRESSO"}  # ASE's names of further codes
# Kilobar per unit of stored stresses. emmet keeps VASP's sign, positive where the crystal is compressed.
_KBAR = {"stress_gpa": -10.0, "stress_ev_per_a3": -1602.176634}
_INPUT_KEYS = frozenset({"structure", "element", "elements", "setups", "settings"})
_OUTPUT_KEYS = frozenset(
    {"structure", "energy_ev_per_atom", "forces_ev_per_a", "failure", "seconds", "settings", "node", *_KBAR}
)


@dataclass(frozen=True)
class Missing:
    """A calculation that cannot be had.

    Attributes:
        name: first digits of its content hash.
        reason: in a few words.
    """

    name: str
    reason: str


@dataclass(frozen=True)
class Link:
    """An observation that a calculation has served.

    Attributes:
        campaign: name of the campaign.
        event_hash: of the ledger's event, SHA-256, hexadecimal.
        sequence: of that event.
        candidate: id in the pool.
        fidelity: name in the ladder.
        role: ``candidate``, or ``reference`` for an element that the candidate is compared with.
        value: the answer; None for a failure.
        unit: of the value.
        price_eur: what was paid.
        failure: why there is no value; None for a success.
    """

    campaign: str
    event_hash: str
    sequence: int
    candidate: str
    fidelity: str
    role: str
    value: float | None
    unit: str
    price_eur: float
    failure: str | None


@dataclass(frozen=True)
class Calculation:
    """What was asked and what came of it.

    Attributes:
        key: content hash of kind and spec, SHA-256, hexadecimal.
        kind: the function that computed it, ``package.module:function``.
        spec: what was asked, JSON values.
        result: what came of it, JSON values; with the key ``failure`` where nothing did.
        stored_at: when the result was written.
    """

    key: str
    kind: str
    spec: Mapping[str, Any]
    result: Mapping[str, Any]
    stored_at: datetime

    @property
    def failure(self) -> str | None:
        """Why there is no energy; None for a success."""
        return self.result.get("failure")

    @property
    def code(self) -> str:
        """Name of the code; of an unknown one, the module that ran it."""
        return self._code[0]

    @property
    def version(self) -> str | None:
        """Version of the code, if it was noted."""
        return self.spec.get(self._code[1]) or self.result.get(self._code[1])

    @property
    def setups(self) -> str | None:
        """Version of the PAW setups, of codes that have some."""
        return self.spec.get("setups")

    @property
    def node(self) -> str | None:
        """UUID of the workflow engine's node; None where none was at work."""
        return self.result.get("node")

    @property
    def settings(self) -> dict[str, Any]:
        """What fixes the calculation apart from the structure: numerical settings, weights, versions, revision."""
        asked = self.result.get("settings", self.spec.get("settings", {}))
        named = dict(asked) if isinstance(asked, Mapping) else {"name": asked}
        return named | {key: value for key, value in self.spec.items() if key not in _INPUT_KEYS}

    @property
    def details(self) -> dict[str, Any]:
        """What else came of it: moments, k-points, iterations, prototypes."""
        return {key: value for key, value in self.result.items() if key not in {*_OUTPUT_KEYS, self._code[1]}}

    @property
    def elements(self) -> list[str]:
        """Symbols of the elements asked about by name, one an atom of the formula unit; empty where they are not."""
        from ase.data import atomic_numbers

        asked = self.spec.get("elements", [self.spec.get("element")])
        named = isinstance(asked, list) and all(isinstance(one, str) and one in atomic_numbers for one in asked)
        return asked if named else []

    @property
    def energy_ev_per_atom(self) -> float | None:
        """Total energy; compare only equal codes, versions, setups and settings."""
        found = self.result.get("energy_ev_per_atom")
        return None if self.failure is not None or found is None else float(found)

    @property
    def forces_ev_per_a(self) -> list[list[float]] | None:
        """Forces, shape (atoms, 3)."""
        return self.result.get("forces_ev_per_a")

    @property
    def band_gap_ev(self) -> float | None:
        """Kohn-Sham gap, 0 for a metal."""
        return self.result.get("gap_ev")

    @property
    def stress_kbar(self) -> list[list[float]] | None:
        """Stress, shape (3, 3), positive where the crystal is compressed."""
        found = [(self.result[key], factor) for key, factor in _KBAR.items() if self.result.get(key) is not None]
        return (_full(found[0][0]) * found[0][1]).tolist() if found else None

    def atoms(self) -> "Atoms | None":
        """Return the structure that the energy belongs to; of a failure the one asked about; None without one."""
        atoms = recorded_structure(self.result.get("structure") or self.spec.get("structure"))
        if atoms is not None and "structure" not in self.result and "volume_factor" in self.result:
            atoms.set_cell(atoms.cell * self.result["volume_factor"] ** (1 / 3), scale_atoms=True)
        return atoms

    @property
    def _code(self) -> tuple[str, str]:
        """Name of the code, and the key of its version."""
        if isinstance(calculator := self.spec.get("calculator"), str):
            return CALCULATORS.get(calculator, calculator), "version"
        module = self.kind.partition(":")[0]
        found = (code for known, code in CODES.items() if f"{module}.".startswith(f"{known}."))
        return next(found, (module.rpartition(".")[2], "version"))


def recorded_structure(record: Any) -> "Atoms | None":
    """Return the structure of a record made by `physics.prototypes.as_record`; None of anything else."""
    is_record = isinstance(record, Mapping) and record.keys() >= {"cell", "scaled_positions", "numbers", "pbc"}
    return from_record(record) if is_record else None


def calculations(cache: Path, names: Sequence[str]) -> Iterator[Calculation | Missing]:
    """Read calculations one after the other, in the given order.

    Args:
        cache: folder of a `physics.queue.result_cache.ResultCache`; damaged files are left where they are.
        names: first `NAME_DIGITS` digits of content hashes.
    """
    files = _files(cache, names)
    for name in names:
        if name not in files:
            yield Missing(name, "has no file")
            continue
        try:
            yield _read(files[name])
        except (OSError, ValueError, KeyError, TypeError) as error:
            yield Missing(name, f"cannot be read: {error}")


def _files(cache: Path, names: Sequence[str]) -> dict[str, Path]:
    """Find the files of the names, listing each folder once."""
    folders = {name[:2] for name in names if re.fullmatch(f"[0-9a-f]{{{NAME_DIGITS}}}", name)}
    files = (file for folder in sorted(folders) for file in (cache / folder).glob("*.json"))
    return {file.stem[:NAME_DIGITS]: file for file in files}


def _read(file: Path) -> Calculation:
    """Read a file.

    Raises:
        ValueError: it is not what was written.
    """
    record = json.loads(file.read_bytes())
    kind, spec, result = record["kind"], record["spec"], record["result"]
    if not file.stem == record["key"] == content_hash(kind, spec) or digest(result) != record["sha256"]:
        raise ValueError("its hash does not match; the next campaign that needs it computes it again")
    return Calculation(record["key"], kind, spec, result, datetime.fromtimestamp(file.stat().st_mtime, UTC))


def _full(stress: Sequence[Any]) -> np.ndarray:
    """Return shape (3, 3) from the same, or from Voigt's order xx, yy, zz, yz, xz, xy."""
    found = np.array(stress, dtype=float)
    return found if found.shape == (3, 3) else found[[[0, 5, 4], [5, 1, 3], [4, 3, 2]]]
