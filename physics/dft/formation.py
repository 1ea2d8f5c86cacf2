"""Formation energies as a plan of jobs: the compound and, once per settings, each element.

A job is known by the content hash of its kind and spec, so a queue computes an element once however many compounds of
the same settings ask for it. The settings are resolved for the whole compound: its elements are calculated with its
cutoff, because energies compare only between equal settings.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from physics.dft.gpaw import REVISION
from physics.dft.settings import require_functional, resolve
from physics.prototypes import as_record, elemental_reference, from_record, plain
from physics.queue.job import Job
from physics.thermodynamics.formation_energy import FormationPlan

if TYPE_CHECKING:
    from ase import Atoms

SINGLE_POINT = "physics.dft.gpaw:single_point_job"
_WITH_ORDERED_MOMENTS = ("O", "Mn")  # antiferromagnetic in cells larger than the primitive one without moments


def formation_plan(
    structure: Mapping[str, Any],
    protocol: str,
    functional: str = "PBE",
    relax_volume: bool = False,
    versions: Mapping[str, str] | None = None,
    payer: str = "",
) -> FormationPlan:
    """Plan the formation energy of a compound.

    Args:
        structure: record of `physics.prototypes.as_record`.
        protocol: key of `physics.dft.settings.SETTINGS`.
        functional: key of `physics.dft.settings.FUNCTIONALS`.
        relax_volume: of the compound and its elements alike.
        versions: further fields of every spec, such as ``gpaw`` and ``setups``: they belong to the identity of a job.
        payer: of all jobs, see `physics.queue.job.Job`.

    Raises:
        SettingsError: protocol or functional is unknown.
        MissingLibxcError: the functional needs libxc and GPAW was built without.
        ValueError: no reference structure is known for an element.
    """
    require_functional(functional)
    atoms = from_record(structure)
    symbols = sorted(set(atoms.symbols))
    common = {"settings": resolve(protocol, functional, symbols).record(), "revision": REVISION, **(versions or {})}
    common |= {"relax_volume": True} if relax_volume else {}
    label = f"{functional} {protocol}"
    formula = atoms.get_chemical_formula()
    compound = Job(SINGLE_POINT, {"structure": structure, **common}, f"{label} {formula}", payer)
    references = tuple(
        Job(SINGLE_POINT, {**reference_spec(symbol), **common}, f"{label} element {symbol}", payer)
        for symbol in symbols
    )
    fractions = tuple(float(np.mean(atoms.symbols == symbol)) for symbol in symbols)
    return FormationPlan(compound, references, fractions)


def reference_spec(symbol: str) -> dict[str, Any]:
    """Return structure and, where they order, moments of an element's reference.

    Raises:
        ValueError: no reference structure is known for the element.
    """
    if symbol not in _WITH_ORDERED_MOMENTS:
        return {"structure": as_record(elemental_reference(symbol))}
    from ase.collections import dcdft

    ordered: Atoms = dcdft[symbol]
    return {"structure": as_record(plain(ordered)), "moments_mub": ordered.get_initial_magnetic_moments().tolist()}
