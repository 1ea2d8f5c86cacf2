"""Formation energies out of total energies: the jobs that it takes, and what their answers come to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from physics.queue.job import Job


@dataclass(frozen=True)
class FormationPlan:
    """Jobs whose total energies give a formation energy.

    Attributes:
        compound: the job of the compound.
        elements: a job for each element; a queue computes it once however many compounds ask for it.
        fractions: atomic, in the order of `elements`.
    """

    compound: Job
    elements: tuple[Job, ...]
    fractions: tuple[float, ...]

    @property
    def jobs(self) -> tuple[Job, ...]:
        """All of them, the compound first."""
        return self.compound, *self.elements


def formation_energy(plan: FormationPlan, answers: Sequence[Mapping[str, Any]]) -> float:
    """Return the energy of a compound over its elements, eV/atom.

    Args:
        plan: what was asked.
        answers: in the order of `FormationPlan.jobs`, each with ``energy_ev_per_atom``.

    Raises:
        ValueError: an element was calculated with other settings than the compound.
    """
    compound, *elements = answers
    for answer in elements:
        if answer.get("settings") != compound.get("settings"):
            raise ValueError(
                f"settings={answer.get('settings')} of an element differ from the compound's {compound.get('settings')}"
            )
    references = (share * answer["energy_ev_per_atom"] for share, answer in zip(plan.fractions, elements, strict=True))
    return float(compound["energy_ev_per_atom"] - sum(references))
