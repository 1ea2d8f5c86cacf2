"""The acquisition protocol: what every query is expected to bring."""

from abc import abstractmethod
from typing import ClassVar

import equinox as eqx

from mfal.surrogate.base import Posterior
from mfal.types import Array, Bool, Float, PRNGKeyArray


class Known(eqx.Module):
    """Target answers that are already in hand.

    Attributes:
        measured: candidates with an answer at the target, shape (candidates,).
        value: those answers, zero elsewhere.
        closed: candidates that can no longer be measured (the target failed for them).
    """

    measured: Bool[Array, " n"]
    value: Float[Array, " n"]
    closed: Bool[Array, " n"]

    @property
    def decided(self) -> Bool[Array, " n"]:
        """Candidates that there is nothing more to learn about at the target."""
        return self.measured | self.closed


class Worth(eqx.Module):
    """What an acquisition says of every candidate.

    Attributes:
        gain: expected gain of each query before its price, in the acquisition's unit, shape (candidates, fidelities);
            never negative, zero at the target for candidates that are decided.
        probability: that the candidate is what is looked for (a hit), shape (candidates,).
    """

    gain: Float[Array, "n L"]
    probability: Float[Array, " n"]


class AbstractAcquisition(eqx.Module):
    """Turns a belief into the gain of every query.

    Attributes:
        in_eur: the gain is money, so a query pays when it exceeds the price; otherwise gains only rank queries.
    """

    in_eur: ClassVar[bool]

    @abstractmethod
    def __call__(self, posterior: Posterior, known: Known, key: PRNGKeyArray) -> Worth:
        """Return the gain of every query; deterministic for a given key."""
