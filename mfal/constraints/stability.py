"""Whether a compound is stable enough, given an energy above the hull that is itself uncertain."""

import math
from dataclasses import dataclass

from mfal.constraints.verdict import Outcome, Verdict
from mfal.errors import ConstraintError


@dataclass(frozen=True)
class HullEnergy:
    """An energy above the convex hull.

    Attributes:
        value_ev_per_atom: as its source says; below zero it would move the hull.
        sd_ev_per_atom: of the error of the difference, not of either energy; zero only for what is exact.
        level: the source, such as ``chgnet`` or ``pbe``.
    """

    value_ev_per_atom: float
    sd_ev_per_atom: float
    level: str

    def __post_init__(self) -> None:
        if not math.isfinite(self.value_ev_per_atom):
            raise ConstraintError(
                f"{self.level}: {self.value_ev_per_atom=} is not finite: leave the candidate undecided"
            )
        if not (math.isfinite(self.sd_ev_per_atom) and self.sd_ev_per_atom >= 0.0):
            raise ConstraintError(
                f"{self.level}: {self.sd_ev_per_atom=}: give a standard deviation that is not negative"
            )
        if not self.level:
            raise ConstraintError("an energy above the hull has no level: name its source")


def probability_stable(energy: HullEnergy, tolerance_ev_per_atom: float) -> float:
    """Return the probability that the energy above the hull is within the tolerance, its error being normal."""
    if not math.isfinite(tolerance_ev_per_atom):
        raise ConstraintError(f"{tolerance_ev_per_atom=} is no tolerance: give a finite energy, such as 0.05")
    margin = tolerance_ev_per_atom - energy.value_ev_per_atom
    if energy.sd_ev_per_atom == 0.0:
        return float(margin >= 0.0)
    return 0.5 * math.erfc(-margin / (energy.sd_ev_per_atom * math.sqrt(2.0)))


def stability_verdict(energy: HullEnergy, tolerance_ev_per_atom: float, confidence: float = 0.9) -> Verdict:
    """Say whether a compound is within the tolerance, is not, or needs a better source.

    Args:
        energy: with its uncertainty.
        tolerance_ev_per_atom: most that may still be made; metastable compounds are, up to some 0.05 to 0.1.
        confidence: with which to admit or refuse, above one half.
    """
    if not 0.5 < confidence < 1.0:
        raise ConstraintError(f"{confidence=} decides nothing: give a number between 0.5 and 1")
    within = probability_stable(energy, tolerance_ev_per_atom)
    outcome = _outcome(within, confidence)
    return Verdict(
        outcome,
        (
            f"{energy.level}: {energy.value_ev_per_atom:.3f} +- {energy.sd_ev_per_atom:.3f} eV/atom above the hull is "
            f"within {tolerance_ev_per_atom} with probability {within:.2f}, which {outcome.value} at {confidence}",
        ),
    )


def _outcome(within: float, confidence: float) -> Outcome:
    if within >= confidence:
        return Outcome.ADMITS
    return Outcome.REFUSES if within <= 1.0 - confidence else Outcome.CANNOT_TELL
