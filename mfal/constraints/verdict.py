"""What a check of one candidate says, and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class Outcome(Enum):
    """Whether a candidate may pass."""

    ADMITS = "admits"
    REFUSES = "refuses"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True)
class Verdict:
    """An outcome and its reasons.

    Attributes:
        outcome: a refusal if anything refuses, else undecided if anything is undecided.
        reasons: one sentence each, for people; an admission may have some too.
    """

    outcome: Outcome
    reasons: tuple[str, ...] = ()

    @staticmethod
    def of(refusals: Sequence[str], doubts: Sequence[str] = ()) -> "Verdict":
        """Return the verdict that follows from what speaks against a candidate and what cannot be told."""
        outcome = Outcome.REFUSES if refusals else Outcome.CANNOT_TELL if doubts else Outcome.ADMITS
        return Verdict(outcome, (*refusals, *doubts))

    @property
    def admits(self) -> bool:
        """Whether nothing speaks against the candidate."""
        return self.outcome is Outcome.ADMITS
