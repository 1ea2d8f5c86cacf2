"""Stiffness that no solid has: units, thickness or spacing are wrong, whatever the fit says."""

from pinn.estimate import Check
from pinn.stiffness.estimate import StiffnessEstimate
from pinn.stiffness.reading import PASCALS

# Diamond's mean is 1117 GPa (C11 1079, C44 578 GPa: McSkimin and Andreatch 1972, 10.1063/1.1661636).
STIFFEST_PA = 1.3e12


def plausible(estimate: StiffnessEstimate) -> tuple[Check, ...]:
    """Return whether a solid as stiff as this exists; nothing where there is no scale."""
    scale = estimate.scale
    if scale is None or scale.unit not in PASCALS:
        return ()
    found = scale.value * PASCALS[scale.unit]
    reason = "mean stiffness in Pa, no higher than diamond's: units of displacements and forces, thickness"
    return (Check("plausible", found <= STIFFEST_PA, found, STIFFEST_PA, reason),)
