"""One emmet-core document a calculation, the same for density functional theory and machine-learned potentials.

Energies are eV, forces eV/angstrom, stresses kbar with VASP's sign (positive where compressed), as in emmet's own
documents. Import this module only where emmet-core is installed.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from emmet.core.base import CalcMeta, EmmetMeta
from emmet.core.structure import StructureMetadata
from emmet.core.task import BaseTaskDocument
from emmet.core.tasks import OutputDoc
from emmet.core.types.enums import TaskState
from emmet.core.types.pymatgen_types.structure_adapter import StructureType
from pydantic import Field
from pymatgen.core import Composition, Structure
from pymatgen.io.ase import AseAtomsAdaptor
from pymatgen.symmetry.analyzer import SymmetryUndeterminedError

from physics.documents.calculation import Calculation, Link

PREFIX = "mfal"
_ID_DIGITS = 15  # of the content hash, hexadecimal


class CalculationDocument(BaseTaskDocument, StructureMetadata):
    """A calculation by any code; ``calc_meta.identifier`` is the UUID of the workflow engine's node."""

    calc_meta: CalcMeta = Field(description="Node, and the function that computed it.")
    content_hash: str = Field(description="SHA-256 of the canonical JSON of kind and inputs.")
    state: TaskState = Field(description="Whether there is an answer.")
    failure: str | None = Field(None, description="Why there is none.")
    structure: StructureType | None = Field(None, description="The structure that the energy belongs to.")
    output: OutputDoc | None = Field(None, description="Energy, forces and stress.")
    inputs: dict[str, Any] = Field(description="All that was asked.")
    settings: dict[str, Any] = Field(description="What fixes the calculation apart from the structure.")
    setups_version: str | None = Field(None, description="Version of the PAW setups.")
    details: dict[str, Any] = Field(description="What else came of it.")
    elapsed_seconds: float | None = Field(None, description="Wall-clock time.")
    observations: list[Link] = Field(description="Events of ledgers that this calculation has served.")


def document(calculation: Calculation, links: Sequence[Link] = ()) -> CalculationDocument:
    """Return the document of a calculation.

    Args:
        calculation: finished, failed ones included.
        links: the observations that it has served.
    """
    structure = _structure(calculation)
    output = _output(calculation, structure)
    return CalculationDocument(
        **_metadata(calculation, structure),
        builder_meta=EmmetMeta.model_validate({"build_date": calculation.stored_at}),  # nothing changes by itself
        calc_code=calculation.code,
        version=calculation.version,
        task_id=task_id(calculation.key),
        completed=calculation.failure is None,
        completed_at=calculation.stored_at,
        last_updated=calculation.stored_at,
        calc_meta=CalcMeta.model_validate({"identifier": calculation.node, "name": calculation.kind}),
        content_hash=calculation.key,
        state=TaskState.SUCCESS if calculation.failure is None else TaskState.FAILED,
        failure=calculation.failure,
        structure=structure,
        output=output,
        inputs=dict(calculation.spec),
        settings=calculation.settings,
        setups_version=calculation.setups,
        details=calculation.details if output else calculation.details | _bare_energy(calculation),
        elapsed_seconds=calculation.result.get("seconds"),
        observations=list(links),
    )


def task_id(key: str) -> str:
    """Return prefix and number, from the leading digits of a content hash; emmet spells large numbers in letters."""
    return f"{PREFIX}-{int(key[:_ID_DIGITS], 16)}"


def _structure(calculation: Calculation) -> Structure | None:
    atoms = calculation.atoms()
    return None if atoms is None else AseAtomsAdaptor.get_structure(atoms)  # pyright: ignore[reportArgumentType]


def _metadata(calculation: Calculation, structure: Structure | None) -> dict[str, Any]:
    """Return composition and symmetry; composition alone of what has no structure, or one without symmetry."""
    if structure is not None:
        try:
            return dict(StructureMetadata.from_structure(structure))
        except SymmetryUndeterminedError:  # atoms coincide, for which the calculation will have failed
            return dict(StructureMetadata.from_composition(structure.composition, nsites=len(structure)))
    if not calculation.elements:
        return {}
    return dict(StructureMetadata.from_composition(Composition(Counter(calculation.elements))))


def _output(calculation: Calculation, structure: Structure | None) -> OutputDoc | None:
    energy = calculation.energy_ev_per_atom
    if energy is None or structure is None:
        return None
    found = {
        "structure": structure,
        "density": float(structure.density),
        "energy": energy * len(structure),
        "energy_per_atom": energy,
        "forces": calculation.forces_ev_per_a,
        "stress": calculation.stress_kbar,
        "bandgap": calculation.band_gap_ev,
    }
    return OutputDoc.model_validate(found)


def _bare_energy(calculation: Calculation) -> dict[str, float]:
    """Return an energy for which emmet's output has no place, as no structure is known."""
    energy = calculation.energy_ev_per_atom
    return {} if energy is None else {"energy_ev_per_atom": energy}
