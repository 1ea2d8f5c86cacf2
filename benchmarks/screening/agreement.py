"""Do ours and the published code say the same?"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.screening.peers import PeerRelaxation
from physics.mlip.potential import Outcome, Prediction, Refusal, Relaxation

SAME_MINIMUM_EV_PER_ATOM = 1e-3


def agreement(
    ours: Mapping[str, Sequence[Prediction | Refusal]], theirs: Mapping[str, Sequence[Prediction]]
) -> dict[str, Any]:
    """Return the largest differences between the answers to the first structures of each set."""
    pairs = [pair for name in theirs for pair in zip(ours[name], theirs[name], strict=False)]
    return differences([(mine, other) for mine, other in pairs if isinstance(mine, Prediction)])


def differences(pairs: Sequence[tuple[Prediction, Prediction]]) -> dict[str, Any]:
    """Return the largest differences between answers."""
    if not pairs:
        return {}
    return {
        "max_abs_energy_error_ev_per_atom": max(abs(a.energy_ev_per_atom - b.energy_ev_per_atom) for a, b in pairs),
        "max_abs_force_error_ev_per_a": float(
            max(np.abs(a.forces_ev_per_a - b.forces_ev_per_a).max() for a, b in pairs)
        ),
        "max_abs_stress_error_gpa": float(max(np.abs(a.stress_gpa - b.stress_gpa).max() for a, b in pairs)),
        "structures_compared": len(pairs),
    }


def relaxation_agreement(ours: Sequence[Relaxation | Refusal], theirs: Sequence[PeerRelaxation]) -> dict[str, Any]:
    """Return the share of structures that end at the same energy, among those that both relax to the end."""
    pairs = [
        (mine.prediction.energy_ev_per_atom, other.energy_ev_per_atom)
        for mine, other in zip(ours, theirs, strict=False)
        if isinstance(mine, Relaxation) and mine.outcome is Outcome.CONVERGED and other.converged
    ]
    if not pairs:
        return {}
    apart = np.abs(np.diff(np.array(pairs), axis=1))[:, 0]
    return {
        "relax_agreement": float(np.mean(apart <= SAME_MINIMUM_EV_PER_ATOM)),
        "relax_compared": len(pairs),
        "relax_max_abs_energy_error_ev_per_atom": float(apart.max()),
    }
