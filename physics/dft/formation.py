"""Formation energies as a plan of jobs: the compound and, once per settings, each element.

A job is known by the content hash of its kind and spec, so a queue computes an element once however many compounds of
the same settings ask for it. The settings are resolved for the whole compound: its elements are calculated with its
cutoff, because energies compare only between equal settings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from physics.dft.gpaw import REVISION
from physics.dft.settings import DFTSettings, require_functional, resolve
from physics.prototypes import as_record, elemental_reference, from_record, plain

if TYPE_CHECKING:
    from ase import Atoms

SINGLE_POINT = "physics.dft.gpaw:single_point_job"
EQUATION_OF_STATE = "physics.dft.equation_of_state:equation_of_state_job"
_WITH_ORDERED_MOMENTS = ("O", "Mn")  # antiferromagnetic in cells larger than the primitive one without moments


@dataclass(frozen=True)
class Calculation:
    """One job of a plan, with the fields of a queue's `Job`."""

    kind: str
    spec: Mapping[str, Any]
    label: str


@dataclass(frozen=True)
class FormationPlan:
    """Jobs whose answers give a formation energy.

    Attributes:
        compound: the job of the compound.
        elements: a job for each element.
        fractions: atomic, in the order of `elements`.
    """

    compound: Calculation
    elements: tuple[Calculation, ...]
    fractions: tuple[float, ...]

    @property
    def jobs(self) -> tuple[Calculation, ...]:
        """All of them, the compound first."""
        return self.compound, *self.elements


def formation_plan(
    structure: Mapping[str, Any],
    protocol: str,
    functional: str = "PBE",
    relax_volume: bool = False,
    versions: Mapping[str, str] | None = None,
) -> FormationPlan:
    """Plan the formation energy of a compound.

    Args:
        structure: record of `physics.prototypes.as_record`.
        protocol: key of `physics.dft.settings.SETTINGS`.
        functional: key of `physics.dft.settings.FUNCTIONALS`.
        relax_volume: of the compound and its elements alike.
        versions: further fields of every spec, such as ``gpaw`` and ``setups``: they belong to the identity of a job.

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
    compound = Calculation(SINGLE_POINT, {"structure": structure, **common}, f"{label} {atoms.get_chemical_formula()}")
    references = tuple(
        Calculation(SINGLE_POINT, {**reference_spec(symbol), **common}, f"{label} element {symbol}")
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


def formation_energy(plan: FormationPlan, answers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Combine the answers of a plan's jobs.

    Args:
        plan: what was asked.
        answers: in the order of `FormationPlan.jobs`.

    Returns:
        ``formation_energy_ev_per_atom``, ``reference_energies_ev_per_atom`` and the compound's own values; or
        ``failure`` with the reasons. ``seconds`` are the compound's: an element is paid for once, not by compound.
    """
    failures = [answer["failure"] for answer in answers if "failure" in answer]
    compound, *elements = answers
    if failures:
        return {"failure": "; ".join(failures), "seconds": compound["seconds"]}
    _refuse_mixed(compound, elements)
    references = [answer["energy_ev_per_atom"] for answer in elements]
    value = compound["energy_ev_per_atom"] - float(np.dot(plan.fractions, references))
    return {**compound, "formation_energy_ev_per_atom": value, "reference_energies_ev_per_atom": references}


def _refuse_mixed(compound: Mapping[str, Any], elements: Sequence[Mapping[str, Any]]) -> None:
    settings = DFTSettings(**compound["settings"])
    for answer in elements:
        if DFTSettings(**answer["settings"]) != settings:
            raise ValueError(f"settings={answer['settings']} of an element differ from the compound's {settings}")
