"""The stress that an incomplete basis adds (Francis and Payne, J. Phys. Condens. Matter 2, 4395 (1990)).

GPAW's stress is the derivative of the energy at a fixed number of plane waves; energies are compared at a fixed cutoff.
With ``cutoff ~ V^(-2/3)`` at a fixed number, ``dE/dV|cutoff = dE/dV|number + 2/3 (dE / d ln cutoff) / V``. Without it
MgO at 600 eV relaxes to a volume 3 % below that of its own energies.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from physics.dft.calculation import nothing_more, single_point
from physics.dft.potential import GpawPotential
from physics.mlip.potential import Refusal

if TYPE_CHECKING:
    from ase import Atoms

STEP = 0.04  # of the cutoff, both ways


def corrected(potential: GpawPotential, atoms: "Atoms") -> GpawPotential | Refusal:
    """Return the potential with the correction of its stress, from the energies of a structure at two more cutoffs.

    Args:
        potential: without correction; its account gets the two calculations.
        atoms: crystal near those that will be asked.
    """
    energies = []
    for factor in (1 - STEP, 1 + STEP):
        settings = replace(potential.settings, cutoff_ev=potential.settings.cutoff_ev * factor)
        answer = single_point(atoms, settings, replace(potential.request, observe=nothing_more))
        # the account names the settings of the job, not of this probe
        potential.answers.append(answer | {"settings": potential.settings.record()})
        if "failure" in answer:
            return Refusal(f"at {settings.cutoff_ev:g} eV, for the stress of the basis: {answer['failure']}")
        energies.append(answer["energy_ev_per_atom"])
    return replace(potential, pulay_ev_per_atom=2 / 3 * (energies[1] - energies[0]) / (2 * STEP))
